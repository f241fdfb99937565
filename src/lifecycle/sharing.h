// SPDX-License-Identifier: Apache-2.0
// Sharded units: which shards get the new connections, and in which bank the next generation is. Pure; a part
// of the levels.
#pragma once

#include "lifecycle/state.h"

namespace holdfast::lifecycle {

/// The shard that the worker in a slot of a generation accepts from.
[[nodiscard]] Shard shard_of(Slot slot, GenerationId generation);

[[nodiscard]] inline Shard shard_of(Worker const& worker) {
    return {static_cast<std::uint16_t>(worker.slot), worker.bank};
}

[[nodiscard]] inline Shard shard_of(Spawn const& order) {
    auto const own = shard_of(order.slot, order.generation);
    return {own.slot, order.lent.value_or(own.bank)};
}

/// How new connections are shared out while this state lasts; `state.shares` is what was ordered last. While
/// nobody serves it stays like that, so that clients wait where the next one will look; but in one bank only,
/// since the next generation is in one. Empty for a unit that has no shards, or never had anybody to serve
/// them.
[[nodiscard]] Shares shares_of(UnitState const& state);

/// least_loaded: the shards that take part, two at least: those that are looked at for whether their clients
/// are accepted. One that does not move has no share, as long as another of its side (of the canary, or of
/// those that it comes against) moves.
[[nodiscard]] std::vector<Shard> judged_shards(UnitState const& state);

/// A worker in it does not accept who waits there, as far as is known.
[[nodiscard]] bool is_stuck(UnitState const& state, Shard shard);

/// payload_byte: the shards whose workers have served and are there, of every generation: flows that name
/// them stay with them until they are gone. Who hangs, is killed or is there for a shard that was lent is not
/// counted.
[[nodiscard]] std::vector<Shard> named_shards(UnitState const& state);

/// payload_byte, before or after: the worker reads what names it from a shard of this bank, so that nobody of
/// another generation, one by the rules of `next`, may be put there.
[[nodiscard]] bool keeps_bank(UnitState const& state, Worker const& worker, Bank bank, Policy const& next);

/// How many slots have shards: all that somebody has, may get, or may wait in.
[[nodiscard]] std::uint16_t sharded_slots(UnitState const& state);

/// Nobody is in a restless shard: most often it will be told at rest within this time.
inline constexpr Duration rest_grace = std::chrono::milliseconds{250};

/// Somebody may wait in the shard: it has lost its share and was not at rest since.
[[nodiscard]] bool is_restless(UnitState const& state, Shard shard);

/// The worker is to go, and is told when its shard is at rest. A stop waits for nobody in a queue, and
/// whoever waits for an unhealthy worker is better served by another.
[[nodiscard]] bool waits_for_rest(UnitState const& state, Worker const& worker);

/// When a worker that is to go is told so, though its shard is not at rest: after half of the time that it
/// has. Never for one that does not wait for that.
[[nodiscard]] MonotonicTime rest_deadline(UnitState const& state, Worker const& worker);

/// Of `slots` acceptors beside `old` ones, so many come nearest to `percent` of all of them; one at least.
[[nodiscard]] std::uint16_t canary_slots(std::uint8_t percent, std::uint16_t slots, std::uint16_t old);

/// Workers that accept: of the canary, and of those that it comes against.
struct CanaryPart {
    unsigned canary = 0;
    unsigned others = 0;
    [[nodiscard]] unsigned percent() const {
        auto const all = canary + others;
        return all == 0 ? 0 : (all_percent * canary + all / 2) / all;
    }
};
[[nodiscard]] CanaryPart canary_part(UnitState const& state);

/// The bank for a generation that is to come up by these rules: not that of the serving one while that can go
/// on (with replace it goes first); else the one in which clients wait. With payload_byte, where somebody of
/// another generation reads his flows in that one: the other, if those there are fewer or nearer to their
/// end.
[[nodiscard]] Bank bank_of_next(UnitState const& state, Policy const& next, Strategy strategy);

} // namespace holdfast::lifecycle
