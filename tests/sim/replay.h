// SPDX-License-Identifier: Apache-2.0
// Traces as text: what a failing run prints, what `holdfast trace` prints, and what tests/sim/traces keeps.
#pragma once

#include "sim/world.h"

namespace holdfast::sim {

/// Delivers the lines until somebody complains.
[[nodiscard]] Complaints replay(World& world, std::vector<TraceLine> const& trace);

/// The lines of a trace file; empty lines and those from '#' on are for people. Throws on a malformed line.
[[nodiscard]] std::vector<TraceLine> parse_trace(std::string_view text);

/// What went wrong and the trace file that shows it.
[[nodiscard]] std::string describe(std::vector<TraceLine> const& trace, Complaints const& complaints,
                                   Policy const& policy);

} // namespace holdfast::sim
