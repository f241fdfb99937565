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

[[nodiscard]] std::vector<Invariant> const& invariants();
[[nodiscard]] std::span<Invariant const> promises();        ///< promises.cc
[[nodiscard]] std::span<Invariant const> shard_promises();  ///< shard_promises.cc
[[nodiscard]] std::span<Invariant const> demand_promises(); ///< demand_promises.cc
[[nodiscard]] std::span<Invariant const> bookkeeping();     ///< bookkeeping.cc

// what several of them look at
[[nodiscard]] std::string name(WorkerId id);
[[nodiscard]] std::string name(GenerationId id);
/// How many slots the generation has after the step.
[[nodiscard]] Slot slots_of(Scene const& scene, GenerationId id);
/// Every slot of the generation has a process that serves.
[[nodiscard]] bool all_serve(Scene const& scene, Kernel const& kernel, GenerationId id);

/// All of them, or the `only` one.
void check_invariants(Scene const& scene, std::string_view only, Complaints& complaints);

} // namespace holdfast::sim
