// SPDX-License-Identifier: Apache-2.0
// The way back: a rollout that failed, or is undone, gives everything to the generation before it.
#include "lifecycle/unit_step.h"

#include <algorithm>
#include <utility>

namespace holdfast::lifecycle {

/// Whether the incoming generation has made up for slots in which the serving one has nothing ready.
bool UnitStep::is_leaned_on(Strategy strategy) {
    auto const& serving = the(Role::Serving);
    return serving.is_thinned || (strategy == Strategy::Rolling && !all_ready(serving));
}

void UnitStep::retire_withdrawn(GenerationId by) {
    for (auto& generation : state_.generations)
        if (generation.role == Role::Withdrawn)
            retire(generation, by);
}

/// A worker of the generation that is rolled out failed.
void UnitStep::roll_back(Generation& generation, Report const& why) {
    if (find(Role::Parked) != nullptr)
        return fall_back(&generation, why);
    auto& serving = the(Role::Serving);
    if (generation.role == Role::Incoming && is_leaned_on(state_.rollout->strategy))
        return fall_back(&generation, why);
    fail_rollout(why);
    if (generation.role != Role::Incoming) // there is nothing older to go back to; it is tried again
        return;
    if (!has_ready(serving.id) && has_ready(generation.id))
        promote(generation, no_generation);
    else
        retire(generation, no_generation);
}

/// The old one takes back what it gave up; one that was parked serves from now on. What is ready of the one
/// that `failed` (if it has begun) stays until it can be spared; where both cannot run at once, it goes
/// first.
void UnitStep::fall_back(Generation* failed, Report const& why) {
    auto& rollout = *state_.rollout;
    rollout.stage = RolloutStage::RollingBack;
    rollout.is_paused = false;
    rollout.cause = why.cause;
    rollout.exit = why.exit;
    rollout.failed = why.worker;
    auto what = why;
    what.happening = Happening::RollingBack;
    report(what);
    if (state_.reload) // what serves now was not asked
        fail_reload(why);
    if (auto* const parked = find(Role::Parked)) {
        tell_that_it_failed(why);
        std::erase_if(state_.refills,
                      [&](Refill const& refill) { return refill.generation == why.generation; });
        parked->role = Role::Serving;
        parked->is_thinned = true;
    }
    if (failed != nullptr) {
        bool const is_canary = failed->role == Role::Incoming && rollout.strategy == Strategy::Canary;
        bool const is_spare =
            is_canary && (has_ready(the(Role::Serving).id) || find_ready(Role::Withdrawn) != nullptr);
        if (is_spare || rollout.strategy == Strategy::Replace)
            retire(*failed, no_generation);
        else
            failed->role = Role::Withdrawn;
    }
    recover();
}

/// A replace goes back as it came: the old one starts when the new one is gone.
bool UnitStep::waits_to_recover() {
    auto const* const serving = find(Role::Serving);
    return serving != nullptr && serving->is_thinned && state_.rollout &&
           state_.rollout->stage == RolloutStage::RollingBack &&
           state_.rollout->strategy == Strategy::Replace;
}

/// The serving generation fills what it had given up, at once: the way back does not wait for room.
void UnitStep::recover() {
    auto& serving = the(Role::Serving);
    if (waits_to_recover() && std::ranges::any_of(state_.workers, [&](Worker const& worker) {
            return worker.generation == serving.id || worker.generation == state_.rollout->id;
        })) {
        for (auto const& generation : state_.generations)
            hurry(generation, Hurry::TheEndless);
        return;
    }
    if (std::exchange(serving.is_thinned, false))
        fill(serving, Promised::Stays);
}

/// The answer of a rollout that failed.
void UnitStep::fail_rollout(Report const& why) {
    auto what = why;
    what.happening = Happening::RolloutFailed;
    report(what);
    for (auto& old : state_.generations)
        if (old.retired_by == what.generation)
            old.retired_by = no_generation;
    leave_reload();
    state_.rollout.reset();
}

/// The roll-back is over when the serving generation has what it will have, or is no more.
void UnitStep::finish_roll_back() {
    if (!state_.rollout || state_.rollout->stage != RolloutStage::RollingBack)
        return;
    auto const* const serving = find(Role::Serving);
    if (serving == nullptr)
        return end_roll_back(false);
    if (waits_to_recover())
        recover();
    if (waits_to_recover())
        return;
    if (!is_recovering(*serving))
        end_roll_back(has_ready(serving->id));
}

/// Something of it may still become ready, or is to be tried.
bool UnitStep::is_recovering(Generation const& generation) const {
    return std::ranges::any_of(state_.workers,
                               [&](Worker const& worker) {
                                   return worker.generation == generation.id && !worker.dismissed &&
                                          worker.phase != WorkerPhase::Ready;
                               }) ||
           std::ranges::any_of(state_.refills,
                               [&](Refill const& refill) { return refill.generation == generation.id; });
}

/// If the old one does not come back, what is ready of the new one stays (P2).
void UnitStep::end_roll_back(bool is_restored) {
    auto const& rollout = *state_.rollout;
    Report const why{
        .worker = rollout.failed, .generation = rollout.id, .cause = rollout.cause, .exit = rollout.exit};
    if (is_restored)
        report({.happening = Happening::RolledBack, .generation = rollout.id});
    fail_rollout(why);
    if (!is_restored)
        keep_what_is_ready();
}

/// A generation that was withdrawn serves on where the serving one has nothing ready, or nothing that is
/// well, and does not come up.
void UnitStep::keep_what_is_ready() {
    auto const* const serving = find(Role::Serving);
    if (serving == nullptr || has_well(serving->id))
        return;
    auto* const better = find_ready(Role::Withdrawn);
    if (better != nullptr && (has_well(better->id) || !has_ready(serving->id)))
        promote(*better, no_generation);
}

} // namespace holdfast::lifecycle
