// SPDX-License-Identifier: Apache-2.0
// How slots pass from one generation to another, one by one: rolling, what is too many after a resize, and
// the way back. All of it keeps the same floor of ready workers and, forwards, the same ceiling.
#include "lifecycle/unit_step.h"

#include <algorithm>
#include <ranges>
#include <utility>

namespace holdfast::lifecycle {

namespace {

bool is_in_pool(Role role) {
    switch (role) {
    case Role::Incoming:
    case Role::Serving:
    case Role::Withdrawn:
        return true;
    case Role::Parked:
    case Role::Outgoing:
        return false;
    }
    return false;
}

bool stays(Worker const& worker) {
    return worker.phase == WorkerPhase::Starting || worker.phase == WorkerPhase::Ready;
}

} // namespace

bool UnitStep::has_well(GenerationId generation) const {
    return std::ranges::any_of(state_.workers, [&](Worker const& worker) {
        return worker.generation == generation && is_well(worker);
    });
}

/// What all generations that have not been told to go have together, or one `alone`, and what they are to
/// keep.
UnitStep::Pool UnitStep::pool(Policy const& policy, GenerationId alone) const {
    Pool pool;
    unsigned least = ~0U;
    unsigned most = 0;
    for (auto const& generation : state_.generations) {
        bool const is_meant = alone == no_generation || generation.id == alone;
        // one that comes as a whole may fail as a whole yet
        bool const is_counted = generation.role != Role::Incoming || alone == generation.id ||
                                state_.rollout->strategy == Strategy::Rolling;
        if (!is_in_pool(generation.role) || !is_meant || !is_counted)
            continue;
        least = std::min<unsigned>(least, slots_of(generation.policy));
        most = std::max<unsigned>(most, slots_of(generation.policy));
        for (auto const& worker : state_.workers)
            if (worker.generation == generation.id && stays(worker)) {
                ++pool.alive;
                if (worker.phase == WorkerPhase::Ready)
                    ++(is_well(worker) ? pool.ready : pool.unwell);
            }
        pool.alive += static_cast<unsigned>(std::ranges::count(
            state_.refills, generation.id, [](Refill const& refill) { return refill.generation; }));
    }
    // The last ready one stays, whatever the policy says; then there must be room for one more.
    pool.floor = least > policy.max_unavailable ? least - policy.max_unavailable : 1U;
    pool.ceiling = std::max(most + policy.max_surge, pool.floor + 1U);
    return pool;
}

/// Takes it out of what is counted, if the others can do without it.
bool UnitStep::can_spare(Worker const& worker, Pool& pool) {
    if (worker.phase == WorkerPhase::Ready) {
        if (is_well(worker) ? pool.ready <= pool.floor : pool.ready + pool.unwell <= 1)
            return false;
        --(is_well(worker) ? pool.ready : pool.unwell);
    }
    --pool.alive;
    return true;
}

/// It did nothing wrong, but its slot is another's now, or nobody's.
void UnitStep::dismiss(Worker& worker) {
    worker.dismissed = true;
    send_away(worker, patience_for(the(worker.generation)));
}

/// The workers of other generations in this slot go, as far as they can be spared: those that are `ready`, or
/// the others and what is promised there.
void UnitStep::cede(Slot slot, GenerationId to, bool ready, Pool& pool) {
    for (auto& worker : state_.workers) {
        auto& generation = the(worker.generation);
        bool const is_meant = worker.generation != to && worker.slot == slot && is_in_pool(generation.role) &&
                              stays(worker) && (worker.phase == WorkerPhase::Ready) == ready;
        if (!is_meant || !can_spare(worker, pool))
            continue;
        generation.is_thinned = true;
        dismiss(worker);
    }
    if (ready)
        return;
    pool.alive -= static_cast<unsigned>(std::erase_if(state_.refills, [&](Refill const& refill) {
        if (refill.generation == to || refill.slot != slot || refill.generation == no_generation)
            return false;
        the(refill.generation).is_thinned = true;
        return true;
    }));
}

/// Brings the incoming generation on: an old worker goes when the new one in its slot is ready, and the next
/// slots are opened as the limits allow. Slots in which nothing is ready come first: they cost nobody.
void UnitStep::roll() {
    auto* const incoming = find(Role::Incoming);
    if (incoming == nullptr || !state_.rollout || state_.rollout->strategy != Strategy::Rolling ||
        state_.rollout->is_paused)
        return;
    auto const id = incoming->id;
    auto const slots = slots_of(incoming->policy);
    auto count = pool(incoming->policy);
    auto const has = [&](std::uint16_t number, bool is_new) {
        return std::ranges::any_of(state_.workers, [&](Worker const& worker) {
            return worker.slot == Slot{number} && (worker.generation == id) == is_new &&
                   (is_new ? !worker.dismissed : worker.phase == WorkerPhase::Ready);
        });
    };
    for (auto const& worker : std::vector<Worker>{state_.workers})
        if (worker.generation == id && worker.phase == WorkerPhase::Ready)
            for (bool const ready : {false, true})
                cede(worker.slot, id, ready, count);
    std::uint16_t most = slots;
    for (auto const& worker : state_.workers)
        most = std::max(most, static_cast<std::uint16_t>(static_cast<std::uint16_t>(worker.slot) + 1));
    for (auto const& refill : state_.refills)
        most = std::max(most, static_cast<std::uint16_t>(static_cast<std::uint16_t>(refill.slot) + 1));
    for (auto number = slots; number < most; ++number) // those that it will not have
        for (bool const ready : {false, true})
            cede(Slot{number}, id, ready, count);
    for (bool const old_is_ready : {false, true})
        for (std::uint16_t number = 0; number < slots; ++number) {
            if (has(number, true) || has(number, false) != old_is_ready)
                continue;
            if (!old_is_ready || count.alive >= count.ceiling)
                cede(Slot{number}, id, false, count);
            if (count.alive >= count.ceiling)
                cede(Slot{number}, id, true, count);
            if (count.alive >= count.ceiling)
                continue;
            spawn(the(id), Slot{number}, 0);
            ++count.alive;
        }
}

/// Those in slots that a resize has taken away go, the highest first, as far as the rest can spare them.
void UnitStep::trim() {
    for (auto const& generation : state_.generations) {
        if (generation.role != Role::Serving && generation.role != Role::Incoming)
            continue;
        std::vector<WorkerId> surplus;
        for (auto const& worker : state_.workers)
            if (worker.generation == generation.id && !has_slot(generation, worker.slot) && stays(worker))
                surplus.push_back(worker.id);
        let_go(std::move(surplus), generation.policy, generation.id); // a newer one may fail yet
    }
}

/// What was withdrawn goes as the serving generation, with the incoming one if there is one, can spare it:
/// what failed last goes first.
void UnitStep::release_withdrawn() {
    auto const* serving = find(Role::Serving);
    if (serving == nullptr)
        return;
    bool const is_pressed = state_.next && (state_.next->is_urgent || !is_recovering(*serving));
    if (is_pressed) {
        keep_what_is_ready();
        serving = find(Role::Serving);
    }
    for (auto& generation : state_.generations | std::views::reverse) {
        if (generation.role != Role::Withdrawn)
            continue;
        std::vector<WorkerId> mine;
        for (auto const& worker : state_.workers)
            if (worker.generation == generation.id && stays(worker))
                mine.push_back(worker.id);
        auto policy = serving->policy;
        if (is_pressed)
            policy.max_unavailable = slots_of(policy); // only the last ready one is too many to lose
        let_go(std::move(mine), policy);
        if (!has_ready(generation.id))
            retire(generation, no_generation);
    }
}

/// Who is unhealthy goes as soon as another one is ready: of its generation, or of the one that serves.
void UnitStep::relieve() {
    for (auto& worker : state_.workers) {
        if (worker.phase != WorkerPhase::Ready || !worker.dismissed)
            continue;
        bool const is_kept = the(worker.generation).role == Role::Parked; // only its own may follow it
        bool const is_followed = std::ranges::any_of(state_.workers, [&](Worker const& other) {
            return is_well(other) && (other.generation == worker.generation ||
                                      (!is_kept && the(other.generation).role == Role::Serving));
        });
        if (is_followed)
            send_away(worker, patience_for(the(worker.generation)));
    }
}

/// Those that the pool, or one generation `alone`, can spare.
void UnitStep::let_go(std::vector<WorkerId> candidates, Policy const& policy, GenerationId alone) {
    if (candidates.empty())
        return;
    auto const slot_of = [&](WorkerId id) { return find(id)->slot; };
    std::ranges::sort(candidates, std::greater{}, slot_of);
    auto count = pool(policy, alone);
    for (auto const id : candidates) {
        auto& worker = *find(id);
        if (can_spare(worker, count))
            dismiss(worker);
    }
}

// ---- the way back ----

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
    if (state_.rollout->stage == RolloutStage::Probation)
        return fall_back(generation, why);
    auto& serving = the(Role::Serving);
    if (generation.role == Role::Incoming && is_leaned_on(state_.rollout->strategy))
        return fall_back(generation, why);
    fail_rollout(why);
    if (generation.role != Role::Incoming) // there is nothing older to go back to; it is tried again
        return;
    if (!has_ready(serving.id) && has_ready(generation.id))
        promote(generation, no_generation);
    else
        retire(generation, no_generation);
}

/// The old one takes back what it gave up; one that was parked serves from now on. What is ready of the new
/// one stays until it can be spared.
void UnitStep::fall_back(Generation& generation, Report const& why) {
    auto& rollout = *state_.rollout;
    rollout.stage = RolloutStage::RollingBack;
    rollout.is_paused = false;
    rollout.cause = why.cause;
    rollout.exit = why.exit;
    rollout.failed = why.worker;
    auto what = why;
    what.happening = Happening::RollingBack;
    report(what);
    if (auto* const parked = find(Role::Parked)) {
        tell_that_it_failed(why);
        std::erase_if(state_.refills,
                      [&](Refill const& refill) { return refill.generation == generation.id; });
        parked->role = Role::Serving;
        parked->is_thinned = true;
    }
    bool const is_canary = generation.role == Role::Incoming && rollout.strategy == Strategy::Canary;
    if (is_canary && (has_ready(the(Role::Serving).id) || find_ready(Role::Withdrawn) != nullptr))
        retire(generation, no_generation); // nothing was given up for it
    else
        generation.role = Role::Withdrawn;
    recover();
}

/// The serving generation fills what it had given up, at once: the way back does not wait for room.
void UnitStep::recover() {
    auto& serving = the(Role::Serving);
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
