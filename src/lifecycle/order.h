// SPDX-License-Identifier: Apache-2.0
// Orders: what must be done about a fact. The supervisor enacts them one after the other, in the order given;
// what comes of them returns later as facts. Enacting never calls step().
#pragma once

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
    bool operator==(Spawn const&) const = default;
};
/// Ask the worker to finish what it holds and go (drain_signal to its process group's leader). Given at most
/// once to a worker.
struct Drain {
    WorkerId worker{};
    bool operator==(Drain const&) const = default;
};
/// SIGKILL to its whole process group. Given at most once to a worker; answered by Exited.
struct Kill {
    WorkerId worker{};
    bool operator==(Kill const&) const = default;
};
/// Watch the unit's listeners for traffic; one TrafficArrived ends the watch by itself only through Unwatch.
struct Watch {
    bool operator==(Watch const&) const = default;
};
struct Unwatch {
    bool operator==(Unwatch const&) const = default;
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
enum class Happening {
    Starting,      ///< first generation is being started
    Started,       ///< every slot of it is ready (lazy: the listeners are watched)
    StartFailed,   ///< a worker of the first generation did not come up; `cause`; it is tried again unless
                   ///< GaveUp follows
    WorkerDied,    ///< a ready worker of a serving generation went without being told; `exit`
    WorkerReady,   ///< a worker became ready
    WorkerGone,    ///< a worker that was told to go is gone; `exit`
    BackingOff,    ///< next try at `until`
    StartLimitHit, ///< too many starts: paused until `until`, recovers by itself
    RolloutBegan,  ///< `generation` is the incoming one
    RolloutWaits,  ///< too many generations alive: waits for a drain to end
    TookOver,      ///< the incoming generation is ready; the old ones drain from here
    RolloutDone,   ///< ... and they are gone
    RolloutFailed, ///< the incoming one did not come up; the old one stays; `cause`
    RolloutSuperseded,   ///< another restart took its place before it was done
    RolloutStopped,      ///< a stop came first
    DrainDeadlinePassed, ///< `worker` is killed
    StartDeadlinePassed, ///< `worker` is drained
    Stopping,
    Stopped,  ///< all workers are gone because the operator said stop
    Finished, ///< all workers are gone by themselves and `restart` says leave it so
};
/// Why something failed.
enum class Cause { None, SpawnFailed, ExitedBeforeReady, StartDeadline, ExitedSoon };

struct Report {
    Happening happening{};
    WorkerId worker{};
    GenerationId generation{};
    Cause cause = Cause::None;
    std::optional<ExitKind> exit{};
    std::optional<MonotonicTime> until{};
    bool operator==(Report const&) const = default;
};

using Order = std::variant<Spawn, Drain, Kill, Watch, Unwatch, Arm, Disarm, Report>;
using Orders = std::vector<Order>;

[[nodiscard]] std::string to_string(Order const& order);

constexpr auto enum_table(Happening) {
    return std::array{EnumName{Happening::Starting, "starting"},
                      EnumName{Happening::Started, "started"},
                      EnumName{Happening::StartFailed, "start-failed"},
                      EnumName{Happening::WorkerDied, "worker-died"},
                      EnumName{Happening::WorkerReady, "worker-ready"},
                      EnumName{Happening::WorkerGone, "worker-gone"},
                      EnumName{Happening::BackingOff, "backing-off"},
                      EnumName{Happening::StartLimitHit, "start-limit-hit"},
                      EnumName{Happening::RolloutBegan, "rollout-began"},
                      EnumName{Happening::RolloutWaits, "rollout-waits"},
                      EnumName{Happening::TookOver, "took-over"},
                      EnumName{Happening::RolloutDone, "rollout-done"},
                      EnumName{Happening::RolloutFailed, "rollout-failed"},
                      EnumName{Happening::RolloutSuperseded, "rollout-superseded"},
                      EnumName{Happening::RolloutStopped, "rollout-stopped"},
                      EnumName{Happening::DrainDeadlinePassed, "drain-deadline-passed"},
                      EnumName{Happening::StartDeadlinePassed, "start-deadline-passed"},
                      EnumName{Happening::Stopping, "stopping"},
                      EnumName{Happening::Stopped, "stopped"},
                      EnumName{Happening::Finished, "finished"}};
}
constexpr auto enum_table(Cause) {
    return std::array{EnumName{Cause::None, "none"}, EnumName{Cause::SpawnFailed, "spawn-failed"},
                      EnumName{Cause::ExitedBeforeReady, "exited-before-ready"},
                      EnumName{Cause::StartDeadline, "start-deadline"},
                      EnumName{Cause::ExitedSoon, "exited-soon"}};
}

} // namespace holdfast::lifecycle
