// SPDX-License-Identifier: Apache-2.0
// How generations come, take over, fail and go; and that each wish for one is answered once.
#include "lifecycle/sharing.h"
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

/// What one conclusion changes, another may be drawn from: until none is left.
void UnitStep::settle() {
    for (auto before = changes_ - 1; before != changes_;) {
        before = changes_;
        roll();
        advance_canary();
        relieve();
        arrive();
        drop_gone();
        finish_roll_back();
        take_the_seat();
        answer_pause(); // a stop before it may end with it, and is not its answer
        answer_stop();
        begin_next();
        make_way();
        trim();
        answer_resize();
        finish();
        if (before == changes_) // who is to go is not asked
            advance_reload();
    }
}

bool UnitStep::may_begin(NextGeneration const& next) const {
    bool const something_serves =
        std::ranges::find(state_.generations, Role::Serving, &Generation::role) != state_.generations.end();
    if (next.is_paused && something_serves)
        return false;
    switch (next.strategy) {
    case Strategy::Overlap:
    case Strategy::Rolling:
    case Strategy::Canary:
    case Strategy::InPlace:
        return (!is_served() || state_.generations.size() < most_generations(wanted_)) &&
               std::ranges::none_of(state_.generations, [&](Generation const& generation) {
                   return is_in_the_way(generation, next.id);
               });
    case Strategy::Replace:
        return state_.workers.empty();
    }
    return false;
}

/// Whoever comes does not wait for room where nobody is left who would serve meanwhile. One that is lent
/// keeps its generation, and serves nobody new.
bool UnitStep::is_served() const {
    auto const has_role = [&](GenerationId id, Role role) {
        return std::ranges::any_of(state_.generations, [&](Generation const& generation) {
            return generation.id == id && generation.role == role;
        });
    };
    return std::ranges::any_of(state_.workers,
                               [&](Worker const& worker) {
                                   bool const is_ready = worker.phase == WorkerPhase::Ready;
                                   return (is_ready && has_role(worker.generation, Role::Withdrawn)) ||
                                          ((is_ready || worker.phase == WorkerPhase::Starting) &&
                                           has_role(worker.generation, Role::Serving));
                               }) ||
           std::ranges::any_of(state_.refills, [&](Refill const& refill) {
               return has_role(refill.generation, Role::Serving);
           });
}

/// payload_byte: it reads its flows in the shards that the next one would get. The one that serves had to
/// take its seat there while the next one waited, because nothing else was ready: P2 outweighs its flows.
bool UnitStep::is_in_the_way(Generation const& generation, GenerationId next) const {
    auto const bank = bank_of(static_cast<std::uint32_t>(next));
    return generation.role != Role::Serving && std::ranges::any_of(state_.workers, [&](Worker const& worker) {
               return worker.generation == generation.id && keeps_bank(state_, worker, bank, wanted_);
           });
}

bool UnitStep::may_take_over(Generation const& incoming) const {
    bool const is_held = state_.rollout && (state_.rollout->is_paused || state_.rollout->aim < all_percent);
    return all_ready(incoming) && !is_held;
}

bool UnitStep::is_coming(GenerationId rollout) const {
    return (state_.next && state_.next->id == rollout) || (state_.rollout && state_.rollout->id == rollout);
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
    if (!state_.next)
        return;
    if (!may_begin(*state_.next))
        return hurry_for(*state_.next);
    if (!is_served())
        cut_short_surplus();
    auto const next = *state_.next;
    state_.next.reset();
    if (next.is_rollout && !next.announced)
        report({.happening = Happening::RolloutBegan, .generation = next.id});
    auto const role = find(Role::Serving) != nullptr ? Role::Incoming : Role::Serving;
    state_.generations.push_back({.id = next.id, .role = role, .policy = wanted_});
    if (next.is_rollout)
        state_.rollout = Rollout{.id = next.id, .strategy = next.strategy};
    if (role == Role::Incoming && next.strategy == Strategy::Canary && state_.rollout) {
        state_.rollout->aim = next_step(wanted_, 0);
        return advance_canary();
    }
    if (role == Role::Incoming && next.strategy == Strategy::Rolling)
        return roll();
    fill(state_.generations.back(), Promised::IsTried);
}

/// What it waits for is hurried; and cut short where clients wait for it too, because nobody serves.
void UnitStep::hurry_for(NextGeneration const& next) {
    bool const is_waited_for = !is_served();
    if (next.strategy == Strategy::Replace) { // whoever restarts with it has said that the old ones go first
        for (auto const& generation : state_.generations)
            hurry(generation, next.is_rollout ? Hurry::TheEndless : Hurry::All);
        return;
    }
    if (next.is_paused)
        return;
    auto const* const oldest = find(Role::Outgoing);
    for (auto const& generation : state_.generations)
        if (is_in_the_way(generation, next.id) || &generation == oldest)
            hurry(generation, is_waited_for ? Hurry::All : Hurry::TheEndless);
}

/// Where nobody serves the next one does not wait for room: the oldest are to make it soon.
void UnitStep::cut_short_surplus() {
    auto const most = most_generations(wanted_);
    for (std::size_t i = 0; i + most <= state_.generations.size(); ++i)
        hurry(state_.generations[i], Hurry::All);
}

/// Somebody waits until they are gone: what may drain for ever may do so no longer, or nobody longer than a
/// stop lets him.
void UnitStep::hurry(Generation const& generation, Hurry which) {
    constexpr Duration at_most = std::chrono::seconds{30}; // where stopping may take for ever too
    auto const patience = generation.policy.timeout_stop;
    auto const limit = now_ + (patience == forever ? at_most : patience);
    for (auto& worker : state_.workers) {
        bool const is_meant = which == Hurry::All || worker.deadline == MonotonicTime::never();
        if (worker.generation == generation.id && worker.phase == WorkerPhase::Draining && worker.forked &&
            is_meant)
            worker.deadline = std::min(worker.deadline, limit);
    }
}

/// A newer restart takes the place of the rollout that is coming, if there is one, and inherits what that one
/// waits for. Rollouts that already took over go on to their own end.
void UnitStep::supersede(GenerationId by, Strategy strategy) {
    auto const take = [&](GenerationId old) {
        report({.happening = Happening::RolloutSuperseded, .generation = old});
        for (auto& generation : state_.generations)
            if (generation.retired_by == old)
                generation.retired_by = by;
    };
    if (state_.next && state_.next->is_rollout)
        take(state_.next->id);
    state_.next.reset();
    leave_reload();
    // What has proved itself is what the newest comes against; what is still to do so is not.
    auto const* const before = find(Role::Serving);
    bool const is_unproven = before != nullptr && state_.rollout && state_.rollout->id == before->id &&
                             state_.rollout->stage == RolloutStage::Coming;
    bool const is_kept =
        before == nullptr || (is_unproven && (strategy == Strategy::Replace || !has_ready(before->id)));
    auto const superseded = std::exchange(state_.rollout, std::nullopt);
    if (superseded)
        take(superseded->id);
    if (auto* const parked = find(Role::Parked); parked != nullptr && !is_kept)
        retire(*parked, by);
    auto* const incoming = find(Role::Incoming);
    if (auto const* const serving = find(Role::Serving); serving == nullptr || has_ready(serving->id)) {
        // Nothing was given up for a canary.
        if (incoming != nullptr && superseded->strategy != Strategy::Canary &&
            is_leaned_on(superseded->strategy))
            incoming->role = Role::Withdrawn;
    } else if (incoming != nullptr && has_ready(incoming->id))
        promote(*incoming, by);
    else if (auto* const withdrawn = find_ready(Role::Withdrawn))
        promote(*withdrawn, by);
    if (incoming != nullptr && incoming->role == Role::Incoming)
        retire(*incoming, no_generation);
}

/// Its workers are to go; nothing fills its slots any more.
void UnitStep::retire(Generation& generation, GenerationId by) {
    ++changes_;
    generation.role = Role::Outgoing;
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
    promise_empty_slots(incoming);
}

/// A worker of it did not come up, or did not stay: those who wait for the generation are told so.
void UnitStep::fail(GenerationId id, WorkerId worker, Cause cause, std::optional<ExitKind> exit) {
    auto& generation = the(id);
    Report what{.worker = worker, .generation = id, .cause = cause, .exit = exit};
    bool const never_was_ready = cause != Cause::ExitedSoon && cause != Cause::Watchdog &&
                                 (cause != Cause::Unhealthy || !find(worker)->was_ready);
    bool const serves = generation.role == Role::Serving;
    note_fault(what);
    if (state_.rollout && state_.rollout->stage == RolloutStage::RollingBack) {
        if (serves && never_was_ready)
            end_roll_back(false);
    } else if (state_.rollout && state_.rollout->id == id)
        roll_back(generation, what);
    else if (serves && never_was_ready && state_.next) { // it would wait for ever
        state_.next->is_urgent = true;
        keep_what_is_ready();
    }
    if (the(id).role != Role::Serving)
        return;
    tell_that_it_failed(what, never_was_ready);
}

/// Those who wait for the generation that serves.
void UnitStep::tell_that_it_failed(Report what, bool resizers_too) {
    if (std::exchange(state_.start_owed, false)) {
        what.happening = Happening::StartFailed;
        report(what);
    }
    if (resizers_too && std::exchange(state_.resize_owed, false)) {
        what.happening = Happening::ResizeFailed;
        report(what);
    }
}

/// A stop, or a pause, ends every rollout, those that only drain too.
void UnitStep::stop_rollouts(Cause cause) {
    std::vector<GenerationId> rollouts;
    if (state_.next && state_.next->is_rollout)
        rollouts.push_back(state_.next->id);
    if (state_.rollout)
        rollouts.push_back(state_.rollout->id);
    state_.rollout.reset();
    for (auto const& generation : state_.generations)
        if (generation.retired_by != no_generation)
            rollouts.push_back(generation.retired_by);
    std::ranges::sort(rollouts);
    rollouts.erase(std::unique(rollouts.begin(), rollouts.end()), rollouts.end());
    for (auto const rollout : rollouts)
        report({.happening = Happening::RolloutStopped, .generation = rollout, .cause = cause});
}

// ---- settling ----

/// All of the incoming generation is ready: it serves, and the old one drains from here. Or the serving one
/// has come up.
void UnitStep::arrive() {
    auto* generation = find(Role::Incoming);
    if (generation == nullptr || !may_take_over(*generation))
        generation = find(Role::Serving);
    if (generation == nullptr || !all_ready(*generation))
        return;
    auto const id = generation->id;
    generation->has_served = true;
    if (generation->role == Role::Serving && find(Role::Incoming) == nullptr)
        generation->is_thinned = false; // it is whole again
    bool const is_rollout =
        state_.rollout && state_.rollout->id == id &&
        (state_.rollout->stage == RolloutStage::Coming || state_.rollout->stage == RolloutStage::Canary);
    auto* const old = generation->role == Role::Incoming ? find(Role::Serving)
                      : is_rollout                       ? find(Role::Parked)
                                                         : nullptr;
    bool const is_on_probation = is_rollout && old != nullptr && (has_ready(old->id) || old->is_thinned) &&
                                 generation->policy.probation > Duration{0};
    if (is_on_probation) {
        state_.rollout->stage = RolloutStage::Probation;
        state_.rollout->until = now_ + generation->policy.probation;
        report({.happening = Happening::TookOver, .generation = id, .until = state_.rollout->until});
        park(*old);
    } else {
        // Said before anybody is told to go: what only they serve is given up at this word, while they do.
        if (is_rollout) {
            state_.rollout.reset();
            report({.happening = Happening::TookOver, .generation = id});
        }
        if (old != nullptr)
            retire(*old, id);
    }
    generation->role = Role::Serving;
    retire_withdrawn(is_rollout ? id : no_generation);
    if (std::exchange(state_.start_owed, false))
        report({.happening = Happening::Started, .generation = id});
    if (is_rollout && !is_on_probation && !is_draining_for(id))
        report({.happening = Happening::RolloutDone, .generation = id});
}

/// It is kept as it is: ready to serve again, but not filled again.
void UnitStep::park(Generation& old) {
    ++changes_;
    old.role = Role::Parked;
    std::erase_if(state_.refills, [&](Refill const& refill) { return refill.generation == old.id; });
    for (auto& worker : state_.workers)
        if (worker.generation == old.id && worker.phase == WorkerPhase::Starting)
            dismiss(worker);
}

/// It goes before the new one comes, and its place is kept: it is started again if that one fails.
void UnitStep::leave(Generation& old) {
    old.is_thinned = true;
    park(old);
    for (auto& worker : state_.workers) // who leaves by itself has its slot until it is gone
        if (worker.generation == old.id && worker.phase == WorkerPhase::Ready)
            dismiss(worker);
}

/// The new one has proved itself: the old one drains.
void UnitStep::end_probation() {
    if (!state_.rollout || state_.rollout->stage != RolloutStage::Probation || now_ < state_.rollout->until)
        return;
    auto const id = state_.rollout->id;
    bool const is_in_place = state_.rollout->strategy == Strategy::InPlace;
    state_.rollout.reset();
    report({.happening = Happening::Proved, .generation = id});
    if (is_in_place)
        return end_in_place(id);
    retire(the(Role::Parked), id);
}

/// A generation is gone when it has neither workers nor slots that will be filled; unless it is what a
/// rollout that fails goes back to, or has just begun to open its slots.
void UnitStep::drop_gone() {
    bool const something_comes = find(Role::Incoming) != nullptr;
    auto const is_gone = [&](Generation const& generation) {
        bool const may_come = generation.role == Role::Incoming || generation.role == Role::Parked ||
                              (generation.role == Role::Serving && generation.is_thinned &&
                               (something_comes || waits_to_recover()));
        return !may_come && !has_worker(generation.id) &&
               std::ranges::none_of(state_.refills,
                                    [&](Refill const& refill) { return refill.generation == generation.id; });
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
        ++changes_;
        if (rollout != no_generation && !is_coming(rollout) && !is_draining_for(rollout))
            report({.happening = Happening::RolloutDone, .generation = rollout});
    }
    if (any_gone) { // there are many units; between rollouts each holds no more than it needs
        state_.generations.shrink_to_fit();
        state_.workers.shrink_to_fit();
    }
}

/// When the serving generation has ended by itself, what serves though it was withdrawn goes on, and the
/// incoming one comes against that; or it has nobody left to wait for.
void UnitStep::take_the_seat() {
    if (find(Role::Serving) != nullptr)
        return;
    auto* const incoming = find(Role::Incoming);
    if (auto* const kept = find_ready(Role::Withdrawn)) {
        ++changes_;
        if (state_.reload) // it was not asked
            fail_reload({.cause = Cause::ExitedSoon});
        kept->role = Role::Serving;
        kept->is_thinned = incoming != nullptr; // its empty slots are filled if that one fails
        if (incoming == nullptr)
            promise_empty_slots(*kept);
    } else if (incoming != nullptr) {
        ++changes_;
        incoming->role = Role::Serving;
        if (state_.rollout && state_.rollout->stage == RolloutStage::Canary) { // nobody is left to share with
            state_.rollout->stage = RolloutStage::Coming;
            state_.rollout->until = MonotonicTime::never();
        }
        promise_empty_slots(*incoming);
    } else
        retire_withdrawn(no_generation);
}

/// Nobody comes to take the slots of what was withdrawn (or a canary, which takes none): the serving
/// generation takes its own back.
void UnitStep::make_way() {
    if (find(Role::Withdrawn) == nullptr || (state_.rollout && state_.rollout->is_paused))
        return;
    bool const takes_slots = find(Role::Incoming) != nullptr && state_.rollout->strategy != Strategy::Canary;
    if (find(Role::Serving) != nullptr && !takes_slots)
        recover();
    release_withdrawn();
}

void UnitStep::answer_resize() {
    if (!state_.resize_owed)
        return;
    auto const* const serving = find(Role::Serving);
    if (serving == nullptr && state_.listening) { // the next traffic starts as many as are wanted
        state_.resize_owed = false;
        return report({.happening = Happening::Resized, .generation = state_.last_generation});
    }
    if (serving == nullptr || !all_ready(*serving))
        return;
    bool const has_surplus = std::ranges::any_of(state_.workers, [&](Worker const& worker) {
        return worker.generation == serving->id && !has_slot(*serving, worker.slot) && !worker.is_lent;
    });
    if (has_surplus)
        return;
    state_.resize_owed = false;
    report({.happening = Happening::Resized, .generation = serving->id});
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
    bool const is_over = state_.goal == Goal::Up && !state_.pause && !state_.listening && !state_.next &&
                         state_.refills.empty() && find(Role::Serving) == nullptr;
    if (!is_over)
        return;
    if (std::exchange(state_.resize_owed, false))
        report({.happening = Happening::ResizeFailed, .generation = state_.last_generation});
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
