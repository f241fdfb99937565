// SPDX-License-Identifier: Apache-2.0
// Orders: what must be done about a fact. The supervisor enacts them one after the other, in the order given;
// what comes of them returns later as facts. Enacting never calls step().
#pragma once

#include "base/shares.h"
#include "lifecycle/fact.h"

#include <string>
#include <variant>
#include <vector>

namespace holdfast::lifecycle {

/// Start one process for `slot` of `generation` from `spec`. Answered by Forked then Executed, or by
/// SpawnFailed.
struct Spawn {
    WorkerId worker{};
    GenerationId generation{};
    Slot slot{};
    SpecId spec{};
    /// It gets the shard of this slot in that bank, whatever its generation's is: somebody waits in it and
    /// nobody else serves it. It is told to go when the shard is at rest.
    std::optional<Bank> lent{};
    bool operator==(Spawn const&) const = default;
};
/// Ask the worker to finish what it holds and go (drain_signal to its process group's leader). Given at most
/// once to a worker.
struct Drain {
    WorkerId worker{};
    bool operator==(Drain const&) const = default;
};
/// SIGKILL to its whole process group. Given at most once to a worker; answered by Exited,
/// unless not even that ends it (WorkerStuck).
struct Kill {
    WorkerId worker{};
    bool operator==(Kill const&) const = default;
};
/// Ask the worker to re-read its configuration. Answered by Reloaded or ReloadRefused, if it does not end and
/// is not told to go before.
struct Reload {
    WorkerId worker{};
    bool operator==(Reload const&) const = default;
};
/// Watch the unit's listeners for traffic; one TrafficArrived ends the watch by itself only through Unwatch.
struct Watch {
    bool operator==(Watch const&) const = default;
};
struct Unwatch {
    bool operator==(Unwatch const&) const = default;
};
/// Sharded units: from now on new connections are shared out like this. Enacted before the workers that are
/// told to go in the same step are told. payload_byte: what names one of `named` goes to it, whatever its
/// share.
struct Steer {
    Shares shares;
    std::vector<Shard> named{};
    bool operator==(Steer const&) const = default;
};
/// Sharded units: shards for so many slots are to be there from now on, in both banks. Those that are missing
/// are bound; those beyond are closed: they have no share, nobody serves them, and they are at rest or were
/// given up.
struct HoldShards {
    std::uint16_t slots = 0;
    bool operator==(HoldShards const&) const = default;
};
/// These shards and no others are looked at, until a ShardAtRest of each. Those that were not looked at
/// before have lost their share just now.
struct WatchRest {
    std::vector<Shard> shards;
    bool operator==(WatchRest const&) const = default;
};
/// least_loaded: these shards and no others are looked at for whether their clients are accepted; ShardStuck
/// and ShardMoving tell of it.
struct WatchLoad {
    std::vector<Shard> shards;
    bool operator==(WatchLoad const&) const = default;
};
struct Arm {
    TimerKey timer;
    MonotonicTime at;
    bool operator==(Arm const&) const = default;
};
struct Disarm {
    TimerKey timer;
    bool operator==(Disarm const&) const = default;
};

/// What people and waiting commands are told.
///
/// Each wish is acknowledged in its own step, by a report that names a generation: a start by Starting or
/// Started, a stop by Stopping or Stopped, a restart by RolloutBegan or RolloutWaits. Its answer comes once,
/// in the same step or later: to a start the first of Started, StartFailed, Stopped, to a stop the first
/// Stopped with this generation or a later one; to a restart the one of RolloutDone, RolloutFailed,
/// RolloutSuperseded, RolloutStopped with exactly this. A PolicyChanged that resizes what serves is
/// acknowledged by Resizing and answered by the first of Resized, ResizeFailed, Stopped with this generation
/// or a later one; the next resize shares its answer. A reload is acknowledged by Reloading and answered by
/// the first of ReloadDone, ReloadFailed, Stopped with this generation or a later one.
enum class Happening : std::uint8_t {
    Starting, ///< `generation` is being started, or waits until it may
    Started,  ///< every slot of it is ready (lazy: the listeners are watched); only when a start waits for it
    StartFailed, ///< a worker of it did not come up or stay; `cause`; it is tried again unless Finished
                 ///< follows
    WorkerDied,  ///< a worker of the serving generation went without being told; `exit`; `cause` if it never
                 ///< was ready, or (Watchdog) if it hangs and will be gone
    WorkerUnhealthy, ///< the probes of `worker` failed: it is to be replaced
    WorkerReady,     ///< a worker became ready
    WorkerGone,      ///< a worker that was told to go, or said that it goes, is gone; `exit`
    WorkerStuck,    ///< `worker` does not end even by SIGKILL; it is given up: from here on it counts as gone
    BackingOff,     ///< next try at `until`; without a generation: a lazy unit listens again then
    StartLimitHit,  ///< too many starts: paused until `until`, recovers by itself
    RolloutBegan,   ///< `generation` is the incoming one
    RolloutWaits,   ///< too many generations alive: `generation` begins when a drain has ended
    TookOver,       ///< all of `generation` is ready and serves; the old one drains from here, or is parked
                    ///< `until` its probation is over
    TookEffect,     ///< in_place: all workers have reloaded; they are on probation `until` then
    Proved,         ///< its probation is over: the old one drains from here
    RolloutDone,    ///< ... and the old one is gone
    CanaryStep,     ///< `generation` gets `share` percent of new connections `until` then
    RolloutPaused,  ///< `generation` comes no further until it is resumed
    RolloutResumed, ///< ... and goes on; its probation is over at `until`
    RollingBack,    ///< it failed, and the old one, which had given something up for it, comes back; `cause`
    RolledBack,     ///< the old one is all that it was again; RolloutFailed follows at once
    RolloutFailed,  ///< it did not come up; `cause`; an old one that was ready stays; else it is tried again
    RolloutSuperseded,   ///< another restart took its place before it took over
    RolloutStopped,      ///< a stop came first
    DrainDeadlinePassed, ///< `worker` is killed
    StartDeadlinePassed, ///< `worker` is drained
    RestDeadlinePassed,  ///< `worker` is told to go, though somebody may wait in its `shard`
    ShardLent,           ///< somebody may wait in `shard` and nobody serves it: `worker` is started for it
    ShardGivenUp,        ///< that `shard` was not at rest in time; no more is done about it
    Resizing,            ///< `generation` is to have another number of workers
    Resized,             ///< all of them are ready, and those that are too many are gone
    ResizeFailed,        ///< a worker of it did not come up; `cause`; it is tried again
    Reloading,           ///< what runs re-reads its configuration
    WorkerReloaded,      ///< `worker` has
    ReloadDone,          ///< all of it has
    ReloadFailed,        ///< `worker` has not; `cause`; those after it were not asked
    Stopping,            ///< all workers up to `generation` are told to go
    Stopped,  ///< all workers up to `generation` are gone (or given up) because the operator said stop
    Finished, ///< all workers are gone by themselves and `restart` says leave it so; a lazy unit listens
              ///< again
};
/// Why something failed.
enum class Cause : std::uint8_t {
    None,
    SpawnFailed, ///< it could not be forked, prepared or executed
    ExitedBeforeReady,
    StartDeadline, ///< it was not ready in time
    ExitedSoon,    ///< it was ready, but went before the start or rollout was complete
    Unhealthy,     ///< its health probes failed
    Watchdog,      ///< it did not say WATCHDOG=1 in time
    Undone,        ///< the operator wished it
    ReloadRefused,
    ReloadDeadline, ///< it has not reloaded in time
};

struct Report {
    Happening happening{};
    WorkerId worker{};
    GenerationId generation{};
    Cause cause = Cause::None;
    std::optional<ExitKind> exit{};
    std::optional<MonotonicTime> until{};
    std::optional<Shard> shard{};
    std::optional<std::uint8_t> share{};
    bool operator==(Report const&) const = default;
};

using Order = std::variant<Spawn, Drain, Kill, Reload, Watch, Unwatch, HoldShards, Steer, WatchRest,
                           WatchLoad, Arm, Disarm, Report>;
using Orders = std::vector<Order>;

[[nodiscard]] std::string to_string(Order const& order);
/// Reads back the line of a Report.
[[nodiscard]] std::optional<Report> parse_report(std::string_view line);

constexpr auto enum_table(Happening) {
    return std::array{EnumName{Happening::Starting, "starting"},
                      EnumName{Happening::Started, "started"},
                      EnumName{Happening::StartFailed, "start-failed"},
                      EnumName{Happening::WorkerDied, "worker-died"},
                      EnumName{Happening::WorkerUnhealthy, "worker-unhealthy"},
                      EnumName{Happening::WorkerReady, "worker-ready"},
                      EnumName{Happening::WorkerGone, "worker-gone"},
                      EnumName{Happening::WorkerStuck, "worker-stuck"},
                      EnumName{Happening::BackingOff, "backing-off"},
                      EnumName{Happening::StartLimitHit, "start-limit-hit"},
                      EnumName{Happening::RolloutBegan, "rollout-began"},
                      EnumName{Happening::RolloutWaits, "rollout-waits"},
                      EnumName{Happening::TookOver, "took-over"},
                      EnumName{Happening::TookEffect, "took-effect"},
                      EnumName{Happening::Proved, "proved"},
                      EnumName{Happening::RolloutDone, "rollout-done"},
                      EnumName{Happening::CanaryStep, "canary-step"},
                      EnumName{Happening::RolloutPaused, "rollout-paused"},
                      EnumName{Happening::RolloutResumed, "rollout-resumed"},
                      EnumName{Happening::RollingBack, "rolling-back"},
                      EnumName{Happening::RolledBack, "rolled-back"},
                      EnumName{Happening::RolloutFailed, "rollout-failed"},
                      EnumName{Happening::RolloutSuperseded, "rollout-superseded"},
                      EnumName{Happening::RolloutStopped, "rollout-stopped"},
                      EnumName{Happening::DrainDeadlinePassed, "drain-deadline-passed"},
                      EnumName{Happening::StartDeadlinePassed, "start-deadline-passed"},
                      EnumName{Happening::RestDeadlinePassed, "rest-deadline-passed"},
                      EnumName{Happening::ShardLent, "shard-lent"},
                      EnumName{Happening::ShardGivenUp, "shard-given-up"},
                      EnumName{Happening::Resizing, "resizing"},
                      EnumName{Happening::Resized, "resized"},
                      EnumName{Happening::ResizeFailed, "resize-failed"},
                      EnumName{Happening::Reloading, "reloading"},
                      EnumName{Happening::WorkerReloaded, "worker-reloaded"},
                      EnumName{Happening::ReloadDone, "reload-done"},
                      EnumName{Happening::ReloadFailed, "reload-failed"},
                      EnumName{Happening::Stopping, "stopping"},
                      EnumName{Happening::Stopped, "stopped"},
                      EnumName{Happening::Finished, "finished"}};
}
constexpr auto enum_table(Cause) {
    return std::array{EnumName{Cause::None, "none"},
                      EnumName{Cause::SpawnFailed, "spawn-failed"},
                      EnumName{Cause::ExitedBeforeReady, "exited-before-ready"},
                      EnumName{Cause::StartDeadline, "start-deadline"},
                      EnumName{Cause::ExitedSoon, "exited-soon"},
                      EnumName{Cause::Unhealthy, "unhealthy"},
                      EnumName{Cause::Watchdog, "watchdog"},
                      EnumName{Cause::Undone, "undone"},
                      EnumName{Cause::ReloadRefused, "reload-refused"},
                      EnumName{Cause::ReloadDeadline, "reload-deadline"}};
}

} // namespace holdfast::lifecycle
