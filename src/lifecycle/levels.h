// SPDX-License-Identifier: Apache-2.0
// Levels: what must hold as long as a state lasts (timers, the watch on the listeners). They are never
// switched by hand: wanted() reads them off the state, and step() emits the difference, so that nothing can
// be forgotten.
#pragma once

#include "lifecycle/order.h"
#include "lifecycle/state.h"

#include <vector>

namespace holdfast::lifecycle {

struct ArmedTimer {
    TimerKey key;
    MonotonicTime at;
    bool operator==(ArmedTimer const&) const = default;
};

struct Levels {
    bool watching = false;
    bool watching_queues = false;
    bool watching_idle = false;
    Shares shares{};                ///< sharded units: how new connections are shared out
    std::uint16_t slots = 0;        ///< sharded units: that have shards
    std::vector<Shard> named{};     ///< sharded units: that packets may name, see named_shards()
    std::vector<Shard> restless{};  ///< sharded units: that are watched until they are at rest
    std::vector<Shard> judged{};    ///< sharded units: whose load is watched, see judged_shards()
    std::vector<ArmedTimer> timers; ///< in order of their keys, each key once
    bool operator==(Levels const&) const = default;
};

[[nodiscard]] Levels wanted(UnitState const& state);

/// Appends to `orders` what leads from `before` to `after`. An Arm of an armed timer moves it.
/// A Watch comes before everything else that was ordered: who comes while the workers are told to go is
/// noticed. Then a Steer: who is told to go has lost its share by then; but
/// after the binding of shards that it may name. Shards are closed at the end, when nobody is in them.
void emit_difference(Levels const& before, Levels const& after, Orders& orders);

/// The RestartDelay timer of a slot. Generations alive together are few, so 16 bits of their id tell them
/// apart.
[[nodiscard]] TimerKey timer_of(Refill const& refill);
[[nodiscard]] TimerKey timer_of(RestlessShard const& restless);

} // namespace holdfast::lifecycle
