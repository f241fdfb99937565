// SPDX-License-Identifier: Apache-2.0
// Facts: everything that can happen to a unit, as the core hears of it. Values only; the supervisor makes
// them from the kernel and from the operator's wishes.
#pragma once

#include "base/shares.h"
#include "lifecycle/policy.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace holdfast::lifecycle {

// ---- wishes of the operator (and of start-up, shutdown, apply) ----
struct StartWished {
    bool operator==(StartWished const&) const = default;
};
struct StopWished {
    bool operator==(StopWished const&) const = default;
};
/// Replace what runs by the wanted spec (the Policy given to step), by `strategy` or the policy's own.
/// On a unit that is down, the same as StartWished.
struct RestartWished {
    std::optional<Strategy> strategy;
    bool operator==(RestartWished const&) const = default;
};

/// The rollout that is under way, in its probation too, is rolled back. Where none is, nothing happens.
struct UndoWished {
    bool operator==(UndoWished const&) const = default;
};

/// The rollout that comes, waits for room or is on probation stays as it is: it opens and takes no further
/// slot, does not take over, and its probation does not run out. What fails rolls back all the same. Where
/// there is nothing older, nothing happens.
struct PauseRolloutWished {
    bool operator==(PauseRolloutWished const&) const = default;
};
/// It goes on, with what was left of its probation.
struct ResumeRolloutWished {
    bool operator==(ResumeRolloutWished const&) const = default;
};

/// The wanted policy has changed in what only says how workers are treated, or how many there are: what
/// serves or comes takes it over. Another number of workers is a resize, and answered (see order.h).
struct PolicyChanged {
    bool operator==(PolicyChanged const&) const = default;
};

/// The unit is up and is to serve nobody for a while: its workers drain, clients wait in the queues, and
/// nothing is started until it is resumed, or by itself when this time is over. Once more: it counts anew.
/// Of a unit that is down nothing happens.
struct PauseWished {
    Duration time = std::chrono::minutes{5};
    bool operator==(PauseWished const&) const = default;
};
/// The wanted spec is started on what waits. On a unit that is up and not paused, the same as StartWished; on
/// one that is down nothing happens.
struct ResumeWished {
    bool operator==(ResumeWished const&) const = default;
};

/// What runs re-reads its configuration, one worker after the other; the first that fails is the last.
struct ReloadWished {
    bool operator==(ReloadWished const&) const = default;
};

// ---- what the kernel and the workers say ----
/// The shards of so many slots are bound, before anything was ever steered: until the first Steer, new
/// connections are shared out equally among those of the first generation's bank.
struct ShardsHeld {
    std::uint16_t slots = 0;
    bool operator==(ShardsHeld const&) const = default;
};
/// Nothing is queued in a watched shard (WatchRest), and no handshake is under way that will end in it.
struct ShardAtRest {
    Shard shard;
    bool operator==(ShardAtRest const&) const = default;
};
/// So many wait in a queue of a paused unit (WatchQueues) that soon somebody would be turned away.
struct QueueNearlyFull {
    bool operator==(QueueNearlyFull const&) const = default;
};
/// Looked at because of WatchIdle: from now on nobody is there, and somebody who comes will be noticed.
struct IdleBegan {
    bool operator==(IdleBegan const&) const = default;
};
/// ... and somebody came since.
struct IdleEnded {
    bool operator==(IdleEnded const&) const = default;
};
/// least_loaded: clients wait in a shard that is looked at (WatchLoad), and for a while nobody has accepted
/// any; or somebody does again.
struct ShardStuck {
    Shard shard;
    bool operator==(ShardStuck const&) const = default;
};
struct ShardMoving {
    Shard shard;
    bool operator==(ShardMoving const&) const = default;
};
/// A connection or datagram waits on a watched listener.
struct TrafficArrived {
    bool operator==(TrafficArrived const&) const = default;
};
/// The process exists (ServiceType::Simple is ready now).
struct Forked {
    WorkerId worker{};
    bool operator==(Forked const&) const = default;
};
/// Its program was executed (ServiceType::Exec is ready now).
struct Executed {
    WorkerId worker{};
    bool operator==(Executed const&) const = default;
};
/// It could not be forked, prepared or executed. No process is left; no Exited follows.
struct SpawnFailed {
    WorkerId worker{};
    bool operator==(SpawnFailed const&) const = default;
};
struct ReadySaid {
    WorkerId worker{};
    bool operator==(ReadySaid const&) const = default;
};
/// STOPPING=1: it goes by itself; whatever it does now is not a crash.
struct StoppingSaid {
    WorkerId worker{};
    bool operator==(StoppingSaid const&) const = default;
};
/// A health probe of the worker succeeded, or as many in a row failed as make it unhealthy.
struct ProbePassed {
    WorkerId worker{};
    bool operator==(ProbePassed const&) const = default;
};
struct ProbeFailed {
    WorkerId worker{};
    bool operator==(ProbeFailed const&) const = default;
};
/// It did not say WATCHDOG=1 in time. Who tells this ends it (watchdog_signal, then SIGKILL): an Exited
/// follows.
struct WatchdogMissed {
    WorkerId worker{};
    bool operator==(WatchdogMissed const&) const = default;
};
/// The worker has done what Reload asked for, or said that it cannot.
struct Reloaded {
    WorkerId worker{};
    bool operator==(Reloaded const&) const = default;
};
struct ReloadRefused {
    WorkerId worker{};
    bool operator==(ReloadRefused const&) const = default;
};
/// EXTEND_TIMEOUT_USEC: the running deadline (start, reload, stop or drain) of this worker moves to now + by,
/// never earlier. The settle time is none: it stays.
struct TimeExtended {
    WorkerId worker{};
    Duration by{};
    bool operator==(TimeExtended const&) const = default;
};

/// How a process ended, in the words of systemd.service(5)'s Restart= table.
enum class ExitKind : std::uint8_t { Clean, UncleanCode, UncleanSignal, CoreDump };
constexpr auto enum_table(ExitKind) {
    return std::array{EnumName{ExitKind::Clean, "clean"}, EnumName{ExitKind::UncleanCode, "unclean-code"},
                      EnumName{ExitKind::UncleanSignal, "unclean-signal"},
                      EnumName{ExitKind::CoreDump, "core-dump"}};
}
/// The worker's process was reaped. If it had been given up (WorkerStuck), this is late and changes nothing.
struct Exited {
    WorkerId worker{};
    ExitKind kind = ExitKind::Clean;
    bool operator==(Exited const&) const = default;
};

// ---- timers, armed by orders ----
enum class TimerKind : std::uint8_t {
    StartDeadline,  ///< worker: no sign in time; after its sign: it has settled, so it is ready
    StopDeadline,   ///< worker: told to go, or killed, and still there
    ReloadDeadline, ///< worker: it was asked to reload, and has not said that it is done
    RestartDelay,   ///< slot: back-off is over
    StartLimit,     ///< unit: the pause of the start limit is over
    Hold,           ///< unit: a step of a canary is over
    Probation,      ///< unit: what took over has proved itself
    RestDeadline,   ///< worker: it is told to go, though its shard is not at rest
    ShardDeadline,  ///< shard: nobody is in it, and it is not at rest
    IdleStop,       ///< unit: nobody was there for as long as it takes
    PauseDeadline,  ///< unit: it has been paused for as long as it may
};
constexpr auto enum_table(TimerKind) {
    return std::array{EnumName{TimerKind::StartDeadline, "start-deadline"},
                      EnumName{TimerKind::StopDeadline, "stop-deadline"},
                      EnumName{TimerKind::ReloadDeadline, "reload-deadline"},
                      EnumName{TimerKind::RestartDelay, "restart-delay"},
                      EnumName{TimerKind::StartLimit, "start-limit"},
                      EnumName{TimerKind::Hold, "hold"},
                      EnumName{TimerKind::Probation, "probation"},
                      EnumName{TimerKind::RestDeadline, "rest-deadline"},
                      EnumName{TimerKind::ShardDeadline, "shard-deadline"},
                      EnumName{TimerKind::IdleStop, "idle-stop"},
                      EnumName{TimerKind::PauseDeadline, "pause-deadline"}};
}
struct TimerKey {
    TimerKind kind{};
    std::uint32_t of = 0; ///< a WorkerId, or for RestartDelay the generation in the high and the slot in the
                          ///< low 16 bits, or for ShardDeadline twice the slot, and 1 more if the bank is
                          ///< green; 0 for the unit
    auto operator<=>(TimerKey const&) const = default;
};
struct TimerExpired {
    TimerKey timer;
    bool operator==(TimerExpired const&) const = default;
};

using Fact =
    std::variant<StartWished, StopWished, RestartWished, UndoWished, PauseRolloutWished, ResumeRolloutWished,
                 PauseWished, ResumeWished, ReloadWished, PolicyChanged, TrafficArrived, QueueNearlyFull,
                 IdleBegan, IdleEnded, Forked, Executed, SpawnFailed, ReadySaid, StoppingSaid, ProbePassed,
                 ProbeFailed, WatchdogMissed, Reloaded, ReloadRefused, TimeExtended, Exited, TimerExpired,
                 ShardsHeld, ShardAtRest, ShardStuck, ShardMoving>;

/// "exited worker=3 kind=clean": one line that `holdfast trace` prints and parse_fact reads back.
[[nodiscard]] std::string to_string(Fact const& fact);
[[nodiscard]] std::optional<Fact> parse_fact(std::string_view line);

} // namespace holdfast::lifecycle
