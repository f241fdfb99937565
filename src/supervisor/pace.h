// SPDX-License-Identifier: Apache-2.0
// How often is looked at what the kernel tells by no event.
#pragma once

#include "base/time.h"

namespace holdfast::pace {

inline constexpr Duration per_unit =
    std::chrono::milliseconds{5}; ///< 200 looks a second at most, for all units
inline constexpr int per_look =
    20; ///< pauses are so many times as long as the look before: it takes a twentieth of the time

/// A queue that is being emptied: at first, then less and less often.
inline constexpr Duration first_at_rest = std::chrono::milliseconds{5};
inline constexpr Duration longest_at_rest = std::chrono::milliseconds{200};

} // namespace holdfast::pace
