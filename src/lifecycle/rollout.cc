// SPDX-License-Identifier: Apache-2.0
// How generations come, take over, fail and go; and that each wish for one is answered once.
#include "lifecycle/unit_step.h"

#include <algorithm>
#include <utility>

namespace holdfast::lifecycle {

namespace {

/// An overlap needs two, whatever the policy says.
std::size_t most_generations(Policy const& policy) {
    return std::max<std::size_t>(2, policy.max_generations);
}

} // namespace

void UnitStep::settle() {
    arrive();
    drop_gone();
    take_the_seat();
    answer_stop();
    begin_next();
    finish();
}

bool UnitStep::may_begin(NextGeneration const& next) const {
    switch (next.strategy) {
    case Strategy::Overlap:
        return state_.generations.size() < most_generations(wanted_);
    case Strategy::Replace:
        return state_.workers.empty();
    }
    return false;
}

bool UnitStep::is_coming(GenerationId rollout) const {
    return (state_.next && state_.next->id == rollout) ||
           std::ranges::any_of(state_.generations, [&](Generation const& generation) {
               return generation.id == rollout && generation.coming;
           });
}

bool UnitStep::is_draining_for(GenerationId rollout) const {
    return std::ranges::any_of(
        state_.generations, [&](Generation const& generation) { return generation.retired_by == rollout; });
}

void UnitStep::propose(NextGeneration const& next) {
    state_.next = next;
    drop_gone(); // what was retired for it may be gone already, and makes room
    if (!next.is_rollout)
        return report({.happening = Happening::Starting, .generation = next.id});
    // With replace the draining of the old ones is part of the rollout, so it has begun.
    state_.next->announced = next.strategy == Strategy::Replace || may_begin(next);
    report({.happening = state_.next->announced ? Happening::RolloutBegan : Happening::RolloutWaits,
            .generation = next.id});
}

void UnitStep::begin_next() {
    if (!state_.next || !may_begin(*state_.next))
        return;
    auto const next = *state_.next;
    state_.next.reset();
    if (next.is_rollout && !next.announced)
        report({.happening = Happening::RolloutBegan, .generation = next.id});
    auto const role = find(Role::Serving) != nullptr ? Role::Incoming : Role::Serving;
    state_.generations.push_back({.id = next.id, .role = role, .coming = next.is_rollout, .policy = wanted_});
    fill(state_.generations.back());
}

/// A newer restart takes the place of the rollout that is coming, if there is one, and inherits what that one
/// waits for. Rollouts that already took over go on to their own end.
void UnitStep::supersede(GenerationId by) {
    auto const take = [&](GenerationId old) {
        report({.happening = Happening::RolloutSuperseded, .generation = old});
        for (auto& generation : state_.generations)
            if (generation.retired_by == old)
                generation.retired_by = by;
    };
    if (state_.next && state_.next->is_rollout)
        take(state_.next->id);
    state_.next.reset();
    for (auto& generation : state_.generations)
        if (std::exchange(generation.coming, false))
            take(generation.id);
    if (auto* const incoming = find(Role::Incoming)) {
        if (!has_ready(the(Role::Serving).id) && has_ready(incoming->id))
            promote(*incoming, by);
        else
            retire(*incoming, no_generation);
    }
}

/// Its workers are to go; nothing fills its slots any more.
void UnitStep::retire(Generation& generation, GenerationId by) {
    generation.role = Role::Outgoing;
    generation.coming = false;
    generation.retired_by = by;
    std::erase_if(state_.refills, [&](Refill const& refill) { return refill.generation == generation.id; });
    for (auto& worker : state_.workers)
        if (worker.generation == generation.id)
            send_away(worker, patience_for(generation));
}

/// The incoming generation serves before all of it is ready, because nothing of the old one is (P2).
void UnitStep::promote(Generation& incoming, GenerationId by) {
    retire(the(Role::Serving), by);
    incoming.role = Role::Serving;
}

/// A worker of it did not come up, or did not stay: those who wait for the generation are told so.
void UnitStep::fail(GenerationId id, WorkerId worker, Cause cause, std::optional<ExitKind> exit) {
    auto& generation = the(id);
    Report what{.worker = worker, .generation = id, .cause = cause, .exit = exit};
    if (std::exchange(generation.coming, false)) {
        what.happening = Happening::RolloutFailed;
        report(what);
        for (auto& old : state_.generations)
            if (old.retired_by == id)
                old.retired_by = no_generation;
    }
    if (generation.role == Role::Incoming) {
        if (!has_ready(the(Role::Serving).id) && has_ready(id))
            promote(generation, no_generation);
        else
            retire(generation, no_generation);
    }
    if (generation.role == Role::Serving && std::exchange(state_.start_owed, false)) {
        what.happening = Happening::StartFailed;
        report(what);
    }
}

/// A stop ends every rollout, those that only drain too.
void UnitStep::stop_rollouts() {
    std::vector<GenerationId> rollouts;
    if (state_.next && state_.next->is_rollout)
        rollouts.push_back(state_.next->id);
    for (auto const& generation : state_.generations) {
        if (generation.coming)
            rollouts.push_back(generation.id);
        if (generation.retired_by != no_generation)
            rollouts.push_back(generation.retired_by);
    }
    std::ranges::sort(rollouts);
    rollouts.erase(std::unique(rollouts.begin(), rollouts.end()), rollouts.end());
    for (auto const rollout : rollouts)
        report({.happening = Happening::RolloutStopped, .generation = rollout});
}

// ---- settling ----

/// All of the incoming generation is ready: it serves, and the old one drains from here. Or the serving one
/// has come up.
void UnitStep::arrive() {
    auto* generation = find(Role::Incoming);
    if (generation == nullptr || !all_ready(*generation))
        generation = find(Role::Serving);
    if (generation == nullptr || !all_ready(*generation))
        return;
    auto const id = generation->id;
    bool const is_rollout = std::exchange(generation->coming, false);
    if (is_rollout)
        report({.happening = Happening::TookOver, .generation = id});
    if (generation->role == Role::Incoming) {
        if (auto* const old = find(Role::Serving))
            retire(*old, id);
        generation->role = Role::Serving;
    }
    if (std::exchange(state_.start_owed, false))
        report({.happening = Happening::Started, .generation = id});
    if (is_rollout && !is_draining_for(id))
        report({.happening = Happening::RolloutDone, .generation = id});
}

/// A generation is gone when it has neither workers nor slots that will be filled.
void UnitStep::drop_gone() {
    auto const is_gone = [&](Generation const& generation) {
        return !has_worker(generation.id) && std::ranges::none_of(state_.refills, [&](Refill const& refill) {
            return refill.generation == generation.id;
        });
    };
    bool any_gone = false;
    for (auto it = state_.generations.begin(); it != state_.generations.end();) {
        if (!is_gone(*it)) {
            ++it;
            continue;
        }
        auto const rollout = it->retired_by;
        it = state_.generations.erase(it);
        any_gone = true;
        if (rollout != no_generation && !is_coming(rollout) && !is_draining_for(rollout))
            report({.happening = Happening::RolloutDone, .generation = rollout});
    }
    if (any_gone) { // there are many units; between rollouts each holds no more than it needs
        state_.generations.shrink_to_fit();
        state_.workers.shrink_to_fit();
    }
}

/// When the serving generation has ended by itself, the incoming one has nobody left to wait for.
void UnitStep::take_the_seat() {
    if (auto* const incoming = find(Role::Incoming); incoming != nullptr && find(Role::Serving) == nullptr)
        incoming->role = Role::Serving;
}

void UnitStep::answer_stop() {
    if (!state_.stop_owed || std::ranges::any_of(state_.workers, [&](Worker const& worker) {
            return worker.generation <= state_.stop_covers;
        }))
        return;
    state_.stop_owed = false;
    report({.happening = Happening::Stopped, .generation = state_.stop_covers});
}

/// Nothing serves, nothing comes and nothing is promised: the unit has ended by itself.
void UnitStep::finish() {
    bool const is_over = state_.goal == Goal::Up && !state_.listening && !state_.next &&
                         state_.refills.empty() && find(Role::Serving) == nullptr;
    if (!is_over)
        return;
    report({.happening = Happening::Finished, .generation = state_.last_generation});
    switch (wanted_.activation) {
    case Activation::Eager:
        state_.goal = Goal::Down;
        return;
    case Activation::Lazy:
        return promise({.tries = state_.quick_ends}, wanted_);
    }
}

} // namespace holdfast::lifecycle
