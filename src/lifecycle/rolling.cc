// SPDX-License-Identifier: Apache-2.0
// How slots pass from one generation to another, one by one: rolling, and what is too many after a resize.
// All of it, and the way back, keeps the same floor of ready workers and, forwards, the same ceiling.
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

} // namespace holdfast::lifecycle
