// SPDX-License-Identifier: Apache-2.0
// The reports of a unit's last rollouts as lines of text, and back. Their timelines are not kept.
#pragma once

#include "supervisor/rollout_history.h"

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

[[nodiscard]] std::string to_lines(RolloutHistory const& history);
/// Oldest first; a report that cannot be read is left out.
[[nodiscard]] std::vector<RolloutReport> read_reports(std::string_view lines);

} // namespace holdfast
