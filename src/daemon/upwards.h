// SPDX-License-Identifier: Apache-2.0
// What holdfastd says to its own supervisor: sd_notify(3), but so that a supervisor that does not listen
// never keeps the event loop waiting (libsystemd's own call blocks while the other's queue is full).
#pragma once

#include "base/fd.h"
#include "event/loop.h"

#include <deque>
#include <functional>
#include <string>

#include <sys/un.h>

namespace holdfast::daemon {

class Upwards {
public:
    /// In whose name it is said. The keeper is the main process of our service, and with NotifyAccess=main
    /// systemd listens to that one alone; root may speak for it, see unix(7), SCM_CREDENTIALS.
    enum class As { Itself, Parent };

    /// By NOTIFY_SOCKET; without it nothing is said.
    Upwards(EventLoop& loop, As as);
    /// "READY=1\nSTATUS=…". In order; what cannot be said now is said later.
    void say(std::string text);
    /// From now on, twice in each WATCHDOG_USEC, see sd_watchdog_enabled(3): only while the loop turns.
    /// `alive` is told each time within which time it will be told again, where all is well.
    void feed_watchdog(std::function<void(Duration)> alive);
    /// STOPPING=1; and until the end, that it takes as long as it takes.
    void say_stopping();

private:
    bool send(std::string const& text);
    void send_waiting();
    void say_still_stopping();
    void ping(Duration period);

    EventLoop& loop_;
    UniqueFd socket_;
    As as_;
    sockaddr_un address_{};
    socklen_t length_ = 0;
    std::deque<std::string> waiting_;
    EventSource again_;
    EventSource watchdog_;
    std::function<void(Duration)> alive_;
    EventSource stopping_;
};

} // namespace holdfast::daemon
