// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/sharing.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace holdfast::lifecycle {

namespace {

Generation const* generation_of(UnitState const& state, Worker const& worker) {
    auto const found = std::ranges::find(state.generations, worker.generation, &Generation::id);
    return found == state.generations.end() ? nullptr : &*found;
}

/// It is ready and has not been told to go.
bool can_serve(UnitState const& state, Worker const& worker) {
    auto const* const generation = generation_of(state, worker);
    return worker.phase == WorkerPhase::Ready && generation != nullptr && generation->policy.is_sharded;
}

/// Does a worker of this generation that can serve take its part of the traffic? With overlap a new
/// generation takes all at once, when it has come up; slot by slot, each worker as it is ready.
bool takes_part(UnitState const& state, Generation const& generation) {
    switch (generation.role) {
    case Role::Serving:
    case Role::Withdrawn: // it is leaned on
        return true;
    case Role::Incoming:
        return state.rollout && state.rollout->strategy == Strategy::Rolling;
    case Role::Parked: // it is at hand, and takes nothing
    case Role::Outgoing:
        return false;
    }
    return false;
}

/// The bank in which clients wait. Green is that of the first generation.
Bank main_bank(Shares const& shares) {
    std::uint32_t blue = 0;
    for (auto const& [shard, weight] : shares)
        blue += shard.bank == Bank::Blue ? weight : 0;
    return blue > whole / 2 ? Bank::Blue : Bank::Green;
}

Shares in_one_bank(Shares const& shares) {
    std::vector<Shard> others;
    for (auto const& [shard, weight] : shares)
        if (shard.bank != main_bank(shares))
            others.push_back(shard);
    return others.empty() ? shares : without(shares, others);
}

void make_unique(std::vector<Shard>& shards) { // two generations may meet in one shard
    std::ranges::sort(shards);
    shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
}

/// Who takes part in the traffic: the canary, if there are others too, and those others.
struct Sides {
    std::vector<Shard> canary;
    std::vector<Shard> others;
};

Sides sides_of(UnitState const& state) {
    bool const is_canary = state.rollout && state.rollout->stage == RolloutStage::Canary;
    Sides sides;
    std::vector<Shard> able;
    for (auto const& worker : state.workers) {
        if (!can_serve(state, worker))
            continue;
        able.push_back(shard_of(worker));
        if (is_canary && worker.generation == state.rollout->id)
            sides.canary.push_back(shard_of(worker));
        else if (takes_part(state, *generation_of(state, worker)))
            sides.others.push_back(shard_of(worker));
    }
    // One that was withdrawn may meet the canary in a shard: then it is the canary's.
    std::erase_if(sides.others,
                  [&](Shard shard) { return std::ranges::find(sides.canary, shard) != sides.canary.end(); });
    if (sides.others.empty() || sides.canary.empty())
        sides = {{}, sides.others.empty() ? std::move(able) : std::move(sides.others)};
    make_unique(sides.others);
    return sides;
}

/// Where none of a side moves, all keep their part.
void spare_stuck(UnitState const& state, std::vector<Shard>& side) {
    std::vector<Shard> moving;
    std::ranges::copy_if(side, std::back_inserter(moving),
                         [&](Shard shard) { return !is_stuck(state, shard); });
    if (!moving.empty())
        side = std::move(moving);
}

bool steers_by(UnitState const& state, SteeringMode mode) {
    return std::ranges::any_of(state.generations, [&](Generation const& generation) {
        return generation.policy.is_sharded && generation.policy.steering == mode;
    });
}

/// It has served, and whoever speaks to it still does.
bool has_flows(UnitState const& state, Worker const& worker) {
    auto const* const generation = generation_of(state, worker);
    return worker.was_ready && worker.phase != WorkerPhase::Killed && !worker.missed_watchdog &&
           !worker.is_lent && generation != nullptr && generation->policy.is_sharded;
}

/// How hard it is to come into this bank: nobody is in the way, or who leaves, or who stays.
enum class InTheWay : std::uint8_t { Nobody, Leaving, Staying };
InTheWay in_the_way(UnitState const& state, Bank bank, Policy const& next) {
    auto found = InTheWay::Nobody;
    for (auto const& worker : state.workers)
        if (keeps_bank(state, worker, bank, next))
            found = std::max(found,
                             worker.phase == WorkerPhase::Draining ? InTheWay::Leaving : InTheWay::Staying);
    return found;
}

} // namespace

Shard shard_of(Slot slot, GenerationId generation) {
    return {static_cast<std::uint16_t>(slot), bank_of(static_cast<std::uint32_t>(generation))};
}

std::uint16_t canary_slots(std::uint8_t percent, std::uint16_t slots, std::uint16_t old) {
    if (percent >= all_percent)
        return slots;
    // |n / (n + old) - percent / 100|, times 100 (n + old)
    auto const error = [&](int n) { return std::abs(all_percent * n - percent * (n + old)); };
    int best = 1;
    for (int n = 2; n <= slots; ++n)
        if (error(n) * (best + old) < error(best) * (n + old))
            best = n;
    return static_cast<std::uint16_t>(best);
}

Shares shares_of(UnitState const& state) {
    auto [canary, served] = sides_of(state);
    spare_stuck(state, canary);
    spare_stuck(state, served);
    if (!canary.empty())
        return share_with_canary(served, canary, state.rollout->share);
    return served.empty() ? in_one_bank(state.shares) : share_equally(served);
}

std::vector<Shard> judged_shards(UnitState const& state) {
    if (!steers_by(state, SteeringMode::LeastLoaded))
        return {};
    auto [canary, served] = sides_of(state);
    std::ranges::copy(canary, std::back_inserter(served));
    make_unique(served);
    return served.size() < 2 ? std::vector<Shard>{} : served;
}

bool is_stuck(UnitState const& state, Shard shard) {
    return std::ranges::any_of(
        state.workers, [&](Worker const& worker) { return worker.is_stuck && shard_of(worker) == shard; });
}

std::vector<Shard> named_shards(UnitState const& state) {
    std::vector<Shard> named;
    if (!steers_by(state, SteeringMode::PayloadByte))
        return named;
    for (auto const& worker : state.workers)
        if (has_flows(state, worker))
            named.push_back(shard_of(worker));
    make_unique(named);
    return named;
}

bool keeps_bank(UnitState const& state, Worker const& worker, Bank bank, Policy const& next) {
    return next.is_sharded && worker.bank == bank && has_flows(state, worker) &&
           (next.steering == SteeringMode::PayloadByte ||
            generation_of(state, worker)->policy.steering == SteeringMode::PayloadByte);
}

std::uint16_t sharded_slots(UnitState const& state) {
    unsigned slots = 0;
    auto const has = [&](Shard shard) { slots = std::max(slots, shard.slot + 1U); };
    for (auto const& [shard, weight] : state.shares)
        has(shard);
    for (auto const& restless : state.restless)
        has(restless.shard);
    for (auto const& generation : state.generations)
        if (generation.policy.is_sharded)
            slots = std::max<unsigned>(slots, slots_of(generation.policy));
    for (auto const& worker : state.workers)
        if (auto const* const generation = generation_of(state, worker);
            generation != nullptr && generation->policy.is_sharded)
            has(shard_of(worker));
    return static_cast<std::uint16_t>(slots);
}

bool is_restless(UnitState const& state, Shard shard) {
    return std::ranges::find(state.restless, shard, &RestlessShard::shard) != state.restless.end();
}

bool waits_for_rest(UnitState const& state, Worker const& worker) {
    bool const may_wait = worker.phase == WorkerPhase::Draining && worker.sent && !worker.told &&
                          !worker.is_unhealthy && is_restless(state, shard_of(worker));
    bool const is_stopped = state.stop_owed && worker.generation <= state.stop_covers;
    auto const* const generation = may_wait && !is_stopped ? generation_of(state, worker) : nullptr;
    return generation != nullptr && generation->policy.is_sharded;
}

MonotonicTime rest_deadline(UnitState const& state, Worker const& worker) {
    if (!waits_for_rest(state, worker) || worker.deadline == MonotonicTime::never())
        return MonotonicTime::never();
    return worker.since + (worker.deadline - worker.since) / 2;
}

CanaryPart canary_part(UnitState const& state) {
    CanaryPart part;
    for (auto const& worker : state.workers)
        if (worker.phase == WorkerPhase::Ready)
            ++(state.rollout && worker.generation == state.rollout->id ? part.canary : part.others);
    return part;
}

Bank bank_of_next(UnitState const& state, Policy const& next, Strategy strategy) {
    auto const serving = std::ranges::find(state.generations, Role::Serving, &Generation::role);
    bool const goes_on = serving != state.generations.end() && strategy != Strategy::Replace &&
                         std::ranges::any_of(state.workers, [&](Worker const& worker) {
                             return worker.generation == serving->id && can_serve(state, worker);
                         });
    auto const bank =
        goes_on ? other(bank_of(static_cast<std::uint32_t>(serving->id))) : main_bank(state.shares);
    if (strategy == Strategy::Replace) // it waits until nobody is left
        return bank;
    return in_the_way(state, other(bank), next) < in_the_way(state, bank, next) ? other(bank) : bank;
}

} // namespace holdfast::lifecycle
