// SPDX-License-Identifier: Apache-2.0
#include "sim/mutants.h"

#include <algorithm>
#include <array>

namespace holdfast::sim {

namespace {

using lifecycle::step;

Orders a_paused_unit_is_filled(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    // as if a pause only ended what runs
    auto orders = step(state, policy, fact, now);
    if (std::holds_alternative<PauseWished>(fact) && state.goal == Goal::Up) {
        auto more = step(state, policy, StartWished{}, now);
        std::erase_if(more, [](Order const& order) {
            auto const* const report = std::get_if<Report>(&order);
            return report != nullptr && report->happening == Happening::Resumed;
        });
        orders.insert(orders.end(), more.begin(), more.end());
    }
    return orders;
}
Orders a_lazy_one_is_watched_on(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    bool const listened = state.listening;
    auto orders = step(state, policy, fact, now);
    if (std::holds_alternative<PauseWished>(fact) && listened) {
        state.listening = true;
        forget_orders<Unwatch>(orders);
    }
    return orders;
}
Orders a_second_pause_is_not_heard(UnitState& state, Policy const& policy, Fact const& fact,
                                   MonotonicTime now) {
    if (std::holds_alternative<PauseWished>(fact) && state.pause)
        return {Report{.happening = Happening::Pausing, .generation = state.last_generation}};
    return step(state, policy, fact, now);
}
Orders a_full_queue_is_not_heard(UnitState& state, Policy const& policy, Fact const& fact,
                                 MonotonicTime now) {
    if (std::holds_alternative<QueueNearlyFull>(fact))
        return {};
    return step(state, policy, fact, now);
}
Orders paused_is_said_at_once(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    if (std::holds_alternative<PauseWished>(fact) && state.pause && state.pause->is_owed) {
        state.pause->is_owed = false;
        orders.emplace_back(Report{.happening = Happening::Paused, .generation = state.last_generation});
    }
    return orders;
}
Orders a_pause_says_nothing(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_reports(orders, Happening::Paused);
    forget_reports(orders, Happening::Resumed);
    return orders;
}
Orders a_start_ends_a_pause_in_silence(UnitState& state, Policy const& policy, Fact const& fact,
                                       MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    if (std::holds_alternative<StartWished>(fact))
        forget_reports(orders, Happening::Resumed);
    return orders;
}
Orders resumed_is_said_twice(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto const& order : Orders{orders})
        if (auto const* const report = std::get_if<Report>(&order);
            report != nullptr && report->happening == Happening::Resumed && report->cause != Cause::None)
            orders.push_back(order);
    return orders;
}

Orders idle_is_not_waited_for(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto hasty = policy;
    for (auto& generation : state.generations)
        if (generation.policy.idle_stop > Duration{0})
            generation.policy.idle_stop = Duration{1};
    return step(state, hasty, fact, now);
}
Orders who_comes_is_not_heard(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    if (std::holds_alternative<IdleEnded>(fact))
        return {};
    return step(state, policy, fact, now);
}
Orders triggers_are_not_counted(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    std::erase_if(state.automatic_starts,
                  [](AutomaticStart const& start) { return start.slot == by_traffic; });
    return step(state, policy, fact, now);
}
Orders a_trigger_limit_is_for_good(UnitState& state, Policy const& policy, Fact const& fact,
                                   MonotonicTime now) {
    auto for_good = policy;
    for_good.trigger_limit_interval = std::chrono::hours{1000};
    return step(state, for_good, fact, now);
}
Orders the_watch_comes_last(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    std::ranges::stable_partition(orders,
                                  [](Order const& order) { return !std::holds_alternative<Watch>(order); });
    return orders;
}

Orders nobody_is_cut_short(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto before = state.generations;
    for (auto& generation : state.generations)
        if (generation.role == Role::Outgoing)
            generation.policy.timeout_stop = std::chrono::hours{1000};
    auto orders = step(state, policy, fact, now);
    for (auto& generation : state.generations)
        for (auto const& old : before)
            if (old.id == generation.id && old.role == Role::Outgoing)
                generation.policy.timeout_stop = old.policy.timeout_stop;
    return orders;
}
Orders flows_are_not_minded(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    std::vector<WorkerId> read;
    for (auto& worker : state.workers)
        if (worker.phase == WorkerPhase::Draining && worker.was_ready) {
            read.push_back(worker.id);
            worker.was_ready = false;
        }
    auto orders = step(state, policy, fact, now);
    for (auto& worker : state.workers)
        worker.was_ready = worker.was_ready || std::ranges::find(read, worker.id) != read.end();
    return orders;
}

constexpr std::array all_demand_mutants{
    Mutant{"a paused unit is filled", "paused-serves-nobody", a_paused_unit_is_filled},
    Mutant{"a lazy one is watched on", "paused-serves-nobody", a_lazy_one_is_watched_on},
    Mutant{"idle is not waited for", "idle-is-proved", idle_is_not_waited_for},
    Mutant{"who comes is not heard", "idle-is-proved", who_comes_is_not_heard},
    Mutant{"triggers are not counted", "triggers-are-bounded", triggers_are_not_counted},
    Mutant{"a trigger limit is for good", "triggers-are-bounded", a_trigger_limit_is_for_good},
    Mutant{"nobody is cut short", "somebody-comes-soon", nobody_is_cut_short},
    Mutant{"nobody is cut short", "generations-are-capped", nobody_is_cut_short},
    Mutant{"flows are not minded", "one-reads-a-shard", flows_are_not_minded},
    Mutant{"the watch comes last", "watched-before-told", the_watch_comes_last},
    Mutant{"a second pause is not heard", "paused-has-an-end", a_second_pause_is_not_heard},
    Mutant{"a full queue is not heard", "paused-has-an-end", a_full_queue_is_not_heard},
    Mutant{"paused is said at once", "reports-are-true", paused_is_said_at_once},
    Mutant{"a start ends a pause in silence", "resumed-is-said-once", a_start_ends_a_pause_in_silence},
    Mutant{"resumed is said twice", "resumed-is-said-once", resumed_is_said_twice},
    Mutant{"a pause says nothing", "wishes-are-answered-once", a_pause_says_nothing},
};

} // namespace

std::span<Mutant const> demand_mutants() {
    return all_demand_mutants;
}

} // namespace holdfast::sim
