// SPDX-License-Identifier: Apache-2.0
// A run's result for people and for programs, and the judgement whether it measured the server or the
// generator.
#pragma once

#include "load/tally.h"

#include <string>

namespace holdfast::load {

/// What a run must be to count as sustained: nothing failed, the generator was on time, and the answers were
/// not queueing up.
struct CleanLimits {
    Duration p99 = std::chrono::milliseconds{5};
    Duration lag_p99 = std::chrono::milliseconds{1};
};
[[nodiscard]] bool is_clean(Tally const& tally, CleanLimits const& limits);

[[nodiscard]] std::string to_table(Plan const& plan, Tally const& tally);
/// One JSON object; times in microseconds.
[[nodiscard]] std::string to_json(Plan const& plan, Tally const& tally);

} // namespace holdfast::load
