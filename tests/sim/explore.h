// SPDX-License-Identifier: Apache-2.0
// Small scope, all of it: every fact that can happen, in every order, up to a depth. States that differ only
// in names and in the time of day are one.
#pragma once

#include "sim/world.h"

#include <cstddef>

namespace holdfast::sim {

struct Exploration {
    std::size_t states = 0;
    std::size_t steps = 0;
    Complaints complaints;        ///< of the first bad step
    std::vector<TraceLine> trace; ///< that leads to it, as short as can be
};

/// All facts that may come next, time included.
[[nodiscard]] std::vector<TraceLine> possible_lines(World const& world);

/// Equal for worlds that will do the same.
[[nodiscard]] std::uint64_t fingerprint(World const& world);

[[nodiscard]] Exploration explore(World const& start, int depth);

} // namespace holdfast::sim
