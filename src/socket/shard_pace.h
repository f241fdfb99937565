// SPDX-License-Identifier: Apache-2.0
// Are those who wait in a queue let in? Judged from looks at its length alone: the kernel counts nobody who
// is accepted. Pure: it reads no clock and looks at nothing. The supervisor asks, for mode = "least_loaded".
#pragma once

#include "base/time.h"

#include <cstdint>
#include <optional>

namespace holdfast {

/// A queue moves when it is seen empty, or shorter than at the look before. It is stuck when somebody waits
/// in it and it has done neither at `looks_until_stuck` looks in a row, over `time_until_stuck` at least: of
/// a worker that accepts under load that is so rare (a queue that goes up and down by chance: one in a
/// hundred) that the harm, a few milliseconds without new clients, is less than that of a later verdict.
class QueuePace {
public:
    static constexpr Duration time_until_stuck = std::chrono::milliseconds{90};
    static constexpr unsigned looks_until_stuck = 6;

    /// `waiting` connections, or bytes, at a time that is not before that of the last look.
    void see(std::uint32_t waiting, MonotonicTime at);
    /// Nothing as long as nothing is known.
    [[nodiscard]] std::optional<bool> is_stuck() const { return is_stuck_; }

private:
    std::uint32_t last_ = 0;
    unsigned looks_ = 0; ///< since it was known to move, or first seen
    MonotonicTime since_ = MonotonicTime::never();
    std::optional<bool> is_stuck_;
};

} // namespace holdfast
