// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/step.h"

#include "lifecycle/levels.h"
#include "lifecycle/unit_step.h"

#include <algorithm>
#include <utility>

namespace holdfast::lifecycle {

Orders step(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    Orders orders;
    auto before = wanted(state);
    // What has just ended of itself is not armed any more: it needs no Disarm, and if it is still wanted, an
    // Arm.
    if (auto const* expired = std::get_if<TimerExpired>(&fact))
        std::erase_if(before.timers, [&](ArmedTimer const& timer) { return timer.key == expired->timer; });
    UnitStep unit{state, policy, now, orders};
    std::visit([&](auto const& what) { unit.on(what); }, fact);
    unit.settle();
    emit_difference(before, wanted(state), orders);
    return orders;
}

// ---- wishes ----

void UnitStep::on(StartWished const&) {
    reset_counters();
    if (std::exchange(state_.goal, Goal::Up) == Goal::Down)
        return start_from_nothing();
    auto* const serving = find(Role::Serving);
    bool const something_comes = state_.next || find(Role::Incoming) != nullptr;
    if (serving == nullptr && !something_comes)
        return start_from_nothing();
    if (serving != nullptr && !has_worker(serving->id) && !something_comes) {
        retire(*serving, no_generation); // only back-off is left of it: start afresh, by the wanted spec
        return start_from_nothing();
    }
    state_.start_owed = true; // if all are ready, settle() answers in this very step
    if (serving == nullptr)
        return report({.happening = Happening::Starting, .generation = state_.next->id});
    fill(*serving);
    if (!all_ready(*serving))
        report({.happening = Happening::Starting, .generation = serving->id});
}

/// Up is wished while nothing serves and nothing comes (old workers may still drain).
void UnitStep::start_from_nothing() {
    state_.refills.clear();
    switch (wanted_.activation) {
    case Activation::Eager:
        state_.listening = false;
        state_.start_owed = true;
        return propose({.id = new_generation(), .strategy = wanted_.strategy});
    case Activation::Lazy:
        state_.listening = true;
        state_.start_owed = false;
        return report({.happening = Happening::Started, .generation = state_.last_generation});
    }
}

void UnitStep::on(StopWished const&) {
    reset_counters();
    stop_rollouts();
    state_.goal = Goal::Down;
    state_.listening = false;
    state_.start_owed = false; // the Stopped that follows is its answer
    state_.next.reset();
    state_.refills.clear();
    state_.stop_owed = true;
    state_.stop_covers = state_.last_generation;
    if (!state_.workers.empty())
        report({.happening = Happening::Stopping, .generation = state_.stop_covers});
    for (auto& generation : state_.generations)
        retire(generation, no_generation);
}

void UnitStep::on(RestartWished const& wish) {
    reset_counters();
    auto const id = new_generation();
    auto const strategy = wish.strategy.value_or(wanted_.strategy);
    state_.goal = Goal::Up;
    bool const nothing_runs = find(Role::Serving) == nullptr && !state_.next;
    if (nothing_runs && wanted_.activation == Activation::Lazy) { // the next traffic starts the wanted spec
        state_.refills.clear();
        state_.listening = true;
        report({.happening = Happening::RolloutBegan, .generation = id});
        return report({.happening = Happening::RolloutDone, .generation = id});
    }
    supersede(id);
    state_.listening = false;
    if (auto* const serving = find(Role::Serving)) {
        bool const goes_first = strategy == Strategy::Replace;
        if (goes_first || !has_ready(serving->id)) // nothing of it is worth protecting
            retire(*serving, id);
    } else
        state_.refills.clear();
    propose({.id = id, .strategy = strategy, .is_rollout = true});
}

/// What a generation was made of stays: its text, its slots, how it shows that it is ready and what starts
/// it.
void UnitStep::on(PolicyChanged const&) {
    for (auto& generation : state_.generations) {
        if (generation.role == Role::Outgoing)
            continue;
        auto const before = std::exchange(generation.policy, wanted_);
        generation.policy.spec = before.spec;
        generation.policy.workers = before.workers;
        generation.policy.type = before.type;
        generation.policy.activation = before.activation;
        generation.policy.settle_time = before.settle_time;
    }
}

// ---- traffic ----

void UnitStep::on(TrafficArrived const&) {
    if (!state_.listening)
        return;
    state_.listening = false;
    if (auto const until = count_automatic_start(wanted_))
        return start_limit_hit({.generation = no_generation}, *until);
    propose({.id = new_generation(), .strategy = wanted_.strategy});
}

// ---- what workers do ----

void UnitStep::on(Forked const& fact) {
    come_up(fact.worker, ServiceType::Simple);
}

void UnitStep::on(Executed const& fact) {
    come_up(fact.worker, ServiceType::Exec);
}

void UnitStep::on(ReadySaid const& fact) {
    come_up(fact.worker, ServiceType::Notify);
}

/// A sign of life; a worker of a service of this `type` is ready by it.
void UnitStep::come_up(WorkerId id, ServiceType type) {
    auto* const worker = find(id);
    if (worker == nullptr)
        return;
    bool const is_new = !std::exchange(worker->forked, true);
    auto const& generation = the(worker->generation);
    switch (worker->phase) {
    case WorkerPhase::Starting:
        if (generation.policy.type == type)
            show_sign(*worker);
        return;
    case WorkerPhase::Draining: // too late; and it may have been told to go before there was anybody to tell
        if (is_new)
            send_away(*worker, patience_for(generation));
        return;
    case WorkerPhase::Ready: // twice is harmless
    case WorkerPhase::Killed:
        return;
    }
}

void UnitStep::on(SpawnFailed const& fact) {
    if (auto const* const worker = find(fact.worker)) // a launch that fails is an unclean exit, as in systemd
        lose(*worker, Cause::SpawnFailed, Ending::UncleanCode, std::nullopt);
}

void UnitStep::on(StoppingSaid const& fact) {
    auto* const worker = find(fact.worker);
    if (worker == nullptr)
        return;
    switch (worker->phase) {
    case WorkerPhase::Ready: {
        auto const& generation = the(worker->generation);
        if (was_healthy(*worker, generation.policy, now_))
            worker->tries = 0;
        enter(*worker, WorkerPhase::Draining, now_ + generation.policy.timeout_stop);
        return fail(generation.id, worker->id, Cause::ExitedSoon, std::nullopt);
    }
    case WorkerPhase::Starting: // its exit or its start deadline will tell
    case WorkerPhase::Draining:
    case WorkerPhase::Killed:
        return;
    }
}

void UnitStep::on(TimeExtended const& fact) {
    auto* const worker = find(fact.worker);
    if (worker == nullptr)
        return;
    switch (worker->phase) {
    case WorkerPhase::Starting:
        if (worker->shown) // its start is over, and how long it has to settle is not its own to say
            return;
        [[fallthrough]];
    case WorkerPhase::Draining:
        worker->deadline = std::max(worker->deadline, now_ + fact.by);
        return;
    case WorkerPhase::Ready:
    case WorkerPhase::Killed:
        return;
    }
}

void UnitStep::on(Exited const& fact) {
    if (auto const* const worker = find(fact.worker))
        lose(*worker, worker->was_ready ? Cause::ExitedSoon : Cause::ExitedBeforeReady,
             ending_of(*worker, fact.kind), fact.kind);
}

// ---- timers ----

void UnitStep::on(TimerExpired const& fact) {
    switch (fact.timer.kind) {
    case TimerKind::StartDeadline:
    case TimerKind::StopDeadline: {
        auto* const worker = find(WorkerId{fact.timer.of});
        if (worker == nullptr || now_ < worker->deadline) // gone, or given more time meanwhile
            return;
        return fact.timer.kind == TimerKind::StartDeadline ? on_start_deadline(*worker)
                                                           : on_stop_deadline(*worker);
    }
    case TimerKind::RestartDelay:
    case TimerKind::StartLimit: {
        bool const limited = fact.timer.kind == TimerKind::StartLimit;
        std::vector<Refill> due;
        std::erase_if(state_.refills, [&](Refill const& refill) {
            bool const mine = refill.limited == limited && (limited || timer_of(refill) == fact.timer);
            if (mine && refill.at <= now_)
                due.push_back(refill);
            return mine && refill.at <= now_;
        });
        for (auto const& refill : due)
            try_now(refill);
        return;
    }
    }
}

void UnitStep::on_start_deadline(Worker& worker) {
    switch (worker.phase) {
    case WorkerPhase::Starting: {
        if (worker.shown)
            return become_ready(worker); // it has run for the settle time
        auto const id = worker.id;
        auto const generation = worker.generation;
        report({.happening = Happening::StartDeadlinePassed, .worker = id, .generation = generation});
        send_away(worker, the(generation).policy.timeout_stop);
        return fail(generation, id, Cause::StartDeadline, std::nullopt);
    }
    case WorkerPhase::Ready:
    case WorkerPhase::Draining:
    case WorkerPhase::Killed:
        return;
    }
}

void UnitStep::on_stop_deadline(Worker& worker) {
    switch (worker.phase) {
    case WorkerPhase::Draining:
        report({.happening = Happening::DrainDeadlinePassed,
                .worker = worker.id,
                .generation = worker.generation});
        orders_.push_back(Kill{worker.id});
        return enter(worker, WorkerPhase::Killed, now_ + time_to_die(the(worker.generation).policy));
    case WorkerPhase::Killed:
        return give_up(worker);
    case WorkerPhase::Starting:
    case WorkerPhase::Ready:
        return;
    }
}

} // namespace holdfast::lifecycle
