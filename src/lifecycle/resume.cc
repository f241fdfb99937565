// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/resume.h"

#include "base/ensure.h"
#include "lifecycle/levels.h"
#include "lifecycle/sharing.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace {

Generation const& generation_of(UnitState const& state, Worker const& worker) {
    auto const found = std::ranges::find(state.generations, worker.generation, &Generation::id);
    ensure(found != state.generations.end(), "a worker's generation is there as long as it");
    return *found;
}

/// No process of it is there.
void miss(UnitState const& state, Worker const& worker, Resumed& resumed) {
    switch (worker.phase) {
    case WorkerPhase::Starting:
        if (worker.forked)
            break;
        resumed.orders.emplace_back(spawn_order(state, worker));
        return;
    case WorkerPhase::Draining:
    case WorkerPhase::Killed:
        if (worker.forked)
            break;
        resumed.facts.emplace_back(Exited{worker.id, ExitKind::Clean}); // never started, and it need not be
        return;
    case WorkerPhase::Ready:
        break;
    }
    resumed.facts.emplace_back(Exited{worker.id, ExitKind::UncleanCode});
}

void meet(UnitState const& state, Worker const& worker, FoundWorker const& found, Resumed& resumed) {
    if (!worker.forked)
        resumed.facts.emplace_back(Forked{worker.id});
    if (worker.told && !found.is_told)
        resumed.orders.emplace_back(Drain{worker.id});
    if (worker.phase == WorkerPhase::Killed)
        resumed.orders.emplace_back(Kill{worker.id}); // twice is as good as once
    if (is_asked_to_reload(state, worker.id) && !found.is_reloading)
        resumed.orders.emplace_back(Reload{worker.id});
}

/// Who was in an empty slot of the newest generation, and when it ended, nobody knows: it is filled.
void fill_slots(UnitState& state, MonotonicTime now) {
    for (auto const& generation : state.generations)
        for (std::uint16_t slot = 0; slot < slots_of(generation.policy); ++slot)
            if (generation.role == Role::Serving &&
                std::ranges::none_of(state.workers, [&](Worker const& worker) {
                    return worker.generation == generation.id && worker.slot == Slot{slot};
                }))
                state.refills.push_back({.generation = generation.id, .slot = Slot{slot}, .at = now});
}

/// Whoever waits in a shard that nobody serves any more has waited for long enough.
void take_shares(UnitState& state, Shares shares, MonotonicTime now) {
    state.shares = std::move(shares);
    auto now_shared = shares_of(state);
    for (auto const& [shard, weight] : state.shares)
        if (!now_shared.contains(shard))
            state.restless.push_back({.shard = shard, .at = now});
    state.shares = std::move(now_shared);
}

} // namespace

Spawn spawn_order(UnitState const& state, Worker const& worker) {
    return {.worker = worker.id,
            .generation = worker.generation,
            .slot = worker.slot,
            .spec = generation_of(state, worker).policy.spec,
            .lent = worker.is_lent ? std::optional{worker.bank} : std::nullopt};
}

Resumed resume(UnitState const& state, std::vector<FoundWorker> const& found) {
    Resumed resumed;
    for (auto const& worker : state.workers) {
        auto const process = std::ranges::find(found, worker.id, &FoundWorker::id);
        if (process == found.end())
            miss(state, worker, resumed);
        else
            meet(state, worker, *process, resumed);
    }
    auto const levels = wanted(state);
    emit_difference({}, levels, resumed.orders);
    if (levels.slots == 0 && state.last_generation != no_generation)
        resumed.orders.emplace_back(HoldShards{0}); // what was adopted counts as wanted until this
    return resumed;
}

UnitState rebuilt(std::vector<LeftWorker> const& left, Shares shares, Policy const& policy,
                  MonotonicTime now) {
    UnitState state;
    for (auto const& worker : left) {
        state.last_worker = std::max(state.last_worker, worker.id);
        state.last_generation = std::max(state.last_generation, worker.generation);
    }
    for (auto const& worker : left) {
        if (worker.is_dead)
            continue;
        bool const serves = worker.generation == state.last_generation;
        if (std::ranges::find(state.generations, worker.generation, &Generation::id) ==
            state.generations.end())
            state.generations.push_back({.id = worker.generation,
                                         .role = serves ? Role::Serving : Role::Outgoing,
                                         .has_served = true,
                                         .policy = policy});
        Worker known{.id = worker.id,
                     .generation = worker.generation,
                     .slot = worker.slot,
                     .phase = serves ? WorkerPhase::Ready : WorkerPhase::Draining,
                     .was_ready = true,
                     .forked = true,
                     .shown = true,
                     .sent = !serves,
                     .told = !serves,
                     .bank = worker.bank,
                     .since = now,
                     .ready_at = now};
        if (!serves)
            known.deadline = now + policy.drain_timeout;
        state.workers.push_back(known);
    }
    std::ranges::sort(state.generations, {}, &Generation::id);
    if (!state.workers.empty())
        state.goal = Goal::Up;
    fill_slots(state, now);
    take_shares(state, std::move(shares), now);
    return state;
}

} // namespace holdfast::lifecycle
