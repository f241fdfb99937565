// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/resume.h"

#include "base/ensure.h"
#include "lifecycle/levels.h"
#include "lifecycle/sharing.h"

#include <algorithm>
#include <map>
#include <set>

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

// ---- without a state ----

/// It is one of the pool, as far as can be seen.
bool is_open(LeftWorker const& worker, Policy const& policy) {
    bool const is_lent =
        policy.is_sharded && worker.bank != bank_of(static_cast<std::uint32_t>(worker.generation));
    return !worker.is_dead && !worker.is_told && !is_lent;
}

/// Those of the pool of a generation, one for each slot. `left` by ascending ids: the last is the newest.
std::map<Slot, WorkerId> pool_of(std::vector<LeftWorker> const& left, GenerationId generation,
                                 Policy const& policy) {
    std::map<Slot, WorkerId> pool;
    for (auto const& worker : left)
        if (worker.generation == generation && is_open(worker, policy))
            pool[worker.slot] = worker.id;
    return pool;
}

GenerationId serving_of(std::vector<LeftWorker> const& left, LeftShards const& shards, Policy const& policy) {
    std::set<GenerationId> generations;
    for (auto const& worker : left)
        generations.insert(worker.generation);
    GenerationId serving = no_generation;
    std::size_t most = 0;
    for (auto const generation : generations) {
        auto const pool = pool_of(left, generation, policy);
        std::size_t weight = std::min<std::size_t>(pool.size(), slots_of(policy));
        for (auto const& [slot, worker] : pool)
            if (auto const share = shards.shares.find(shard_of(slot, generation));
                share != shards.shares.end())
                weight += share->second;
        if (weight > most) {
            most = weight;
            serving = generation;
        }
    }
    return serving;
}

Generation generation_from(LeftWorker const& left, GenerationId serving, Policy const& policy) {
    Generation generation{.id = left.generation,
                          .role = left.generation == serving ? Role::Serving : Role::Outgoing,
                          .has_served = true,
                          .policy = policy};
    generation.policy.spec = left.spec;
    return generation;
}

Worker worker_from(LeftWorker const& left, bool serves, Policy const& policy, MonotonicTime now) {
    return {.id = left.id,
            .generation = left.generation,
            .slot = left.slot,
            .phase = serves ? WorkerPhase::Ready : WorkerPhase::Draining,
            .was_ready = true,
            .forked = true,
            .shown = true,
            .sent = !serves,
            .told = left.is_told,
            .dismissed = !serves,
            .bank = left.bank,
            .since = now,
            .ready_at = now,
            .deadline = serves ? MonotonicTime::never() : now + policy.drain_timeout};
}

/// Who was in an empty slot, and how and when it ended, nobody knows.
void fill_slots(UnitState& state, GenerationId serving, std::map<Slot, WorkerId> const& pool,
                Policy const& policy, MonotonicTime now) {
    if (serving == no_generation || policy.restart == RestartWhen::No)
        return;
    for (std::uint16_t slot = 0; slot < slots_of(policy); ++slot)
        if (!pool.contains(Slot{slot}))
            state.refills.push_back({.generation = serving, .slot = Slot{slot}, .at = now});
}

/// Nobody knows who waits in those that have no share.
void take_shards(UnitState& state, LeftShards shards, MonotonicTime now) {
    state.shares = std::move(shards.shares);
    state.shares = shares_of(state);
    if (state.shares.empty())
        return;
    auto const at = state.goal == Goal::Up ? now + rest_grace : MonotonicTime::never();
    for (std::uint16_t slot = 0; slot < shards.slots; ++slot)
        for (auto const bank : {Bank::Blue, Bank::Green})
            if (Shard const shard{slot, bank}; !state.shares.contains(shard))
                state.restless.push_back({.shard = shard, .at = at});
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

UnitState rebuilt(std::vector<LeftWorker> left, LeftShards shards, Policy const& policy, MonotonicTime now) {
    std::ranges::sort(left, {}, &LeftWorker::id);
    auto living = left;
    std::erase_if(living, [](LeftWorker const& worker) { return worker.has_ended; });
    auto serving = serving_of(living, shards, policy);
    if (serving == no_generation) // whoever has ended counts only where nobody lives
        serving = serving_of(left, shards, policy);
    auto const pool = pool_of(left, serving, policy);
    UnitState state;
    state.goal = serving == no_generation ? Goal::Down : Goal::Up;
    for (auto const& worker : left) {
        state.last_worker = std::max(state.last_worker, worker.id);
        state.last_generation = std::max(state.last_generation, worker.generation);
        if (worker.is_dead)
            continue;
        if (std::ranges::find(state.generations, worker.generation, &Generation::id) ==
            state.generations.end())
            state.generations.push_back(generation_from(worker, serving, policy));
        auto const place = pool.find(worker.slot);
        bool const serves = worker.generation == serving && place != pool.end() && place->second == worker.id;
        state.workers.push_back(worker_from(worker, serves, policy, now));
    }
    std::ranges::sort(state.generations, {}, &Generation::id);
    fill_slots(state, serving, pool, policy, now);
    take_shards(state, std::move(shards), now);
    for (auto& worker : state.workers)
        worker.told = worker.told || (worker.sent && !waits_for_rest(state, worker));
    return state;
}

} // namespace holdfast::lifecycle
