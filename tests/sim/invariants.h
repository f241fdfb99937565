// SPDX-License-Identifier: Apache-2.0
// The named invariants of the lifecycle; src/lifecycle/README.md says the same in its list. Each looks at one
// step from outside.
#pragma once

#include "sim/history.h"

#include <array>
#include <span>

namespace holdfast::sim {

struct Invariant {
    std::string_view name;
    std::string_view promise;
    /// Returns what is wrong, or nothing.
    std::string (*check)(Scene const& scene);
};

[[nodiscard]] std::span<Invariant const> invariants();

void check_invariants(Scene const& scene, Complaints& complaints);

} // namespace holdfast::sim
