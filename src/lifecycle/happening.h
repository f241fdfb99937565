// SPDX-License-Identifier: Apache-2.0
// What the reports of the core say: the words for what happens, which of them answer a wish, and why
// something failed.
#pragma once

#include "base/enum_names.h"

#include <array>
#include <cstdint>

namespace holdfast::lifecycle {

/// What people and waiting commands are told.
///
/// Each wish is acknowledged in its own step, by a report that names a generation: a start by Starting or
/// Started, a stop by Stopping or Stopped, a restart by RolloutBegan or RolloutWaits. Its answer comes once,
/// in the same step or later: to a start the first of Started, StartFailed, Stopped, to a stop the first
/// Stopped with this generation or a later one; to a restart the one of RolloutDone, RolloutFailed,
/// RolloutSuperseded, RolloutStopped with exactly this. A PolicyChanged that resizes what serves is
/// acknowledged by Resizing and answered by the first of Resized, ResizeFailed, Stopped with this generation
/// or a later one; the next resize shares its answer. A reload is acknowledged by Reloading and answered by
/// the first of ReloadDone, ReloadFailed, Stopped with this generation or a later one. A pause of a unit that
/// is up is acknowledged by Pausing and answered by the first of Paused, Resumed, Stopped; whoever waited for
/// something that it ends is told so in its step. A resume of a unit that is up is a start.
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
    WorkerStuck,   ///< `worker` does not end even by SIGKILL; it is given up: from here on it counts as gone
    BackingOff,    ///< next try at `until`; without a generation: a lazy unit listens again then
    StartLimitHit, ///< too many starts: paused until `until`, recovers by itself
    TriggerLimitHit, ///< lazy: traffic started it too often; it listens again at `until`
    RolloutBegan,    ///< `generation` is the incoming one
    RolloutWaits,    ///< too many generations alive: `generation` begins when a drain has ended
    TookOver,        ///< all of `generation` is ready and serves; the old one drains from here, or is parked
                     ///< `until` its probation is over
    TookEffect,      ///< in_place: all workers have reloaded; they are on probation `until` then
    Proved,          ///< its probation is over: the old one drains from here
    RolloutDone,     ///< ... and the old one is gone
    CanaryStep,      ///< `generation` gets `share` percent of new connections `until` then
    RolloutPaused,   ///< `generation` comes no further until it is resumed
    RolloutResumed,  ///< ... and goes on; its probation is over at `until`
    RollingBack,     ///< it failed, and the old one, which had given something up for it, comes back; `cause`
    RolledBack,      ///< the old one is all that it was again; RolloutFailed follows at once
    RolloutFailed,   ///< it did not come up; `cause`; an old one that was ready stays; else it is tried again
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
    IdleStopped, ///< nobody was there for a while: all workers are told to go, traffic starts it again
    Pausing,     ///< all workers are told to go; it resumes by itself at `until`
    Paused,      ///< ... and they are gone
    Resumed,     ///< it is paused no more, because that was wished, or by itself: `cause`
    Stopping,    ///< all workers up to `generation` are told to go
    Stopped,     ///< all workers up to `generation` are gone (or given up) because the operator said stop
    Finished,    ///< all workers are gone by themselves and `restart` says leave it so; a lazy unit listens
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
    Paused,         ///< the unit was paused
    PauseDeadline,  ///< it has been paused for as long as it was to be
    QueueNearlyFull,
};

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
                      EnumName{Happening::TriggerLimitHit, "trigger-limit-hit"},
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
                      EnumName{Happening::IdleStopped, "idle-stopped"},
                      EnumName{Happening::Pausing, "pausing"},
                      EnumName{Happening::Paused, "paused"},
                      EnumName{Happening::Resumed, "resumed"},
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
                      EnumName{Cause::ReloadDeadline, "reload-deadline"},
                      EnumName{Cause::Paused, "paused"},
                      EnumName{Cause::PauseDeadline, "pause-deadline"},
                      EnumName{Cause::QueueNearlyFull, "queue-nearly-full"}};
}

} // namespace holdfast::lifecycle
