// SPDX-License-Identifier: Apache-2.0
#include "sim/invariants.h"

#include <algorithm>

namespace holdfast::sim {

std::string name(WorkerId id) {
    return "worker " + std::to_string(static_cast<std::uint32_t>(id));
}
std::string name(GenerationId id) {
    return "generation " + std::to_string(static_cast<std::uint32_t>(id));
}

Slot slots_of(Scene const& scene, GenerationId id) {
    for (auto const& generation : scene.state.generations) // only it says whom a PolicyChanged was for
        if (generation.id == id)
            return Slot{generation.policy.workers};
    auto const* const memory = scene.history.find(id);
    return Slot{memory != nullptr ? memory->policy.workers : scene.wanted.workers};
}

bool all_serve(Scene const& scene, Kernel const& kernel, GenerationId id) {
    auto const slots = slots_of(scene, id);
    return static_cast<int>(slots) == std::ranges::count_if(kernel.processes, [&](Process const& process) {
               return process.generation == id && process.slot < slots && process.serves();
           });
}

std::vector<Invariant> const& invariants() {
    static auto const all = [] {
        std::vector<Invariant> list;
        for (auto const some : {promises(), shard_promises(), demand_promises(), bookkeeping()})
            list.insert(list.end(), some.begin(), some.end());
        return list;
    }();
    return all;
}

void check_invariants(Scene const& scene, std::string_view only, Complaints& complaints) {
    for (auto const& invariant : invariants()) {
        if (!only.empty() && invariant.name != only)
            continue;
        if (auto what = invariant.check(scene); !what.empty())
            complaints.push_back({invariant.name, std::move(what)});
    }
}

} // namespace holdfast::sim
