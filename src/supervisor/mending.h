// SPDX-License-Identifier: Apache-2.0
// The pace at which listeners that a worker has shut down are made to listen again: fast enough for a rollout
// of many workers that each do it as they go, and slow enough to cost nothing where it never ends.
#pragma once

#include "base/time.h"

namespace holdfast {

/// So often in a row at once, and then once per period.
inline constexpr int mended_at_once = 8;
inline constexpr Duration mending_period = std::chrono::seconds{1};
/// After a failure; then twice as long each time.
inline constexpr Duration first_mending_retry = std::chrono::milliseconds{100};
inline constexpr Duration longest_mending_retry = std::chrono::seconds{30};

} // namespace holdfast
