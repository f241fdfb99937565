// SPDX-License-Identifier: Apache-2.0
#include "sim/mutants.h"

#include <algorithm>
#include <array>

namespace holdfast::sim {

namespace {

// ---- how to be wrong ----

using lifecycle::step;

template <class T>
void repeat_orders(Orders& orders) {
    for (std::size_t i = 0, end = orders.size(); i < end; ++i)
        if (std::holds_alternative<T>(orders[i]))
            orders.push_back(Order{orders[i]});
}

// ---- P2 and the wishes ----

Orders old_one_goes_when_the_rollout_begins(UnitState& state, Policy const& policy, Fact const& fact,
                                            MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    if (std::holds_alternative<RestartWished>(fact))
        for (auto& worker : state.workers)
            if (worker.phase == WorkerPhase::Ready) {
                worker.phase = WorkerPhase::Draining;
                worker.told = true;
                worker.deadline = now + policy.drain_timeout;
                orders.push_back(Drain{worker.id});
                orders.push_back(
                    Arm{{TimerKind::StopDeadline, static_cast<std::uint32_t>(worker.id)}, worker.deadline});
            }
    return orders;
}
Orders all_incoming_go_when_one_fails(UnitState& state, Policy const& policy, Fact const& fact,
                                      MonotonicTime now) {
    // as if the old one still served whatever became of it
    auto orders = step(state, policy, fact, now);
    bool const failed = std::ranges::any_of(orders, [](Order const& order) {
        auto const* const report = std::get_if<Report>(&order);
        return report != nullptr && report->happening == Happening::RolloutFailed;
    });
    for (auto& worker : state.workers)
        if (failed && worker.phase == WorkerPhase::Ready) {
            worker.phase = WorkerPhase::Draining;
            worker.told = true;
            orders.push_back(Drain{worker.id});
        }
    return orders;
}
Orders stop_is_ignored(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    if (std::holds_alternative<StopWished>(fact))
        return {Report{.happening = Happening::Stopped, .generation = state.last_generation}};
    return step(state, policy, fact, now);
}
Orders unborn_are_not_stopped(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto const* const forked = std::get_if<Forked>(&fact);
    for (auto& worker : state.workers)
        if (forked != nullptr && worker.id == forked->worker && worker.phase == WorkerPhase::Draining) {
            worker.forked = true;
            return {};
        }
    return step(state, policy, fact, now);
}
Orders start_says_nothing(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_reports(orders, Happening::Starting);
    return orders;
}
Orders failed_rollout_says_nothing(UnitState& state, Policy const& policy, Fact const& fact,
                                   MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_reports(orders, Happening::RolloutFailed);
    return orders;
}
Orders superseded_rollout_says_nothing(UnitState& state, Policy const& policy, Fact const& fact,
                                       MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_reports(orders, Happening::RolloutSuperseded);
    return orders;
}
Orders done_is_said_at_take_over(UnitState& state, Policy const& policy, Fact const& fact,
                                 MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto& order : orders)
        if (auto* const report = std::get_if<Report>(&order);
            report != nullptr && report->happening == Happening::TookOver) {
            auto done = *report;
            done.happening = Happening::RolloutDone;
            orders.emplace_back(done);
            break;
        }
    return orders;
}
Orders take_over_is_said_last(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    std::ranges::stable_partition(orders, [](Order const& order) {
        auto const* const report = std::get_if<Report>(&order);
        return report == nullptr || report->happening != Happening::TookOver;
    });
    return orders;
}
Orders a_fork_is_believed(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto credulous = policy;
    credulous.type = ServiceType::Simple;
    return step(state, credulous, fact, now);
}
Orders promised_slots_are_forgotten(UnitState& state, Policy const& policy, Fact const& fact,
                                    MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    state.refills.clear();
    forget_orders<Arm>(orders, [](Arm const& arm) {
        return arm.timer.kind == TimerKind::RestartDelay || arm.timer.kind == TimerKind::StartLimit;
    });
    return orders;
}

// ---- slot by slot ----

Orders rolling_spares_nobody(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto lax = policy;
    lax.max_unavailable = 100;
    for (auto& generation : state.generations)
        generation.policy.max_unavailable = 100;
    return step(state, lax, fact, now);
}
Orders rolling_has_room_for_all(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto lax = policy;
    lax.max_surge = 100;
    return step(state, lax, fact, now);
}
Orders a_resize_says_nothing(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_reports(orders, Happening::Resized);
    return orders;
}
Orders a_roll_back_is_done_at_once(UnitState& state, Policy const& policy, Fact const& fact,
                                   MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    auto const began = std::ranges::find_if(orders, [](Order const& order) {
        auto const* const report = std::get_if<Report>(&order);
        return report != nullptr && report->happening == Happening::RollingBack;
    });
    if (began == orders.end())
        return orders;
    auto answer = std::get<Report>(*began);
    answer.happening = Happening::RolloutFailed;
    orders.emplace_back(answer);
    state.rollout.reset();
    return orders;
}
Orders the_old_go_when_it_is_rolled_back(UnitState& state, Policy const& policy, Fact const& fact,
                                         MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    bool const rolls_back = std::ranges::any_of(orders, [](Order const& order) {
        auto const* const report = std::get_if<Report>(&order);
        return report != nullptr && report->happening == Happening::RollingBack;
    });
    for (auto& worker : state.workers)
        if (rolls_back && worker.phase == WorkerPhase::Ready) {
            worker.phase = WorkerPhase::Draining;
            worker.told = true;
            orders.push_back(Drain{worker.id});
        }
    return orders;
}
Orders probation_lasts_for_ever(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_orders<Arm>(orders, [](Arm const& arm) { return arm.timer.kind == TimerKind::Probation; });
    return orders;
}
Orders a_pause_is_forgotten(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    if (state.rollout)
        state.rollout->is_paused = false;
    if (state.next)
        state.next->is_paused = false;
    return step(state, policy, fact, now);
}

// ---- shards ----

Orders nobody_is_steered_away(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_orders<Steer>(orders, [&](Steer const&) { return state.last_generation > GenerationId{1}; });
    return orders;
}
Orders shards_are_closed_at_once(UnitState& state, Policy const& policy, Fact const& fact,
                                 MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    std::uint16_t slots = 0;
    for (auto const& [shard, weight] : state.shares)
        slots = std::max(slots, static_cast<std::uint16_t>(shard.slot + 1));
    if (!state.restless.empty() && state.restless.back().shard.slot >= slots)
        orders.emplace_back(HoldShards{slots});
    return orders;
}
Orders everything_is_at_rest(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto& worker : state.workers)
        if (worker.phase == WorkerPhase::Draining && worker.sent && !worker.told) {
            worker.told = true;
            orders.emplace_back(Drain{worker.id});
        }
    return orders;
}
template <TimerKind kind>
Orders a_timer_is_lost(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto const* const expired = std::get_if<TimerExpired>(&fact);
    return expired != nullptr && expired->timer.kind == kind ? Orders{} : step(state, policy, fact, now);
}

template <class T>
Orders is_not_heard(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    return std::holds_alternative<T>(fact) ? Orders{} : step(state, policy, fact, now);
}
Orders who_leaves_loses_its_flows(UnitState& state, Policy const& policy, Fact const& fact,
                                  MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto& order : orders)
        if (auto* const steer = std::get_if<Steer>(&order))
            std::erase_if(steer->named, [&](Shard shard) { return !steer->shares.contains(shard); });
    return orders;
}
Orders a_canary_has_no_steps(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto lax = policy;
    lax.steps = {};
    return step(state, lax, fact, now);
}
Orders a_step_is_not_held(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto lax = policy;
    lax.hold = Duration{0};
    return step(state, lax, fact, now);
}
Orders the_canary_gets_a_half(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto& order : orders)
        if (auto* const steer = std::get_if<Steer>(&order); steer != nullptr && steer->shares.size() > 1) {
            std::vector<Shard> shards;
            for (auto const& [shard, weight] : steer->shares)
                shards.push_back(shard);
            steer->shares = share_equally(shards);
        }
    return orders;
}
// ---- limits ----

Orders generations_are_not_counted(UnitState& state, Policy const& policy, Fact const& fact,
                                   MonotonicTime now) {
    auto lax = policy;
    lax.max_generations = 200;
    return step(state, lax, fact, now);
}
Orders replace_overlaps(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto lax = policy;
    lax.strategy = Strategy::Overlap;
    if (std::holds_alternative<RestartWished>(fact))
        return step(state, lax, RestartWished{Strategy::Overlap}, now);
    return step(state, lax, fact, now);
}
Orders a_replace_comes_back_at_once(UnitState& state, Policy const& policy, Fact const& fact,
                                    MonotonicTime now) {
    if (state.rollout && state.rollout->strategy == Strategy::Replace)
        state.rollout->strategy = Strategy::Overlap;
    return step(state, policy, fact, now);
}
Orders starts_are_not_counted(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto lax = policy;
    lax.start_limit_burst = 0;
    return step(state, lax, fact, now);
}
Orders restarts_do_not_wait(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto lax = policy;
    lax.restart_delay = lax.restart_max_delay = Duration::zero();
    return step(state, lax, fact, now);
}

// ---- bookkeeping ----

Orders drain_is_said_twice(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    repeat_orders<Drain>(orders);
    return orders;
}
Orders drain_is_kill(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto& order : orders)
        if (auto const* const drain = std::get_if<Drain>(&order))
            order = Kill{drain->worker};
    return orders;
}
Orders slots_are_filled_twice(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto const& order : orders)
        if (auto const* const spawn = std::get_if<Spawn>(&order)) {
            auto twin = *spawn;
            auto worker = state.workers.back();
            worker.id = twin.worker = state.last_worker =
                WorkerId{static_cast<std::uint32_t>(state.last_worker) + 1};
            state.workers.push_back(worker);
            orders.emplace_back(twin);
            break;
        }
    return orders;
}
Orders ids_begin_again(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    if (state.workers.empty())
        state.last_worker = WorkerId{0};
    return step(state, policy, fact, now);
}
Orders slots_are_filled_from_the_wanted_spec(UnitState& state, Policy const& policy, Fact const& fact,
                                             MonotonicTime now) {
    for (auto& generation : state.generations)
        generation.policy.spec = policy.spec;
    return step(state, policy, fact, now);
}
Orders drains_may_last_for_ever(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_orders<Arm>(orders, [](Arm const& arm) { return arm.timer.kind == TimerKind::StopDeadline; });
    return orders;
}
template <class T>
bool has_order(Orders const& orders) {
    return std::ranges::any_of(orders, [](Order const& order) { return std::holds_alternative<T>(order); });
}
Orders the_killed_may_take_for_ever(UnitState& state, Policy const& policy, Fact const& fact,
                                    MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    if (has_order<Kill>(orders))
        forget_orders<Arm>(orders, [](Arm const& arm) { return arm.timer.kind == TimerKind::StopDeadline; });
    return orders;
}
Orders the_killed_are_given_up_at_once(UnitState& state, Policy const& policy, Fact const& fact,
                                       MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto& worker : state.workers)
        if (worker.phase == WorkerPhase::Killed && worker.since == now)
            worker.deadline = now;
    if (has_order<Kill>(orders))
        for (auto& order : orders)
            if (auto* const arm = std::get_if<Arm>(&order);
                arm != nullptr && arm->timer.kind == TimerKind::StopDeadline)
                arm->at = now;
    return orders;
}
Orders only_notify_can_be_late(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_orders<Arm>(orders, [&](Arm const& arm) {
        return arm.timer.kind == TimerKind::StartDeadline && policy.type != ServiceType::Notify;
    });
    return orders;
}
Orders settling_is_stretched(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    if (auto const* const extended = std::get_if<TimeExtended>(&fact))
        for (auto& worker : state.workers)
            if (worker.id == extended->worker && worker.phase == WorkerPhase::Starting) {
                worker.deadline = std::max(worker.deadline, now + extended->by);
                orders.push_back(
                    Arm{{TimerKind::StartDeadline, static_cast<std::uint32_t>(worker.id)}, worker.deadline});
            }
    return orders;
}
Orders all_reload_at_once(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    if (has_order<Reload>(orders))
        for (auto const& worker : state.workers)
            if (is_well(worker) && worker.id != state.reload->worker)
                orders.emplace_back(Reload{worker.id});
    return orders;
}
Orders a_refusal_is_not_heard(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto const* const refused = std::get_if<ReloadRefused>(&fact);
    return refused != nullptr ? step(state, policy, Reloaded{refused->worker}, now)
                              : step(state, policy, fact, now);
}
Orders a_reload_is_cut_short(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    if (state.reload && std::holds_alternative<Reloaded>(fact))
        state.reload->last = state.reload->worker;
    return step(state, policy, fact, now);
}
Orders a_reload_says_nothing(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_reports(orders, Happening::ReloadDone);
    return orders;
}
Orders timers_are_left_armed(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_orders<Disarm>(orders);
    return orders;
}
Orders the_watch_goes_on(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    forget_orders<Unwatch>(orders);
    return orders;
}
Orders a_fork_is_not_noted(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    if (auto const* const forked = std::get_if<Forked>(&fact))
        for (auto& worker : state.workers)
            if (worker.id == forked->worker)
                worker.forked = false;
    return orders;
}
Orders nobody_steps_down(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = step(state, policy, fact, now);
    for (auto& generation : state.generations)
        if (state.goal == Goal::Up)
            generation.role = Role::Serving;
    return orders;
}

constexpr std::array all_mutants{
    Mutant{"the old one goes when the rollout begins", "last-ready-stays",
           old_one_goes_when_the_rollout_begins},
    Mutant{"a canary has no steps", "canary-keeps-to-its-step", a_canary_has_no_steps},
    Mutant{"a step is not held", "canary-keeps-to-its-step", a_step_is_not_held},
    Mutant{"the canary gets a half", "canary-keeps-to-its-step", the_canary_gets_a_half},
    Mutant{"a pause is forgotten", "paused-rollouts-stay", a_pause_is_forgotten},
    Mutant{"all incoming go when one fails", "last-ready-stays", all_incoming_go_when_one_fails},
    Mutant{"stop is ignored", "stop-wins", stop_is_ignored},
    Mutant{"the unborn are not stopped", "stop-wins", unborn_are_not_stopped},
    Mutant{"start says nothing", "wishes-are-acknowledged", start_says_nothing},
    Mutant{"a failed rollout says nothing", "wishes-are-answered-once", failed_rollout_says_nothing},
    Mutant{"a superseded rollout says nothing", "wishes-are-answered-once", superseded_rollout_says_nothing},
    Mutant{"done is said at take-over", "wishes-are-answered-once", done_is_said_at_take_over},
    Mutant{"done is said at take-over", "reports-are-true", done_is_said_at_take_over},
    Mutant{"take-over is said last", "take-over-is-said-first", take_over_is_said_last},
    Mutant{"a fork is believed", "reports-are-true", a_fork_is_believed},
    Mutant{"promised slots are forgotten", "never-stuck", promised_slots_are_forgotten},
    Mutant{"a back-off is lost", "rest-is-what-was-wished", a_timer_is_lost<TimerKind::RestartDelay>},
    Mutant{"rolling spares nobody", "pool-keeps-its-size", rolling_spares_nobody},
    Mutant{"rolling has room for all", "pool-keeps-its-size", rolling_has_room_for_all},
    Mutant{"a roll-back is done at once", "rollback-ends-well", a_roll_back_is_done_at_once},
    Mutant{"the old go when it is rolled back", "rollback-ends-well", the_old_go_when_it_is_rolled_back},
    Mutant{"probation lasts for ever", "parked-is-resolved", probation_lasts_for_ever},
    Mutant{"nobody is steered away", "shares-are-served", nobody_is_steered_away},
    Mutant{"shards are closed at once", "closed-at-rest", shards_are_closed_at_once},
    Mutant{"everything is at rest", "last-of-a-shard-stays", everything_is_at_rest},
    Mutant{"who is stuck is not spared", "stuck-are-spared", is_not_heard<ShardStuck>},
    Mutant{"who moves again is not noticed", "stuck-are-spared", is_not_heard<ShardMoving>},
    Mutant{"who leaves loses its flows", "flows-stay", who_leaves_loses_its_flows},
    Mutant{"nothing is lent", "stranded-are-served", a_timer_is_lost<TimerKind::ShardDeadline>},
    Mutant{"a resize says nothing", "wishes-are-answered-once", a_resize_says_nothing},
    Mutant{"generations are not counted", "generations-are-capped", generations_are_not_counted},
    Mutant{"replace overlaps", "replace-is-alone", replace_overlaps},
    Mutant{"a replace comes back at once", "replace-is-alone", a_replace_comes_back_at_once},
    Mutant{"starts are not counted", "automatic-starts-are-bounded", starts_are_not_counted},
    Mutant{"restarts do not wait", "restarts-back-off", restarts_do_not_wait},
    Mutant{"drain is said twice", "told-once", drain_is_said_twice},
    Mutant{"those who should drain are killed", "told-once", drain_is_kill},
    Mutant{"slots are filled twice", "one-worker-per-slot", slots_are_filled_twice},
    Mutant{"ids begin again", "ids-are-fresh", ids_begin_again},
    Mutant{"slots are filled from the wanted spec", "old-slots-keep-their-spec",
           slots_are_filled_from_the_wanted_spec},
    Mutant{"drains may last for ever", "leaving-has-a-deadline", drains_may_last_for_ever},
    Mutant{"the killed may take for ever", "leaving-has-a-deadline", the_killed_may_take_for_ever},
    Mutant{"the killed may take for ever", "wishes-are-answered-once", the_killed_may_take_for_ever},
    Mutant{"the killed are given up at once", "given-up-last", the_killed_are_given_up_at_once},
    Mutant{"only notify can be late", "leaving-has-a-deadline", only_notify_can_be_late},
    Mutant{"only notify can be late", "wishes-are-answered-once", only_notify_can_be_late},
    Mutant{"settling is stretched", "leaving-has-a-deadline", settling_is_stretched},
    Mutant{"all reload at once", "reloads-one-by-one", all_reload_at_once},
    Mutant{"a refusal is not heard", "reload-is-true", a_refusal_is_not_heard},
    Mutant{"a reload is cut short", "reload-is-true", a_reload_is_cut_short},
    Mutant{"a reload says nothing", "wishes-are-answered-once", a_reload_says_nothing},
    Mutant{"timers are left armed", "no-timer-outlives-its-owner", timers_are_left_armed},
    Mutant{"timers are left armed", "levels-follow-the-state", timers_are_left_armed},
    Mutant{"the watch goes on", "levels-follow-the-state", the_watch_goes_on},
    Mutant{"a fork is not noted", "workers-are-the-processes", a_fork_is_not_noted},
    Mutant{"nobody steps down", "state-is-well-formed", nobody_steps_down},
};

} // namespace

std::vector<Mutant> const& mutants() {
    static auto const all = [] {
        std::vector<Mutant> list{all_mutants.begin(), all_mutants.end()};
        list.insert(list.end(), demand_mutants().begin(), demand_mutants().end());
        return list;
    }();
    return all;
}

} // namespace holdfast::sim
