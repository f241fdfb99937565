// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/step.h"

#include "lifecycle/levels.h"
#include "lifecycle/sharing.h"
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
    unit.judge_workers();
    unit.note_shares(shares_of(state), before.named);
    unit.tend_shards();
    unit.note_idle();
    emit_difference(before, wanted(state), orders);
    return orders;
}

// ---- traffic ----

void UnitStep::on(TrafficArrived const&) {
    if (!state_.listening)
        return;
    state_.listening = false;
    if (auto const until = count_automatic_start(wanted_, by_traffic)) {
        state_.refills.push_back({.generation = no_generation, .at = *until});
        return report({.happening = Happening::TriggerLimitHit, .until = until});
    }
    // It stands for all slots; the first is always there.
    if (auto const until = count_automatic_start(wanted_, Slot{0}))
        return start_limit_hit({.generation = no_generation}, *until);
    propose({.id = new_generation(wanted_.strategy), .strategy = wanted_.strategy});
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
            send_away(*worker, patience_for(*worker));
        return;
    case WorkerPhase::Ready: // twice is harmless
    case WorkerPhase::Killed:
        return;
    }
}

void UnitStep::on(SpawnFailed const& fact) {
    if (auto* const worker = find(fact.worker)) // a launch that fails is an unclean exit, as in systemd
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

/// Where health is probed it is the proof that the sign of the type only promised.
void UnitStep::on(ProbePassed const& fact) {
    auto* const worker = find(fact.worker);
    if (worker != nullptr && worker->phase == WorkerPhase::Starting && worker->shown &&
        the(worker->generation).policy.is_probed)
        become_ready(*worker);
}

void UnitStep::on(ProbeFailed const& fact) {
    auto* const worker = find(fact.worker);
    if (worker == nullptr || worker->dismissed || !the(worker->generation).policy.is_probed)
        return;
    auto const id = worker->generation;
    auto const& policy = the(id).policy;
    auto const tell = [&] {
        report({.happening = Happening::WorkerUnhealthy, .worker = fact.worker, .generation = id});
    };
    switch (worker->phase) {
    case WorkerPhase::Starting: // where only running is the sign, it has its start deadline to get well
        if (!worker->shown || policy.type != ServiceType::Notify)
            return;
        tell();
        worker->is_unhealthy = true;
        send_away(*worker, policy.timeout_stop);
        return fail(id, fact.worker, Cause::Unhealthy, std::nullopt);
    case WorkerPhase::Ready:
        tell();
        worker->is_unhealthy = true;
        worker->dismissed = true; // it stays until another one is ready: relieve()
        fail(id, fact.worker, Cause::Unhealthy, std::nullopt);
        return replace(*find(fact.worker));
    case WorkerPhase::Draining:
    case WorkerPhase::Killed:
        return;
    }
}

void UnitStep::on(WatchdogMissed const& fact) {
    auto* const worker = find(fact.worker);
    if (worker == nullptr)
        return;
    switch (worker->phase) {
    case WorkerPhase::Ready: {
        auto const& generation = the(worker->generation);
        if (was_healthy(*worker, generation.policy, now_))
            worker->tries = 0;
        worker->missed_watchdog = true;
        enter(*worker, WorkerPhase::Draining, now_ + generation.policy.timeout_stop);
        if (generation.role == Role::Serving)
            report({.happening = Happening::WorkerDied,
                    .worker = fact.worker,
                    .generation = generation.id,
                    .cause = Cause::Watchdog});
        return fail(generation.id, fact.worker, Cause::Watchdog, std::nullopt);
    }
    case WorkerPhase::Starting: // its exit will tell
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
        if (worker->shown &&
            !the(worker->generation)
                 .policy.is_probed) // its start is over, and how long it has to settle is not its own to say
            return;
        [[fallthrough]];
    case WorkerPhase::Draining:
        worker->deadline = std::max(worker->deadline, now_ + fact.by);
        return;
    case WorkerPhase::Ready:
        if (is_asked_to_reload(state_, fact.worker))
            state_.reload->deadline = std::max(state_.reload->deadline, now_ + fact.by);
        return;
    case WorkerPhase::Killed:
        return;
    }
}

void UnitStep::on(Exited const& fact) {
    if (auto* const worker = find(fact.worker))
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
    case TimerKind::ReloadDeadline:
        return on_reload_deadline(WorkerId{fact.timer.of});
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
    case TimerKind::Hold:
        return end_hold();
    case TimerKind::Probation:
        return end_probation();
    case TimerKind::IdleStop:
        return stop_when_idle();
    case TimerKind::PauseDeadline:
        if (state_.pause && state_.pause->until <= now_) // it may have been paused anew
            resume_by_itself(Cause::PauseDeadline);
        return;
    case TimerKind::RestDeadline:
    case TimerKind::ShardDeadline:
        return; // tend_shards() looks at the time
    }
}

void UnitStep::on_start_deadline(Worker& worker) {
    switch (worker.phase) {
    case WorkerPhase::Starting: {
        if (worker.shown && !the(worker.generation).policy.is_probed)
            return become_ready(worker); // it has run for the settle time
        auto const id = worker.id;
        auto const generation = worker.generation;
        report({.happening = Happening::StartDeadlinePassed, .worker = id, .generation = generation});
        worker.is_unhealthy = true;
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
        orders_.emplace_back(Kill{worker.id});
        return enter(worker, WorkerPhase::Killed, now_ + time_to_die(the(worker.generation).policy));
    case WorkerPhase::Killed:
        return give_up(worker);
    case WorkerPhase::Starting:
    case WorkerPhase::Ready:
        return;
    }
}

} // namespace holdfast::lifecycle
