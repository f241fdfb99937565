// SPDX-License-Identifier: Apache-2.0
// Are those who wait in a queue let in? Judged from looks at its length alone: the kernel counts nobody who
// is accepted. Pure: it reads no clock and looks at nothing. The supervisor asks, for mode = "least_loaded".
#pragma once

#include "base/time.h"

#include <cstdint>
#include <optional>

namespace holdfast {

/// A queue moves when it is seen empty, or shorter than at the look before. It stands still when somebody
/// waits in it and it has done neither at `looks_until_stuck` looks in a row, over `time_until_stuck` at
/// least. So does one that only grows, because more come than its worker, which accepts all the time, can
/// take: then those that move are about as long. Only one that is more than `times_longer` as long as any
/// that moves is stuck. It has its part again when it moved at two looks in a row, and not before
/// `least_time`: else a worker that takes longer for each client than we look for would lose and get it at
/// each one.
class QueuePace {
public:
    static constexpr Duration time_until_stuck = std::chrono::milliseconds{90};
    static constexpr unsigned looks_until_stuck = 6;
    static constexpr std::uint32_t times_longer = 2;
    static constexpr Duration least_time = std::chrono::milliseconds{200};

    /// `waiting` connections, or bytes, at a time that is not before that of the last look.
    void see(std::uint32_t waiting, MonotonicTime at);
    /// After each look: how long the longest of the others is that move().
    void judge(std::uint32_t longest_that_moves);
    [[nodiscard]] bool moves() const { return is_stuck_ == false && !stands_still(); }
    [[nodiscard]] std::uint32_t waiting() const { return last_; }
    /// Nothing as long as nothing is known.
    [[nodiscard]] std::optional<bool> is_stuck() const { return is_stuck_; }

private:
    [[nodiscard]] bool stands_still() const;

    std::uint32_t last_ = 0;
    unsigned looks_ = 0; ///< since it was known to move, or first seen
    unsigned moves_ = 0; ///< looks in a row at which it moved
    MonotonicTime since_ = MonotonicTime::never();
    MonotonicTime seen_{};     ///< last
    MonotonicTime stuck_at_{}; ///< since when, if it is
    std::optional<bool> is_stuck_;
};

} // namespace holdfast
