// SPDX-License-Identifier: Apache-2.0
// Workers re-read their configuration, because a reload was wished or as a rollout in place: one after the
// other, so that a configuration that is no good reaches one of them only. Nothing is replaced, so there is
// nothing to go back to: whoever fails goes on as it says itself, and the rest is not asked.
#include "lifecycle/unit_step.h"

#include <algorithm>
#include <utility>

namespace holdfast::lifecycle {

void UnitStep::on(ReloadWished const&) {
    report({.happening = Happening::Reloading, .generation = state_.last_generation});
    want_reload().is_wished = true;
}

/// From its beginning, for all who are there now.
ReloadRound& UnitStep::want_reload() {
    ++changes_;
    auto& round = state_.reload ? *state_.reload : state_.reload.emplace();
    round.is_again = round.is_asked;
    if (!round.is_asked)
        round.worker = WorkerId{};
    round.last = state_.last_worker;
    return round;
}

void UnitStep::begin_in_place(GenerationId id) {
    state_.rollout = Rollout{.id = id, .strategy = Strategy::InPlace};
    report({.happening = Happening::RolloutBegan, .generation = id});
    want_reload().rollout = id;
}

/// The next one is asked. One that starts may have read the old configuration, so it is waited for.
void UnitStep::advance_reload() {
    if (!state_.reload)
        return;
    auto& round = *state_.reload;
    if (round.is_asked) {
        auto const* const asked = find(round.worker);
        if (asked != nullptr && asked->phase == WorkerPhase::Ready)
            return;
        round.is_asked = false; // it goes for another reason
    }
    if (std::exchange(round.is_again, false))
        round.worker = WorkerId{};
    if (is_reload_held() && !round.is_wished)
        return;
    auto const next = std::ranges::find_if(state_.workers, [&](Worker const& worker) {
        auto const role = the(worker.generation).role; // what one may go back to is not to be tried with it
        return worker.id > round.worker && worker.id <= round.last && !worker.dismissed &&
               (role == Role::Serving || role == Role::Incoming) &&
               (worker.phase == WorkerPhase::Ready || worker.phase == WorkerPhase::Starting);
    });
    if (next == state_.workers.end())
        return finish_reload();
    if (next->phase != WorkerPhase::Ready)
        return;
    ++changes_;
    round.worker = next->id;
    round.is_asked = true;
    round.deadline = now_ + the(next->generation).policy.timeout_start;
    orders_.emplace_back(Reload{next->id});
}

/// The rollout that it is for is paused, and something serves meanwhile.
bool UnitStep::is_reload_held() const {
    return state_.rollout && state_.rollout->id == state_.reload->rollout && state_.rollout->is_paused &&
           may_reload_in_place(state_);
}

void UnitStep::finish_reload() {
    auto const rollout = state_.reload->rollout;
    if (std::exchange(state_.reload->is_wished, false))
        report({.happening = Happening::ReloadDone, .generation = state_.last_generation});
    auto const* const serving = find(Role::Serving);
    bool const comes_up = rollout != no_generation && serving != nullptr && is_recovering(*serving);
    if (comes_up || is_reload_held()) // who takes the place of one that went is part of the proof
        return;
    ++changes_;
    state_.reload.reset();
    if (rollout == no_generation)
        return;
    if (serving == nullptr)
        return fail_rollout({.generation = rollout, .cause = Cause::ExitedSoon});
    auto const probation = serving->policy.probation;
    if (probation > Duration{0}) {
        state_.rollout->stage = RolloutStage::Probation;
        state_.rollout->until = now_ + probation;
        return report(
            {.happening = Happening::TookEffect, .generation = rollout, .until = state_.rollout->until});
    }
    state_.rollout.reset();
    report({.happening = Happening::TookEffect, .generation = rollout});
    end_in_place(rollout);
}

/// What was superseded for it may drain yet.
void UnitStep::end_in_place(GenerationId rollout) {
    if (!is_draining_for(rollout))
        report({.happening = Happening::RolloutDone, .generation = rollout});
}

void UnitStep::on(Reloaded const& fact) {
    if (!is_asked_to_reload(state_, fact.worker))
        return;
    auto const* const worker = find(fact.worker);
    if (worker == nullptr || worker->phase != WorkerPhase::Ready)
        return;
    state_.reload->is_asked = false;
    state_.reload->reloaded = std::max(state_.reload->reloaded, fact.worker);
    report({.happening = Happening::WorkerReloaded, .worker = fact.worker, .generation = worker->generation});
}

void UnitStep::on(ReloadRefused const& fact) {
    if (is_asked_to_reload(state_, fact.worker))
        fail_reload({.worker = fact.worker, .cause = Cause::ReloadRefused});
}

void UnitStep::on_reload_deadline(WorkerId id) {
    if (is_asked_to_reload(state_, id) && state_.reload->deadline <= now_)
        fail_reload({.worker = id, .cause = Cause::ReloadDeadline});
}

/// Those who wait for it are told, and nobody else is asked.
void UnitStep::fail_reload(Report what) {
    auto const round = *state_.reload;
    if (is_asked_to_reload(state_, what.worker))
        state_.reload.reset();
    else {
        state_.reload->is_wished = false;
        leave_reload();
    }
    what.happening = Happening::ReloadFailed;
    what.generation = state_.last_generation;
    if (round.is_wished)
        report(what);
    what.generation = round.rollout;
    if (round.rollout != no_generation)
        fail_rollout(what);
}

/// A worker failed. If it has read the new configuration, that may be why.
void UnitStep::note_fault(Report const& what) {
    bool const is_in_place = state_.rollout && state_.rollout->strategy == Strategy::InPlace;
    if (is_in_place && state_.rollout->stage == RolloutStage::Probation) {
        auto why = what;
        why.generation = state_.rollout->id;
        fail_rollout(why);
    }
    if (!state_.reload)
        return;
    auto const& round = *state_.reload;
    bool const has_reloaded = what.worker <= round.reloaded || what.worker > round.last;
    if (has_reloaded || is_asked_to_reload(state_, what.worker))
        fail_reload(what);
}

/// The rollout that the workers reload for has ended. Who is asked is waited for all the same, so that never
/// two of them reload at once.
void UnitStep::leave_reload() {
    if (!state_.reload)
        return;
    auto& round = *state_.reload;
    round.rollout = no_generation;
    if (round.is_wished)
        return;
    round.is_again = false;
    round.last = round.worker;
    if (!round.is_asked)
        state_.reload.reset();
}

} // namespace holdfast::lifecycle
