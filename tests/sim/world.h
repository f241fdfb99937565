// SPDX-License-Identifier: Apache-2.0
// A World: one unit in the simulated kernel, with the memory that the invariants need. deliver() is one step;
// after it every named invariant has been checked.
#pragma once

#include "lifecycle/step.h"
#include "lifecycle/trace.h"
#include "sim/deaths.h"
#include "sim/history.h"
#include "sim/kernel.h"

#include <string>
#include <vector>

namespace holdfast::sim {

/// step(), or a mutant of it.
using Step = Orders (*)(UnitState&, Policy const&, Fact const&, MonotonicTime);

struct World {
    Policy wanted;
    UnitState state{};
    Kernel kernel{};
    History history{};
    MonotonicTime now{std::chrono::hours{1}};
    Step step = lifecycle::step;
    bool resizes = false;     ///< exploring: there are one or two workers, by turns
    bool pauses = false;      ///< for explore(): rollouts are paused and resumed too
    bool pauses_unit = false; ///< for explore(): the unit is paused and resumed too
    Resume resume = lifecycle::resume;
    bool dies = false;       ///< at every place of every step, and what its successor does is looked at
    std::string_view only{}; ///< if not empty: complaints of other invariants are not heard

    /// Time moves to `line.at` (never back) and the fact is told, or the wanted spec changes. Nothing happens
    /// to a fact that cannot happen now; so any part of a trace is a trace.
    Complaints deliver(TraceLine const& line);
    /// The supervisor dies, and its successor goes on.
    Complaints die();
    /// What somebody complains about, as far as it is to be heard.
    [[nodiscard]] Complaints heard(Complaints complaints) const;
    void enact(Kernel& in, Orders const& orders) const;
};

/// Everybody behaves well from now on, until nothing moves any more. Complains when that takes too long, or
/// when a wish is without its answer then.
[[nodiscard]] Complaints come_to_rest(World& world);
/// From now on no worker says anything or goes unless it is killed (or not even then), and it hangs before or
/// after it became a program. Complains when wishes are not answered even so.
[[nodiscard]] Complaints outlast_stubborn_workers(World const& world);

/// All wishes are answered.
[[nodiscard]] bool is_settled(History const& history);

} // namespace holdfast::sim
