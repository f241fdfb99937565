// SPDX-License-Identifier: Apache-2.0
// Sharded units: what becomes of a shard that has lost its share. Whoever serves it is told to go when it is
// at rest; where nobody does, it is lent to a worker that is started for it; and what no slot needs any more
// is closed after that (a level, see sharded_slots()).
#include "lifecycle/sharing.h"
#include "lifecycle/unit_step.h"

#include <algorithm>
#include <utility>

namespace holdfast::lifecycle {

namespace {

/// So many workers are started for a shard, if they go before it is at rest.
constexpr std::uint8_t most_lent = 3;

} // namespace

void UnitStep::on(ShardsHeld const& fact) {
    if (state_.shares.empty() && fact.slots > 0) // green is the bank of the first generation
        state_.shares = share_equally(shards_of(bank_of(1), fact.slots));
}

void UnitStep::on(ShardAtRest const& fact) {
    std::erase_if(state_.restless, [&](RestlessShard const& it) { return it.shard == fact.shard; });
}

void UnitStep::on(ShardStuck const& fact) {
    for (auto& worker : state_.workers)
        worker.is_stuck = worker.is_stuck || shard_of(worker) == fact.shard;
}

void UnitStep::on(ShardMoving const& fact) {
    for (auto& worker : state_.workers)
        worker.is_stuck = worker.is_stuck && shard_of(worker) != fact.shard;
}

/// It is known of a shard, as long as that is looked at: two workers may meet in one. Who comes into it later
/// is judged anew.
void UnitStep::judge_workers() {
    if (std::ranges::none_of(state_.workers, &Worker::is_stuck))
        return;
    std::vector<Shard> stuck;
    for (auto const shard : judged_shards(state_))
        if (is_stuck(state_, shard))
            stuck.push_back(shard);
    for (auto& worker : state_.workers)
        worker.is_stuck = std::ranges::binary_search(stuck, shard_of(worker));
}

void UnitStep::note_shares(Shares shares, std::vector<Shard> const& named_before) {
    auto const lose = [&](Shard shard) {
        if (!shares.contains(shard) && !is_restless(state_, shard))
            state_.restless.push_back({.shard = shard});
    };
    for (auto const& [shard, weight] : state_.shares)
        lose(shard);
    auto const named = named_shards(state_);
    for (auto const shard : named_before)
        if (!std::ranges::binary_search(named, shard))
            lose(shard);
    std::erase_if(state_.restless, [&](RestlessShard const& it) { return shares.contains(it.shard); });
    std::ranges::sort(state_.restless, {}, &RestlessShard::shard);
    state_.shares = std::move(shares);
}

void UnitStep::tend_shards() {
    tell_the_leaving();
    for (auto& restless : state_.restless)
        look_after(restless);
    std::erase_if(state_.restless, [&](RestlessShard const& it) {
        bool const is_given_up = it.is_stranded && it.at <= now_;
        if (is_given_up)
            report({.happening = Happening::ShardGivenUp, .shard = it.shard});
        return is_given_up;
    });
    if (state_.restless.empty())
        state_.restless.shrink_to_fit();
}

void UnitStep::tell_the_leaving() {
    for (auto& worker : state_.workers) {
        if (worker.phase != WorkerPhase::Draining || !worker.sent || worker.told)
            continue;
        bool const waits = waits_for_rest(state_, worker);
        if (waits && now_ < rest_deadline(state_, worker))
            continue;
        if (waits)
            report({.happening = Happening::RestDeadlinePassed,
                    .worker = worker.id,
                    .generation = worker.generation,
                    .shard = shard_of(worker)});
        tell_to_go(worker);
    }
}

void UnitStep::tell_to_go(Worker& worker) {
    if (!std::exchange(worker.told, true))
        orders_.emplace_back(Drain{worker.id});
}

/// Somebody is in the shard who does not hang and has not been told to go, or will be.
bool UnitStep::is_attended(Shard shard) const {
    return std::ranges::any_of(state_.workers,
                               [&](Worker const& worker) {
                                   return shard_of(worker) == shard && !worker.told &&
                                          !worker.missed_watchdog && worker.phase != WorkerPhase::Killed;
                               }) ||
           std::ranges::any_of(state_.refills, [&](Refill const& refill) {
               // who comes only after a longer back-off is not waited for
               return refill.generation != no_generation && refill.at <= now_ + rest_grace &&
                      shard_of(refill.slot, refill.generation) == shard;
           });
}

void UnitStep::look_after(RestlessShard& restless) {
    if (state_.goal == Goal::Down || state_.pause || is_attended(restless.shard)) {
        restless.is_stranded = false;
        restless.at = MonotonicTime::never();
        if (state_.goal == Goal::Down)
            restless.lent = 0;
        return;
    }
    if (!restless.is_stranded && restless.at == MonotonicTime::never())
        restless.at = now_ + rest_grace;
    if (!restless.is_stranded && restless.at <= now_) {
        restless.is_stranded = true;
        restless.at = now_ + wanted_.drain_timeout;
    }
    auto const* const serving = find(Role::Serving);
    bool const may_lend = serving != nullptr && serving->policy.is_sharded && has_ready(serving->id);
    if (restless.is_stranded && restless.at > now_ && restless.lent < most_lent && may_lend)
        lend(restless, *serving);
}

/// It does not count in the pool, and is on its way out from the beginning.
void UnitStep::lend(RestlessShard& restless, Generation const& serving) {
    ++restless.lent;
    restless.is_stranded = false;
    restless.at = MonotonicTime::never();
    state_.last_worker = WorkerId{static_cast<std::uint32_t>(state_.last_worker) + 1};
    Worker worker{.id = state_.last_worker,
                  .generation = serving.id,
                  .slot = Slot{restless.shard.slot},
                  .dismissed = true,
                  .is_lent = true,
                  .bank = restless.shard.bank};
    enter(worker, WorkerPhase::Draining, MonotonicTime::never());
    state_.workers.push_back(worker);
    report({.happening = Happening::ShardLent,
            .worker = worker.id,
            .generation = serving.id,
            .shard = restless.shard});
    orders_.emplace_back(Spawn{worker.id, serving.id, worker.slot, serving.policy.spec, restless.shard.bank});
}

} // namespace holdfast::lifecycle
