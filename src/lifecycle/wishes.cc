// SPDX-License-Identifier: Apache-2.0
// What the operator's wishes mean.
#include "lifecycle/unit_step.h"

#include <algorithm>
#include <utility>

namespace holdfast::lifecycle {

void UnitStep::on(StartWished const&) {
    reset_counters();
    end_pause(Cause::None);
    if (std::exchange(state_.goal, Goal::Up) == Goal::Down)
        return start_from_nothing();
    auto* const serving = find(Role::Serving);
    bool const something_comes = state_.next || find(Role::Incoming) || find(Role::Withdrawn);
    if (serving == nullptr && !something_comes)
        return start_from_nothing();
    if (serving != nullptr && !has_worker(serving->id) && !something_comes && !waits_to_recover()) {
        retire(*serving, no_generation); // only back-off is left of it: start afresh, by the wanted spec
        return start_from_nothing();
    }
    state_.start_owed = true; // if all are ready, settle() answers in this very step
    if (serving == nullptr)
        return report({.happening = Happening::Starting, .generation = state_.next->id});
    fill(*serving, Promised::IsTried);
    if (!all_ready(*serving))
        report({.happening = Happening::Starting, .generation = serving->id});
}

/// Up is wished while nothing serves and nothing comes (old workers may still drain).
void UnitStep::start_from_nothing(bool is_wished) {
    state_.refills.clear();
    switch (wanted_.activation) {
    case Activation::Eager:
        state_.listening = false;
        state_.start_owed = is_wished;
        return propose({.id = new_generation(wanted_.strategy), .strategy = wanted_.strategy});
    case Activation::Lazy:
        state_.listening = true;
        state_.start_owed = false;
        if (is_wished)
            report({.happening = Happening::Started, .generation = state_.last_generation});
    }
}

void UnitStep::on(StopWished const&) {
    reset_counters();
    stop_rollouts();
    state_.goal = Goal::Down;
    state_.pause.reset();
    state_.listening = false;
    state_.start_owed = false; // the Stopped that follows is its answer
    state_.next.reset();
    state_.refills.clear();
    state_.resize_owed = false;
    state_.reload.reset();
    state_.stop_owed = true;
    state_.stop_covers = state_.last_generation;
    if (!state_.workers.empty())
        report({.happening = Happening::Stopping, .generation = state_.stop_covers});
    for (auto& generation : state_.generations)
        retire(generation, no_generation);
}

void UnitStep::on(RestartWished const& wish) {
    reset_counters();
    end_pause(Cause::None);
    auto strategy = wish.strategy.value_or(wanted_.strategy);
    if (strategy == Strategy::InPlace && !may_reload_in_place(state_))
        strategy = Strategy::Overlap;
    auto const id = new_generation(strategy);
    state_.goal = Goal::Up;
    bool const nothing_runs = find(Role::Serving) == nullptr && !state_.next;
    if (nothing_runs && wanted_.activation == Activation::Lazy) { // the next traffic starts the wanted spec
        state_.refills.clear();
        state_.listening = true;
        report({.happening = Happening::RolloutBegan, .generation = id});
        return report({.happening = Happening::RolloutDone, .generation = id});
    }
    bool const was_going_back = waits_to_recover();
    supersede(id, strategy);
    if (strategy == Strategy::InPlace)
        return begin_in_place(id);
    state_.listening = false;
    if (auto* const serving = find(Role::Serving)) {
        bool const goes_first = strategy == Strategy::Replace;
        bool const is_worth_it = has_ready(serving->id) || serving->has_served;
        if ((goes_first || was_going_back) && is_worth_it && find(Role::Parked) == nullptr)
            leave(*serving);
        else if (goes_first || !has_ready(serving->id)) // nothing of it is worth protecting
            retire(*serving, id);
        if (goes_first)
            retire_withdrawn(id);
    } else
        state_.refills.clear();
    propose({.id = id, .strategy = strategy, .is_rollout = true});
}

/// What has nothing older to go back to goes on.
void UnitStep::on(UndoWished const&) {
    auto const id = rollout_to_undo(state_);
    if (id == no_generation)
        return;
    Report const why{.generation = id, .cause = Cause::Undone};
    if (state_.next) { // it waits for room, or until the old one is gone
        auto const strategy = state_.next->strategy;
        state_.next.reset();
        if (find(Role::Parked) == nullptr)
            return fail_rollout(why);
        state_.rollout = Rollout{.id = id, .strategy = strategy};
        return fall_back(nullptr, why);
    }
    if (state_.rollout->stage != RolloutStage::RollingBack)
        roll_back(the(id), why);
}

void UnitStep::on(PauseRolloutWished const&) {
    auto const id = rollout_to_pause(state_);
    if (id == no_generation || is_paused(state_))
        return;
    if (state_.next)
        state_.next->is_paused = true;
    else {
        auto& rollout = *state_.rollout;
        rollout.is_paused = true;
        auto const until = std::exchange(rollout.until, MonotonicTime::never());
        rollout.left = until == MonotonicTime::never() ? forever : std::max(Duration{0}, until - now_);
    }
    report({.happening = Happening::RolloutPaused, .generation = id});
}

void UnitStep::on(ResumeRolloutWished const&) {
    if (!is_paused(state_))
        return;
    Report what{.happening = Happening::RolloutResumed};
    if (state_.next) {
        state_.next->is_paused = false;
        what.generation = state_.next->id;
    } else {
        auto& rollout = *state_.rollout;
        rollout.is_paused = false;
        rollout.until = now_ + std::exchange(rollout.left, forever);
        what.generation = rollout.id;
        if (rollout.until != MonotonicTime::never())
            what.until = rollout.until;
    }
    report(what);
}

/// What a generation was made of stays: its text, how it shows that it is ready and what starts it.
void UnitStep::on(PolicyChanged const&) {
    for (auto& generation : state_.generations) {
        if (generation.role == Role::Outgoing)
            continue;
        auto const before = std::exchange(generation.policy, wanted_);
        generation.policy.spec = before.spec;
        generation.policy.type = before.type;
        generation.policy.activation = before.activation;
        generation.policy.settle_time = before.settle_time;
        generation.policy.is_probed = before.is_probed;
        if (before.workers != wanted_.workers)
            resize(generation);
    }
}

/// Its new slots are filled at once; what is too many goes when the others can spare it (trim()).
void UnitStep::resize(Generation& generation) {
    std::erase_if(state_.refills, [&](Refill const& refill) {
        return refill.generation == generation.id && !has_slot(generation, refill.slot);
    });
    switch (generation.role) {
    case Role::Serving:
        state_.resize_owed = true;
        report({.happening = Happening::Resizing, .generation = generation.id});
        return fill(generation, Promised::Stays);
    case Role::Incoming:
        if (state_.rollout->strategy == Strategy::Overlap)
            fill(generation, Promised::Stays);
        return;
    case Role::Parked:
    case Role::Withdrawn:
    case Role::Outgoing:
        return;
    }
}

} // namespace holdfast::lifecycle
