// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/state.h"

#include <algorithm>

namespace holdfast::lifecycle {

UnitPhase phase_of(UnitState const& state) {
    switch (state.goal) {
    case Goal::Down:
        return state.workers.empty() ? UnitPhase::Inactive : UnitPhase::Stopping;
    case Goal::Up:
        break;
    }
    auto const serving = std::ranges::find(state.generations, Role::Serving, &Generation::role);
    bool const is_serving = serving != state.generations.end();
    bool const is_rolling =
        (state.next && state.next->is_rollout && is_serving) ||
        (state.reload && state.reload->rollout != no_generation) ||
        std::ranges::any_of(state.generations, [](Generation const& generation) {
            return generation.role == Role::Incoming || generation.role == Role::Withdrawn ||
                   generation.role == Role::Parked || generation.retired_by != no_generation;
        });
    if (is_rolling)
        return UnitPhase::Rolling;
    if (state.listening)
        return UnitPhase::Listening;
    bool some_ready = false;
    bool some_alive = state.next.has_value();
    for (auto const& worker : state.workers)
        if (is_serving && worker.generation == serving->id) {
            some_alive = true;
            some_ready = some_ready || worker.phase == WorkerPhase::Ready;
        }
    if (some_ready)
        return UnitPhase::Active;
    return some_alive ? UnitPhase::Starting : UnitPhase::BackingOff;
}

bool may_reload_in_place(UnitState const& state) {
    auto const serving = std::ranges::find(state.generations, Role::Serving, &Generation::role);
    return serving != state.generations.end() &&
           std::ranges::any_of(state.workers, [&](Worker const& worker) {
               return worker.generation == serving->id && worker.phase == WorkerPhase::Ready;
           });
}

GenerationId rollout_to_undo(UnitState const& state) {
    if (std::ranges::find(state.generations, Role::Serving, &Generation::role) == state.generations.end())
        return no_generation;
    if (state.next && state.next->is_rollout)
        return state.next->id;
    if (!state.rollout || state.rollout->strategy == Strategy::InPlace)
        return no_generation;
    auto const incoming = std::ranges::find(state.generations, Role::Incoming, &Generation::role);
    bool const can_go_back =
        state.rollout->stage != RolloutStage::Coming || incoming != state.generations.end();
    return can_go_back ? state.rollout->id : no_generation;
}

GenerationId rollout_to_pause(UnitState const& state) {
    bool const goes_back = state.rollout && state.rollout->stage == RolloutStage::RollingBack;
    if (goes_back)
        return no_generation;
    bool const is_in_place = !state.next && state.rollout && state.rollout->strategy == Strategy::InPlace;
    return is_in_place ? state.rollout->id : rollout_to_undo(state);
}

bool is_paused(UnitState const& state) {
    return (state.next && state.next->is_paused) || (state.rollout && state.rollout->is_paused);
}

} // namespace holdfast::lifecycle
