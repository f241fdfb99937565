// SPDX-License-Identifier: Apache-2.0
// Sharded units: which shards get the new connections, and in which bank the next generation is. Pure; a part
// of the levels.
#pragma once

#include "lifecycle/state.h"

namespace holdfast::lifecycle {

/// The shard that the worker in a slot of a generation accepts from.
[[nodiscard]] Shard shard_of(Slot slot, GenerationId generation);

/// How new connections are shared out while this state lasts; `state.shares` is what was ordered last. While
/// nobody serves it stays like that, so that clients wait where the next one will look; but in one bank only,
/// since the next generation is in one. Empty for a unit that has no shards, or never had anybody to serve
/// them.
[[nodiscard]] Shares shares_of(UnitState const& state);

/// The bank for a generation that is to come up: not that of the serving one while that can go on (with
/// replace it goes first); else the one in which clients wait.
[[nodiscard]] Bank bank_of_next(UnitState const& state, Strategy strategy);

} // namespace holdfast::lifecycle
