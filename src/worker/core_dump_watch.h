// SPDX-License-Identifier: Apache-2.0
// Hears of processes that begin to dump core, from the kernel's process connector. A dump of a large process
// takes seconds, and only after it does the process end; who waits for its end waits for the disk. It knows
// no workers: whoever made it is told of every process of the machine that dumps.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "event/loop.h"

#include <functional>
#include <memory>

#include <sys/types.h>

namespace holdfast {

class CoreDumpWatch {
public:
    /// `began` gets the process id, before its core is written; it may be told twice, or too late, or (where
    /// the kernel had no memory) not at all. Errors: EPERM without CAP_NET_ADMIN before Linux 6.6; ENOTSUP in
    /// a pid namespace of its own, where the numbers are not ours; ECONNREFUSED in a network namespace of its
    /// own; EPROTONOSUPPORT without CONFIG_CONNECTOR. It rests until it is to listen. NETLINK_CONNECTOR,
    /// netlink(7); PROC_EVENT_COREDUMP, Linux 3.10.
    [[nodiscard]] static Result<std::unique_ptr<CoreDumpWatch>> open(EventLoop& loop,
                                                                     std::function<void(pid_t)> began);
    CoreDumpWatch(CoreDumpWatch const&) = delete;
    CoreDumpWatch& operator=(CoreDumpWatch const&) = delete;
    ~CoreDumpWatch();

    /// From now on each dump of the machine wakes us, and nothing else does: the socket has a filter. What
    /// began before is not told. Where epoll has no room for it (ENOMEM, ENOSPC) nothing is told.
    void listen();
    /// Nothing wakes us any more.
    void rest();

private:
    CoreDumpWatch(EventLoop& loop, UniqueFd socket, std::function<void(pid_t)> began)
        : loop_{loop}, socket_{std::move(socket)}, began_{std::move(began)} {}
    void receive();

    EventLoop& loop_;
    UniqueFd socket_;
    std::function<void(pid_t)> began_;
    EventSource source_;
};

} // namespace holdfast
