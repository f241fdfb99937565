// SPDX-License-Identifier: Apache-2.0
// A supervisor has died and another one goes on where it was (promise P3). The state was saved before the
// orders of its last step were enacted; nobody knows how many of them were. Pure: from what was saved and
// what is found it says what is still to be done, so that it is as if nobody had died: nothing is left out,
// and no process is started or told to go twice.
#pragma once

#include "lifecycle/order.h"
#include "lifecycle/state.h"

#include <vector>

namespace holdfast::lifecycle {

/// The process of a worker, dead or alive, whose end nobody has told the state yet.
struct FoundWorker {
    WorkerId id{};
    bool is_told = false;      ///< its drain signal was sent
    bool is_reloading = false; ///< it was asked to reload, and is watched for that
};

struct Resumed {
    /// Enacted at once, in their order: as after a step. All timers, watches and shares are among them.
    Orders orders;
    /// Then taken by step(), in their order.
    std::vector<Fact> facts;
};

/// The order that a worker was, or is to be, started by.
[[nodiscard]] Spawn spawn_order(UnitState const& state, Worker const& worker);

/// `found`: each once, in any order; who is no worker of the state is not its to look after. A worker that
/// was forked and is not found has ended, nobody knows how: it counts as an unclean end, so that a service is
/// rather started once too often than never again.
[[nodiscard]] Resumed resume(UnitState const& state, std::vector<FoundWorker> const& found);

/// What is known of a worker where no state was saved, or none that can be read.
struct LeftWorker {
    WorkerId id{};
    GenerationId generation{};
    SpecId spec{};
    Slot slot{};
    Bank bank = Bank::Blue;
    bool is_dead = false;   ///< it dumps core: its number and generation are taken, and that is all
    bool has_ended = false; ///< nobody has told of it yet
    bool is_told = false;   ///< it was told to go
};

/// What its listeners are found with, of a unit that has shards.
struct LeftShards {
    Shares shares{};
    std::uint16_t slots = 0;
};

/// A state from these alone. That generation serves which has most of the shares; of a unit without shards
/// the oldest of which all slots are there, since a newer one that had taken over has told it to go, or else
/// the one that has the most. Who was told to go, was lent, or is of another generation, drains. The slots
/// that are empty are filled, and a shard that has no share is watched until nobody waits in it. A unit of
/// which nobody is left who was not told to go is down.
[[nodiscard]] UnitState rebuilt(std::vector<LeftWorker> left, LeftShards shards, Policy const& policy,
                                MonotonicTime now);

} // namespace holdfast::lifecycle
