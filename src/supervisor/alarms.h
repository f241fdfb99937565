// SPDX-License-Identifier: Apache-2.0
// The timers of all units behind one of the event loop's: a unit has at most one alarm, at the earliest of
// its own timers. A thousand services that start together would else hold a thousand timers of the loop at
// once, 300 bytes each. By number, never by pointer: an alarm of a unit that is gone rings nobody.
#pragma once

#include "event/loop.h"

#include <cstdint>
#include <functional>
#include <set>
#include <utility>

namespace holdfast {

class Alarms {
public:
    /// `ring` is called from the loop, for one unit at a time, at its alarm (accuracy 1 ms); that alarm is
    /// then cleared.
    Alarms(EventLoop& loop, std::function<void(std::uint32_t unit)> ring);

    /// Moves the unit's alarm from `before` to `at`; never() stands for no alarm.
    void move(std::uint32_t unit, MonotonicTime before, MonotonicTime at);

private:
    void ring_first();
    [[nodiscard]] MonotonicTime first() const;

    EventLoop& loop_;
    std::function<void(std::uint32_t)> ring_;
    std::set<std::pair<MonotonicTime, std::uint32_t>> due_;
    EventSource timer_;
};

} // namespace holdfast
