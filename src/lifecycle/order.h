// SPDX-License-Identifier: Apache-2.0
// Orders: what must be done about a fact. The supervisor enacts them one after the other, in the order given;
// what comes of them returns later as facts. Enacting never calls step().
#pragma once

#include "base/shares.h"
#include "lifecycle/fact.h"
#include "lifecycle/happening.h"

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
/// Look at the queues of the unit's listeners until UnwatchQueues: it is paused, and one that is nearly full
/// is told by QueueNearlyFull.
struct WatchQueues {
    bool operator==(WatchQueues const&) const = default;
};
struct UnwatchQueues {
    bool operator==(UnwatchQueues const&) const = default;
};
/// Tell when nobody is there (IdleBegan), and who comes after that (IdleEnded), until UnwatchIdle.
struct WatchIdle {
    bool operator==(WatchIdle const&) const = default;
};
struct UnwatchIdle {
    bool operator==(UnwatchIdle const&) const = default;
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

using Order = std::variant<Spawn, Drain, Kill, Reload, Watch, Unwatch, WatchQueues, UnwatchQueues, WatchIdle,
                           UnwatchIdle, HoldShards, Steer, WatchRest, WatchLoad, Arm, Disarm, Report>;
using Orders = std::vector<Order>;

[[nodiscard]] std::string to_string(Order const& order);
/// Reads back the line of a Report.
[[nodiscard]] std::optional<Report> parse_report(std::string_view line);

} // namespace holdfast::lifecycle
