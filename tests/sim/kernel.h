// SPDX-License-Identifier: Apache-2.0
// A simulated kernel: it enacts orders on simulated processes, timers and a watch, and says what may happen
// next. It never calls step(): what comes of an order is a fact that somebody delivers later.
#pragma once

#include "lifecycle/levels.h"
#include "lifecycle/order.h"

#include <map>
#include <optional>
#include <vector>

namespace holdfast::sim {

using namespace lifecycle;

enum class Stage : std::uint8_t { Ordered, Forked, Executed };

/// A living process, or one that is ordered. One that is given up is nobody's any more, dead or alive.
struct Process {
    WorkerId id{};
    GenerationId generation{};
    Slot slot{};
    ServiceType type{};     ///< how it shows that it is ready
    bool probed = false;    ///< and a probe must pass after that
    Duration settle_time{}; ///< how long it must run to be ready, where its type has no sign of that
    Stage stage = Stage::Ordered;
    MonotonicTime ordered_at{};
    bool ready = false;        ///< it did what its type calls ready
    bool stopping = false;     ///< it said that it goes by itself
    bool told = false;         ///< Drain
    std::uint8_t tellings = 0; ///< so often
    bool late = false;         ///< it was not ready in time
    bool signed_on = false;    ///< probed: the sign of its type has come
    MonotonicTime reloaded_at{};
    bool hangs = false;     ///< it missed its watchdog
    bool reloads = false;   ///< it was asked to, and has not answered
    bool unhealthy = false; ///< it was ready, and its probes failed
    bool killed = false;
    bool lent = false;            ///< it is to serve a shard until that is at rest, and no more
    bool excused = false;         ///< it is to go, and is told when its shard is at rest
    std::optional<Shard> shard{}; ///< from which it accepts
    MonotonicTime killed_at{};
    MonotonicTime unhealthy_since{};
    bool extended = false;                        ///< it asked for more time
    std::optional<MonotonicTime> settles_since{}; ///< it runs, and that is not enough yet
    MonotonicTime ready_at{};
    MonotonicTime leaving_since{}; ///< told, or said so itself
    bool operator==(Process const&) const = default;
    /// It does its work and nobody said that it should not.
    [[nodiscard]] bool serves() const { return ready && !is_leaving(); }
    [[nodiscard]] bool is_leaving() const { return stopping || told || killed || excused; }
    /// It accepts from its shard, or will.
    [[nodiscard]] bool attends(Shard it) const { return shard == it && !told && !killed && !hangs; }
};

struct Kernel {
    std::vector<Process> processes; ///< in order of their ids
    std::vector<ArmedTimer> timers; ///< in order of their keys
    bool watching = false;
    bool watching_queues = false;
    bool watching_idle = false;
    Shares shares;                        ///< by which new clients land in shards
    std::uint16_t slots = 0;              ///< that have shards
    std::vector<Shard> named;             ///< that packets may name
    std::vector<Shard> watched;           ///< until they are at rest
    std::vector<Shard> judged;            ///< for whether their clients are accepted
    std::vector<Shard> stuck;             ///< whose are not, as was told
    std::map<Shard, MonotonicTime> dirty; ///< somebody waits in them since they were steered away from
    bool operator==(Kernel const&) const = default;

    void enact(Order const& order, Policy const& policy, MonotonicTime now);
    /// May `fact` come from here now? Wishes may always, and so may late facts about the dead.
    [[nodiscard]] bool may_happen(Fact const& fact, MonotonicTime now) const;
    /// The fact happens: processes change, timers are used up. `settles`: a process that begins to run has an
    /// older generation to take over from, so that running must last.
    void happen(Fact const& fact, MonotonicTime now, bool settles);

    [[nodiscard]] Process const* find(WorkerId id) const;
    [[nodiscard]] ArmedTimer const* find(TimerKey key) const;
    [[nodiscard]] ArmedTimer const* earliest_timer() const;
};

/// The worker a fact is about.
[[nodiscard]] std::optional<WorkerId> worker_of(Fact const& fact);

} // namespace holdfast::sim
