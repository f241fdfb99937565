// SPDX-License-Identifier: Apache-2.0
// The watchdog of one worker: when it must have said WATCHDOG=1 next, and, once it has not, when it is
// killed. A value that knows no process; the UnitRunner holds one for each worker and acts on what is due.
#pragma once

#include "base/time.h"

namespace holdfast {

class Watchdog {
public:
    /// `period` 0: none, unless the worker asks for one (WATCHDOG_USEC=).
    explicit Watchdog(Duration period) : period_{period} {}

    /// From the worker's sign on (systemd.service(5), WatchdogSec=); once.
    void start(MonotonicTime now) {
        if (state_ == State::Waits)
            watch_from(now);
    }
    void ping(MonotonicTime now) {
        if (state_ == State::Watches)
            watch_from(now);
    }
    void change_period(Duration period, MonotonicTime now) {
        period_ = period;
        ping(now);
    }
    /// It is told to go, or goes: nobody waits for its pings any more.
    void end() {
        if (state_ == State::Waits || state_ == State::Watches)
            state_ = State::Over;
    }
    /// It was given its signal, and has until `deadline` to end.
    void miss(MonotonicTime deadline) {
        state_ = State::Missed;
        due_ = deadline;
    }
    /// It was killed.
    void kill() { due_ = MonotonicTime::never(); }

    [[nodiscard]] Duration period() const { return period_; }
    [[nodiscard]] bool is_missed() const { return state_ == State::Missed; }
    [[nodiscard]] bool is_watching() const { return state_ == State::Watches; }
    /// When its deadline comes; never() for none.
    [[nodiscard]] MonotonicTime due() const {
        return state_ == State::Watches || state_ == State::Missed ? due_ : MonotonicTime::never();
    }

private:
    enum class State : unsigned char { Waits, Watches, Missed, Over };
    void watch_from(MonotonicTime now) {
        state_ = State::Watches;
        due_ = period_ > Duration::zero() ? now + period_ : MonotonicTime::never();
    }

    Duration period_;
    MonotonicTime due_ = MonotonicTime::never();
    State state_ = State::Waits;
};

} // namespace holdfast
