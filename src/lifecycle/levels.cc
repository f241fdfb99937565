// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/levels.h"

#include "lifecycle/sharing.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace {

/// The timer that a worker's phase wants; its deadline may still be never.
std::optional<TimerKind> timer_kind(WorkerPhase phase) {
    switch (phase) {
    case WorkerPhase::Starting:
        return TimerKind::StartDeadline;
    case WorkerPhase::Draining:
    case WorkerPhase::Killed:
        return TimerKind::StopDeadline;
    case WorkerPhase::Ready:
        return std::nullopt;
    }
    return std::nullopt;
}

/// The timer that a rollout's stage wants; it may still be never.
std::optional<TimerKind> timer_kind(Rare<Rollout> const& rollout) {
    if (!rollout)
        return std::nullopt;
    switch (rollout->stage) {
    case RolloutStage::Canary:
        return TimerKind::Hold;
    case RolloutStage::Probation:
        return TimerKind::Probation;
    case RolloutStage::Coming:
    case RolloutStage::RollingBack:
        return std::nullopt;
    }
    return std::nullopt;
}

} // namespace

TimerKey timer_of(Refill const& refill) {
    auto const generation = static_cast<std::uint32_t>(refill.generation) & 0xffffU;
    return {TimerKind::RestartDelay, generation << 16 | static_cast<std::uint32_t>(refill.slot)};
}

TimerKey timer_of(RestlessShard const& restless) {
    return {TimerKind::ShardDeadline,
            restless.shard.slot * 2U + (restless.shard.bank == Bank::Green ? 1U : 0U)};
}

Levels wanted(UnitState const& state) {
    Levels levels{.watching = state.listening,
                  .watching_queues = state.pause.has_value(),
                  .watching_idle = may_idle(state),
                  .shares = shares_of(state),
                  .slots = sharded_slots(state),
                  .named = named_shards(state),
                  .restless = {},
                  .judged = judged_shards(state),
                  .timers = {}};
    for (auto const& worker : state.workers)
        if (auto const kind = timer_kind(worker.phase); kind && worker.deadline != MonotonicTime::never())
            levels.timers.push_back({{*kind, static_cast<std::uint32_t>(worker.id)}, worker.deadline});
    for (auto const& worker : state.workers)
        if (auto const at = rest_deadline(state, worker); at != MonotonicTime::never())
            levels.timers.push_back({{TimerKind::RestDeadline, static_cast<std::uint32_t>(worker.id)}, at});
    if (state.reload && state.reload->is_asked && state.reload->deadline != MonotonicTime::never())
        levels.timers.push_back(
            {{TimerKind::ReloadDeadline, static_cast<std::uint32_t>(state.reload->worker)},
             state.reload->deadline});
    bool const is_of_use = (state.goal == Goal::Up && !state.pause) ||
                           std::ranges::any_of(state.workers, [&](Worker const& worker) {
                               return waits_for_rest(state, worker);
                           });
    for (auto const& shard : state.restless) {
        if (is_of_use)
            levels.restless.push_back(shard.shard);
        if (shard.at != MonotonicTime::never())
            levels.timers.push_back({timer_of(shard), shard.at});
    }
    auto limit = MonotonicTime::never();
    for (auto const& refill : state.refills)
        if (refill.limited)
            limit = std::min(limit, refill.at);
        else if (refill.at != MonotonicTime::never())
            levels.timers.push_back({timer_of(refill), refill.at});
    if (limit != MonotonicTime::never())
        levels.timers.push_back({{TimerKind::StartLimit, 0}, limit});
    if (auto const kind = timer_kind(state.rollout); kind && state.rollout->until != MonotonicTime::never())
        levels.timers.push_back({{*kind, 0}, state.rollout->until});
    if (levels.watching_idle && state.idle_since != MonotonicTime::never())
        for (auto const& generation : state.generations)
            if (generation.role == Role::Serving)
                levels.timers.push_back(
                    {{TimerKind::IdleStop, 0}, state.idle_since + generation.policy.idle_stop});
    if (state.pause)
        levels.timers.push_back({{TimerKind::PauseDeadline, 0}, state.pause->until});
    std::sort(levels.timers.begin(), levels.timers.end(),
              [](ArmedTimer const& a, ArmedTimer const& b) { return a.key < b.key; });
    return levels;
}

void emit_difference(Levels const& before, Levels const& after, Orders& orders) {
    if (before.shares != after.shares || before.named != after.named)
        orders.insert(orders.begin(), Steer{after.shares, after.named});
    if (before.slots < after.slots)
        orders.insert(orders.begin(), HoldShards{after.slots});
    if (before.slots > after.slots)
        orders.emplace_back(HoldShards{after.slots});
    if (before.restless != after.restless)
        orders.emplace_back(WatchRest{after.restless});
    if (before.judged != after.judged)
        orders.emplace_back(WatchLoad{after.judged});
    if (!before.watching && after.watching)
        orders.insert(orders.begin(), Watch{});
    if (before.watching_idle && !after.watching_idle) // both look at the listeners
        orders.insert(orders.begin(), UnwatchIdle{});
    if (before.watching && !after.watching)
        orders.emplace_back(Unwatch{});
    if (!before.watching_queues && after.watching_queues)
        orders.emplace_back(WatchQueues{});
    if (before.watching_queues && !after.watching_queues)
        orders.emplace_back(UnwatchQueues{});
    if (!before.watching_idle && after.watching_idle)
        orders.emplace_back(WatchIdle{});
    auto old = before.timers.begin();
    auto const old_end = before.timers.end();
    for (auto const& timer : after.timers) {
        for (; old != old_end && old->key < timer.key; ++old)
            orders.emplace_back(Disarm{old->key});
        bool const stays = old != old_end && old->key == timer.key;
        if (!stays || old->at != timer.at)
            orders.emplace_back(Arm{timer.key, timer.at});
        if (stays)
            ++old;
    }
    for (; old != old_end; ++old)
        orders.emplace_back(Disarm{old->key});
}

} // namespace holdfast::lifecycle
