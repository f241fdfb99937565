// SPDX-License-Identifier: Apache-2.0
// The one list of the words of facts, orders and policies: `name_of` and `describe` drive both writing and
// reading of the "word field=value field=value" lines that `holdfast trace` prints and tests replay.
#pragma once

#include "lifecycle/line.h"
#include "lifecycle/order.h"

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace holdfast::lifecycle::text {

// clang-format off
constexpr std::string_view name_of(StartWished const&) { return "start"; }
constexpr std::string_view name_of(StopWished const&) { return "stop"; }
constexpr std::string_view name_of(RestartWished const&) { return "restart"; }
constexpr std::string_view name_of(UndoWished const&) { return "undo"; }
constexpr std::string_view name_of(PauseRolloutWished const&) { return "pause-rollout"; }
constexpr std::string_view name_of(ResumeRolloutWished const&) { return "resume-rollout"; }
constexpr std::string_view name_of(PauseWished const&) { return "pause"; }
constexpr std::string_view name_of(ResumeWished const&) { return "resume"; }
constexpr std::string_view name_of(ReloadWished const&) { return "reload-wished"; }
constexpr std::string_view name_of(PolicyChanged const&) { return "policy-changed"; }
constexpr std::string_view name_of(TrafficArrived const&) { return "traffic"; }
constexpr std::string_view name_of(QueueNearlyFull const&) { return "queue-nearly-full"; }
constexpr std::string_view name_of(IdleBegan const&) { return "idle-began"; }
constexpr std::string_view name_of(IdleEnded const&) { return "idle-ended"; }
constexpr std::string_view name_of(Forked const&) { return "forked"; }
constexpr std::string_view name_of(Executed const&) { return "executed"; }
constexpr std::string_view name_of(SpawnFailed const&) { return "spawn-failed"; }
constexpr std::string_view name_of(ReadySaid const&) { return "ready"; }
constexpr std::string_view name_of(StoppingSaid const&) { return "stopping"; }
constexpr std::string_view name_of(ProbePassed const&) { return "probe-passed"; }
constexpr std::string_view name_of(ProbeFailed const&) { return "probe-failed"; }
constexpr std::string_view name_of(WatchdogMissed const&) { return "watchdog-missed"; }
constexpr std::string_view name_of(Reloaded const&) { return "reloaded"; }
constexpr std::string_view name_of(ReloadRefused const&) { return "reload-refused"; }
constexpr std::string_view name_of(TimeExtended const&) { return "extended"; }
constexpr std::string_view name_of(Exited const&) { return "exited"; }
constexpr std::string_view name_of(TimerExpired const&) { return "expired"; }
constexpr std::string_view name_of(ShardsHeld const&) { return "shards-held"; }
constexpr std::string_view name_of(ShardAtRest const&) { return "shard-at-rest"; }
constexpr std::string_view name_of(ShardStuck const&) { return "shard-stuck"; }
constexpr std::string_view name_of(ShardMoving const&) { return "shard-moving"; }
constexpr std::string_view name_of(Spawn const&) { return "spawn"; }
constexpr std::string_view name_of(Drain const&) { return "drain"; }
constexpr std::string_view name_of(Kill const&) { return "kill"; }
constexpr std::string_view name_of(Reload const&) { return "reload"; }
constexpr std::string_view name_of(Watch const&) { return "watch"; }
constexpr std::string_view name_of(Unwatch const&) { return "unwatch"; }
constexpr std::string_view name_of(WatchQueues const&) { return "watch-queues"; }
constexpr std::string_view name_of(UnwatchQueues const&) { return "unwatch-queues"; }
constexpr std::string_view name_of(WatchIdle const&) { return "watch-idle"; }
constexpr std::string_view name_of(UnwatchIdle const&) { return "unwatch-idle"; }
constexpr std::string_view name_of(Steer const&) { return "steer"; }
constexpr std::string_view name_of(HoldShards const&) { return "hold-shards"; }
constexpr std::string_view name_of(WatchRest const&) { return "watch-rest"; }
constexpr std::string_view name_of(WatchLoad const&) { return "watch-load"; }
constexpr std::string_view name_of(Arm const&) { return "arm"; }
constexpr std::string_view name_of(Disarm const&) { return "disarm"; }
constexpr std::string_view name_of(Report const&) { return "report"; }
constexpr std::string_view name_of(Policy const&) { return "policy"; }

/// A const T (for writing) or a T (for reading).
template <class A, class T> concept Of = std::same_as<std::remove_const_t<A>, T>;
template <class A> concept Bare = std::is_empty_v<A>; // without fields

void describe(auto&, Bare auto&) {}
void describe(auto& field, Of<RestartWished> auto& it) { field("strategy", it.strategy); }
void describe(auto& field, Of<PauseWished> auto& it) { field("time", it.time); }
void describe(auto& field, Of<Forked> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<Executed> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<SpawnFailed> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<ReadySaid> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<StoppingSaid> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<ProbePassed> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<ProbeFailed> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<WatchdogMissed> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<Reloaded> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<ReloadRefused> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<TimeExtended> auto& it) { field("worker", it.worker); field("by", it.by); }
void describe(auto& field, Of<Exited> auto& it) { field("worker", it.worker); field("kind", it.kind); }
void describe(auto& field, Of<TimerKey> auto& it) { field("timer", it.kind); field("of", it.of); }
void describe(auto& field, Of<TimerExpired> auto& it) { describe(field, it.timer); }
void describe(auto& field, Of<ShardsHeld> auto& it) { field("slots", it.slots); }
void describe(auto& field, Of<ShardAtRest> auto& it) { field("slot", it.shard.slot); field("bank", it.shard.bank); }
void describe(auto& field, Of<ShardStuck> auto& it) { field("slot", it.shard.slot); field("bank", it.shard.bank); }
void describe(auto& field, Of<ShardMoving> auto& it) { field("slot", it.shard.slot); field("bank", it.shard.bank); }
void describe(auto& field, Of<Spawn> auto& it) {
    field("worker", it.worker); field("generation", it.generation); field("slot", it.slot); field("spec", it.spec);
    field("lent", it.lent);
}
void describe(auto& field, Of<Drain> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<Kill> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<Reload> auto& it) { field("worker", it.worker); }
void describe(auto& field, Of<Steer> auto& it) { field("shares", it.shares); field("named", it.named); }
void describe(auto& field, Of<HoldShards> auto& it) { field("slots", it.slots); }
void describe(auto& field, Of<WatchRest> auto& it) { field("shards", it.shards); }
void describe(auto& field, Of<WatchLoad> auto& it) { field("shards", it.shards); }
void describe(auto& field, Of<Arm> auto& it) { describe(field, it.timer); field("at", it.at); }
void describe(auto& field, Of<Disarm> auto& it) { describe(field, it.timer); }
void describe(auto& field, Of<Report> auto& it) {
    field("what", it.happening); field("worker", it.worker); field("generation", it.generation);
    field("cause", it.cause); field("exit", it.exit); field("until", it.until);
    field("shard", it.shard); field("share", it.share);
}
void describe(auto& field, Of<Policy> auto& it) {
    field("spec", it.spec); field("workers", it.workers); field("type", it.type);
    field("activation", it.activation); field("restart", it.restart); field("strategy", it.strategy);
    field("timeout-start", it.timeout_start); field("settle-time", it.settle_time);
    field("timeout-stop", it.timeout_stop);
    field("drain-timeout", it.drain_timeout); field("restart-delay", it.restart_delay);
    field("restart-max-delay", it.restart_max_delay); field("restart-steps", it.restart_steps);
    field("start-limit-burst", it.start_limit_burst); field("start-limit-interval", it.start_limit_interval);
    field("max-generations", it.max_generations); field("max-surge", it.max_surge); field("max-unavailable", it.max_unavailable);
    field("probation", it.probation); field("is-probed", it.is_probed);
    field("is-sharded", it.is_sharded); field("steps", it.steps); field("hold", it.hold);
    field("steering", it.steering);
    field("idle-stop", it.idle_stop);
    field("trigger-limit-burst", it.trigger_limit_burst); field("trigger-limit-interval", it.trigger_limit_interval);
}
// clang-format on

template <class T>
std::string write(T const& it) {
    std::string out{name_of(it)};
    Writer writer{out};
    describe(writer, it);
    return out;
}

/// Whether `line` is a T; if so it is in `it`.
template <class T>
bool read(std::string_view line, T& it) {
    if (!line.starts_with(name_of(it)))
        return false;
    Reader reader{line.substr(name_of(it).size())};
    describe(reader, it);
    return reader.is_done();
}

} // namespace holdfast::lifecycle::text
