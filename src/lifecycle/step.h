// SPDX-License-Identifier: Apache-2.0
// The core: a value and a function. See src/lifecycle/README.md for the diagram and the named invariants.
#pragma once

#include "lifecycle/order.h"
#include "lifecycle/state.h"

namespace holdfast::lifecycle {

/// Takes one fact into the state and says what must be done. `policy` is the wanted spec: generations started
/// from now on use it, older ones keep theirs. Total: any fact in any state is accepted (a late one about a
/// dead worker changes nothing).
[[nodiscard]] Orders step(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now);

} // namespace holdfast::lifecycle
