// SPDX-License-Identifier: Apache-2.0
// UnitState: everything the core remembers of a unit. A plain value: copied, compared and printed by tests,
// saved by the supervisor. Changed by step() only.
#pragma once

#include "base/rare.h"
#include "lifecycle/order.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace holdfast::lifecycle {

/// What the operator wants of the unit.
enum class Goal : std::uint8_t { Down, Up };
constexpr auto enum_table(Goal) {
    return std::array{EnumName{Goal::Down, "down"}, EnumName{Goal::Up, "up"}};
}

enum class WorkerPhase : std::uint8_t {
    Starting, ///< ordered, forked or executed; not ready
    Ready,
    Draining, ///< told to go (or said itself that it goes), may still finish requests
    Killed,   ///< SIGKILL is sent; only its Exited is awaited, and that not for ever
};
constexpr auto enum_table(WorkerPhase) {
    return std::array{EnumName{WorkerPhase::Starting, "starting"}, EnumName{WorkerPhase::Ready, "ready"},
                      EnumName{WorkerPhase::Draining, "draining"}, EnumName{WorkerPhase::Killed, "killed"}};
}

struct Worker {
    WorkerId id{};
    GenerationId generation{};
    Slot slot{};
    std::uint16_t tries = 0; ///< automatic restarts of its slot in a row that led to it
    WorkerPhase phase = WorkerPhase::Starting;
    bool was_ready = false;
    bool forked = false;       ///< the process exists, so it can be signalled
    bool shown = false;        ///< the sign of its type has come; Starting: it settles
    bool sent = false;         ///< it is to go; told when its shard, if it has one, is at rest
    bool told = false;         ///< the Drain order was given
    bool dismissed = false;    ///< its slot is another's, or nobody's: it was sent away though it did nothing
                               ///< wrong; or (Ready) it is unhealthy and goes as soon as another one is ready
    bool is_lent = false;      ///< it was started for what waits in its shard, and goes when that is at rest
    Bank bank = Bank::Blue;    ///< of its shard
    bool is_unhealthy = false; ///< its probes failed, or it was not ready in time: it empties no queue
    bool missed_watchdog = false; ///< it is being ended for it, by whoever told
    bool is_stuck = false;        ///< least_loaded: it does not accept who waits in its shard
    MonotonicTime since{};        ///< when it entered its phase
    MonotonicTime ready_at{};     ///< when it became ready, if was_ready
    MonotonicTime deadline = MonotonicTime::never(); ///< of its phase
    bool operator==(Worker const&) const = default;
};

/// It is ready, and nothing is wrong with it.
[[nodiscard]] constexpr bool is_well(Worker const& worker) {
    return worker.phase == WorkerPhase::Ready && !worker.dismissed;
}

/// The part a generation plays.
enum class Role : std::uint8_t {
    Incoming,  ///< being rolled out, not all ready
    Serving,   ///< the one that keeps its slots filled
    Parked,    ///< kept while the newer one that serves is on probation
    Withdrawn, ///< failed or superseded half-way: what is ready of it goes as the serving one is ready again
    Outgoing,  ///< drains
};
constexpr auto enum_table(Role) {
    return std::array{EnumName{Role::Incoming, "incoming"}, EnumName{Role::Serving, "serving"},
                      EnumName{Role::Parked, "parked"}, EnumName{Role::Withdrawn, "withdrawn"},
                      EnumName{Role::Outgoing, "outgoing"}};
}

/// The first generation has the id 1.
constexpr GenerationId no_generation{};

struct Generation {
    GenerationId id{};
    Role role = Role::Serving;
    bool has_served = false; ///< all of it was ready once: it is worth going back to
    bool is_thinned = false; ///< it gave up slots for a newer one; a roll-back fills them again
    GenerationId retired_by = no_generation; ///< the rollout that is done when this one is gone
    Policy policy{};                         ///< the rules it was started with
    bool operator==(Generation const&) const = default;
};

/// How many slots it has; a pool of none would never be ready.
[[nodiscard]] constexpr std::uint16_t slots_of(Policy const& policy) {
    return policy.workers == 0 ? std::uint16_t{1} : policy.workers;
}
[[nodiscard]] constexpr bool has_slot(Generation const& generation, Slot slot) {
    return static_cast<std::uint16_t>(slot) < slots_of(generation.policy);
}

/// An empty slot of the serving generation that will be filled again; or, with no_generation, a lazy unit
/// that will watch its listeners again. So a slot is occupied (a Worker), promised (a Refill) or finished
/// (neither).
struct Refill {
    GenerationId generation = no_generation;
    Slot slot{};
    std::uint16_t tries = 0;
    bool limited = false; ///< it waits for the start limit, else for its restart delay
    MonotonicTime at{};
    bool operator==(Refill const&) const = default;
};

/// The generation that starts as soon as it may: when there is room, or (replace) when the others are gone.
struct NextGeneration {
    GenerationId id{};
    Strategy strategy = Strategy::Overlap;
    bool is_rollout = false; ///< a restart asked for it, so it has an answer to give
    bool announced = false;  ///< RolloutBegan was reported
    bool is_urgent = false;  ///< what was withdrawn makes way, though the serving one is not whole
    bool is_paused = false;  ///< it does not begin as long as another one serves
    bool operator==(NextGeneration const&) const = default;
};

enum class RolloutStage : std::uint8_t {
    Coming,      ///< its generation comes up
    Canary,      ///< it has a part of the new connections
    Probation,   ///< it serves, and the one before it is parked
    RollingBack, ///< it failed, and the serving generation fills what it had given up
};
constexpr auto enum_table(RolloutStage) {
    return std::array{EnumName{RolloutStage::Coming, "coming"}, EnumName{RolloutStage::Canary, "canary"},
                      EnumName{RolloutStage::Probation, "probation"},
                      EnumName{RolloutStage::RollingBack, "rolling-back"}};
}

/// The rollout that is under way (one in_place has no generation of its own): from its beginning to its
/// answer, or until what it replaced only drains.
struct Rollout {
    GenerationId id = no_generation;
    Strategy strategy{};
    RolloutStage stage = RolloutStage::Coming;
    bool is_paused = false;
    std::uint8_t share = 0; ///< canary: percent of new connections that it was given last
    std::uint8_t aim = 100; ///< ... that it is to get; as much as it has: it is held
    Cause cause{};          ///< why it is rolled back, and who failed
    std::optional<ExitKind> exit{};
    WorkerId failed{};
    MonotonicTime until =
        MonotonicTime::never(); ///< of its probation, or of this step; never while it is paused
    Duration left = forever;    ///< paused: of what it waits for
    bool operator==(Rollout const&) const = default;
};

/// Workers re-read their configuration, one after the other, in the order of their ids.
struct ReloadRound {
    GenerationId rollout = no_generation; ///< in_place: that is done by it
    bool is_wished = false;               ///< a reload waits for ReloadDone, ReloadFailed or Stopped
    bool is_again = false;                ///< it was wished once more: those who have reloaded do it again
    bool is_asked = false;                ///< `worker` was, and has not answered
    WorkerId worker{};                    ///< who was asked last
    WorkerId reloaded{};                  ///< the newest that has
    WorkerId last{}; ///< whoever came after it has read the configuration when it started
    MonotonicTime deadline = MonotonicTime::never(); ///< for who is asked
    bool operator==(ReloadRound const&) const = default;
};

/// It is up, and serves nobody for a while.
struct Pause {
    bool is_owed = false; ///< a pause waits for Paused, Resumed or Stopped
    MonotonicTime until;  ///< it is resumed then
    bool operator==(Pause const&) const = default;
};

/// Stands for starts by traffic, which have a limit of their own.
inline constexpr Slot by_traffic{std::numeric_limits<std::uint16_t>::max()};

/// An automatic start that the start limit of its slot still counts.
struct AutomaticStart {
    Slot slot{};
    MonotonicTime at{};
    bool operator==(AutomaticStart const&) const = default;
};

/// A shard that has lost its share and was not at rest since: somebody may wait in it.
struct RestlessShard {
    Shard shard;
    std::uint8_t lent = 0;                     ///< so often
    bool is_stranded = false;                  ///< nobody has been in it for a while
    MonotonicTime at = MonotonicTime::never(); ///< when it counts as stranded, and then as given up
    bool operator==(RestlessShard const&) const = default;
};

struct UnitState {
    Goal goal = Goal::Down;
    bool listening = false;                   ///< lazy: the listeners are watched, nothing serves
    bool start_owed = false;                  ///< a start waits for Started, StartFailed or Stopped
    bool stop_owed = false;                   ///< a stop waits for Stopped
    bool resize_owed = false;                 ///< a resize waits for Resized, ResizeFailed or Stopped
    std::uint16_t quick_ends = 0;             ///< runs of a lazy unit in a row that ended too soon
    GenerationId stop_covers = no_generation; ///< the stop is answered when this and all older ones are gone
    GenerationId last_generation = no_generation;
    WorkerId last_worker{};
    MonotonicTime idle_since = MonotonicTime::never(); ///< lazy: nobody is there since then
    Rare<NextGeneration> next;
    Rare<Rollout> rollout;
    Rare<ReloadRound> reload;
    Rare<Pause> pause;
    std::vector<Generation> generations; ///< oldest first; one is dropped when its last worker is gone
    std::vector<Worker> workers;         ///< alive or being started and not given up, in order of their ids
    std::vector<Refill> refills;
    std::vector<AutomaticStart> automatic_starts; ///< oldest first
    Shares shares;                                ///< sharded units: how new connections were shared out last
    std::vector<RestlessShard> restless;          ///< in order of the shards
    bool operator==(UnitState const&) const = default;
};

/// Lazy: it has come up, nothing else is under way, and it is to end when nobody is there for a while.
[[nodiscard]] bool may_idle(UnitState const& state);

/// The unit in one word, for people.
enum class UnitPhase : std::uint8_t {
    Inactive,
    Listening,
    Starting,
    Active,
    Rolling,
    BackingOff,
    Paused,
    Stopping
};
constexpr auto enum_table(UnitPhase) {
    return std::array{
        EnumName{UnitPhase::Inactive, "inactive"},   EnumName{UnitPhase::Listening, "listening"},
        EnumName{UnitPhase::Starting, "starting"},   EnumName{UnitPhase::Active, "active"},
        EnumName{UnitPhase::Rolling, "rolling-out"}, EnumName{UnitPhase::BackingOff, "backing-off"},
        EnumName{UnitPhase::Paused, "paused"},       EnumName{UnitPhase::Stopping, "stopping"}};
}
[[nodiscard]] UnitPhase phase_of(UnitState const& state);

/// The worker was asked to reload, and has not answered.
[[nodiscard]] bool is_asked_to_reload(UnitState const& state, WorkerId worker);

/// Something runs that can re-read its configuration.
[[nodiscard]] bool may_reload_in_place(UnitState const& state);

/// The rollout that an undo ends: it comes, waits for room, is on probation, or goes back already. None where
/// there is nothing older to go back to.
[[nodiscard]] GenerationId rollout_to_undo(UnitState const& state);
/// The rollout that may be paused: any of these, but one that goes back.
[[nodiscard]] GenerationId rollout_to_pause(UnitState const& state);
/// ... and is.
[[nodiscard]] bool is_paused(UnitState const& state);

} // namespace holdfast::lifecycle
