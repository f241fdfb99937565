// SPDX-License-Identifier: Apache-2.0
// NOTIFY_SOCKET: what workers say by sd_notify(3). One datagram socket for all; the kernel vouches for the
// sender (SCM_CREDENTIALS). Which worker that is, and what its words mean, is the supervisor's to say.
// Descriptors that come along are closed at once (so that BARRIER=1 is answered), but for those of FDSTORE=1.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"
#include "event/loop.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast {

/// What a worker says of descriptors that are to outlive it.
struct StoreWish {
    bool stores = false;            ///< FDSTORE=1
    bool removes = false;           ///< FDSTOREREMOVE=1
    std::string name{};             ///< FDNAME=; empty: none, or none that is one
    bool is_name_bad = false;       ///< there was one, and it is none
    bool is_watched = true;         ///< no FDPOLL=0: removed when it hangs up
    bool lacks_descriptors = false; ///< not all that came with it could be had (EMFILE)
};
/// At most 255 printable ASCII characters without ':', as in sd_notify(3).
[[nodiscard]] bool is_store_name(std::string_view name);

/// One message, as far as we understand it. Fields that it does not have are empty.
struct NotifyMessage {
    bool ready = false;
    bool stopping = false;
    bool reloading = false;               ///< RELOADING=1
    std::optional<MonotonicTime> sent_at; ///< MONOTONIC_USEC=, when it began to reload
    std::optional<std::string> status;    ///< UTF-8 checked, control characters replaced, at most 256 bytes
    std::optional<pid_t> main_pid;
    std::optional<Duration> extend_timeout;
    std::optional<int> error;         ///< ERRNO=
    bool ping = false;                ///< WATCHDOG=1
    bool trigger = false;             ///< WATCHDOG=trigger: as if it had missed its watchdog
    std::optional<Duration> watchdog; ///< WATCHDOG_USEC=: how often it pings from now on; 0: no more
    std::optional<StoreWish> store{};
    std::vector<UniqueFd> descriptors{}; ///< of FDSTORE=1; who hears it may take them
};

/// The longest message read (as systemd: 4 KiB of text); longer ones are dropped.
inline constexpr std::size_t longest_notify_message = 4096;

/// Nothing for a message that is malformed as a whole (NUL inside, too long); unknown or malformed lines
/// alone are passed over.
[[nodiscard]] std::optional<NotifyMessage> parse_notify(std::string_view text);

struct NotifySender {
    pid_t pid = 0;
    uid_t uid = 0;
};

class NotifySocket {
public:
    /// Is this a process whose words count? Asked before a message is looked at, so that a flood of a
    /// stranger's costs no more than its reading.
    using IsKnown = std::function<bool(NotifySender const&)>;
    using Heard = std::function<void(NotifySender const&, NotifyMessage&)>;
    /// Binds `path` (mode 0777: anybody may speak, only workers are listened to). A stale path is replaced.
    [[nodiscard]] static Result<std::unique_ptr<NotifySocket>> open(EventLoop& loop, std::string path,
                                                                    IsKnown is_known, Heard heard);
    /// One that another supervisor of ours has bound to `path`, with what was said to it since.
    [[nodiscard]] static Result<std::unique_ptr<NotifySocket>>
    adopt(EventLoop& loop, std::string path, UniqueFd fd, IsKnown is_known, Heard heard);
    /// From now on a message is taken out of the socket only when it was heard: if we die in between, who
    /// comes after us hears it again.
    void take_after_hearing() { takes_after_hearing_ = true; }
    [[nodiscard]] FdRef fd() const { return fd_; }
    NotifySocket(NotifySocket const&) = delete;
    NotifySocket& operator=(NotifySocket const&) = delete;
    ~NotifySocket();

    [[nodiscard]] std::string const& path() const { return path_; }
    /// Reads what is there now, at most `most` messages; called by the loop, and before each fork, so that a
    /// message of a dead process can never be taken for one of a new process with the same pid.
    /// Returns how many it has read.
    unsigned drain(unsigned most = 1000);

private:
    NotifySocket(std::string path, IsKnown is_known, Heard heard, UniqueFd fd)
        : path_{std::move(path)}, is_known_{std::move(is_known)}, heard_{std::move(heard)}, fd_{std::move(
                                                                                                fd)} {}
    [[nodiscard]] Outcome watch(EventLoop& loop);
    bool receive_one();
    void take_turn();

    std::string path_;
    IsKnown is_known_;
    Heard heard_;
    UniqueFd fd_;
    bool takes_after_hearing_ = false;
    EventSource source_;
    EventSource pause_;
};

} // namespace holdfast
