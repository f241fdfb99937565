// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/state.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace {

bool has(UnitState const& state, Role role) {
    return std::ranges::find(state.generations, role, &Generation::role) != state.generations.end();
}

} // namespace

UnitPhase phase_of(UnitState const& state) {
    switch (state.goal) {
    case Goal::Down:
        return state.workers.empty() ? UnitPhase::Inactive : UnitPhase::Stopping;
    case Goal::Up:
        break;
    }
    if (state.pause)
        return UnitPhase::Paused;
    auto const serving = std::ranges::find(state.generations, Role::Serving, &Generation::role);
    bool const is_serving = serving != state.generations.end();
    bool const is_rolling =
        (state.next && state.next->is_rollout && is_serving) ||
        (state.rollout && (state.rollout->strategy == Strategy::InPlace ||
                           state.rollout->stage == RolloutStage::RollingBack)) ||
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

bool may_idle(UnitState const& state) {
    bool const is_alone = state.goal == Goal::Up && !state.next && !state.rollout && !state.reload &&
                          !state.start_owed && !state.resize_owed && state.refills.empty();
    auto const serving = std::ranges::find(state.generations, Role::Serving, &Generation::role);
    return is_alone && serving != state.generations.end() && serving->policy.activation == Activation::Lazy &&
           serving->policy.idle_stop > Duration{0} &&
           std::ranges::all_of(
               state.workers,
               [&](Worker const& worker) { return worker.generation != serving->id || is_well(worker); }) &&
           std::ranges::all_of(state.generations, [&](Generation const& generation) {
               return generation.role == Role::Outgoing || generation.id == serving->id;
           });
}

bool is_asked_to_reload(UnitState const& state, WorkerId worker) {
    return state.reload && state.reload->is_asked && state.reload->worker == worker;
}

bool may_reload_in_place(UnitState const& state) {
    auto const serving = std::ranges::find(state.generations, Role::Serving, &Generation::role);
    return serving != state.generations.end() &&
           std::ranges::any_of(state.workers, [&](Worker const& worker) {
               return worker.generation == serving->id && worker.phase == WorkerPhase::Ready;
           });
}

GenerationId rollout_to_undo(UnitState const& state) {
    if (!has(state, Role::Serving) && !has(state, Role::Parked))
        return no_generation;
    if (state.next && state.next->is_rollout)
        return state.next->id;
    if (!state.rollout || state.rollout->strategy == Strategy::InPlace)
        return no_generation;
    bool const can_go_back = state.rollout->stage != RolloutStage::Coming || has(state, Role::Incoming) ||
                             has(state, Role::Parked);
    return can_go_back ? state.rollout->id : no_generation;
}

/// Something serves that can go on meanwhile.
GenerationId rollout_to_pause(UnitState const& state) {
    if (state.next)
        return has(state, Role::Serving) ? rollout_to_undo(state) : no_generation;
    if (!state.rollout)
        return no_generation;
    switch (state.rollout->stage) {
    case RolloutStage::Coming:
        return has(state, Role::Incoming) || state.rollout->strategy == Strategy::InPlace ? state.rollout->id
                                                                                          : no_generation;
    case RolloutStage::Canary:
    case RolloutStage::Probation:
        return state.rollout->id;
    case RolloutStage::RollingBack:
        return no_generation;
    }
    return no_generation;
}

bool is_paused(UnitState const& state) {
    return (state.next && state.next->is_paused) || (state.rollout && state.rollout->is_paused);
}

} // namespace holdfast::lifecycle
