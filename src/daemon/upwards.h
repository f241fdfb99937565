// SPDX-License-Identifier: Apache-2.0
// What holdfastd says to its own supervisor: sd_notify(3), but so that a supervisor that does not listen
// never keeps the event loop waiting (libsystemd's own call blocks while the other's queue is full).
#pragma once

#include "base/fd.h"
#include "event/loop.h"

#include <deque>
#include <string>

#include <sys/un.h>

namespace holdfast::daemon {

class Upwards {
public:
    /// By NOTIFY_SOCKET; without it nothing is said.
    explicit Upwards(EventLoop& loop);
    /// "READY=1\nSTATUS=…". In order; what cannot be said now is said later.
    void say(std::string text);

private:
    void send_waiting();

    EventLoop& loop_;
    UniqueFd socket_;
    sockaddr_un address_{};
    socklen_t length_ = 0;
    std::deque<std::string> waiting_;
    EventSource again_;
};

} // namespace holdfast::daemon
