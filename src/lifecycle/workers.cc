// SPDX-License-Identifier: Apache-2.0
// How slots are filled, emptied and filled again.
#include "base/ensure.h"
#include "lifecycle/sharing.h"
#include "lifecycle/unit_step.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace holdfast::lifecycle {

namespace {

std::uint16_t one_more(unsigned tries) {
    return static_cast<std::uint16_t>(std::min(tries + 1U, 0U + std::numeric_limits<std::uint16_t>::max()));
}

/// A lazy worker that went cleanly and had been ready for a while has done its work; any other ended too
/// soon.
bool did_its_work(Worker const& gone, Policy const& policy, Ending ending, MonotonicTime now) {
    return was_healthy(gone, policy, now) ||
           (ending == Ending::Clean && gone.was_ready && now - gone.ready_at >= policy.restart_delay);
}

} // namespace

// ---- looking ----

Worker* UnitStep::find(WorkerId id) {
    auto const it = std::ranges::lower_bound(state_.workers, id, {}, &Worker::id);
    return it != state_.workers.end() && it->id == id ? &*it : nullptr;
}

Generation* UnitStep::find(GenerationId id) {
    auto const it = std::ranges::find(state_.generations, id, &Generation::id);
    return it != state_.generations.end() ? &*it : nullptr;
}

Generation* UnitStep::find(Role role) {
    auto const it = std::ranges::find(state_.generations, role, &Generation::role);
    return it != state_.generations.end() ? &*it : nullptr;
}

Generation* UnitStep::find_ready(Role role) {
    auto const it = std::ranges::find_if(state_.generations, [&](Generation const& generation) {
        return generation.role == role && has_ready(generation.id);
    });
    return it != state_.generations.end() ? &*it : nullptr;
}

Generation& UnitStep::the(GenerationId id) {
    auto* const generation = find(id);
    ensure(generation != nullptr, "every worker and every slot has its generation");
    return *generation;
}

Generation& UnitStep::the(Role role) {
    auto* const generation = find(role);
    ensure(generation != nullptr, "whoever comes in finds somebody serving");
    return *generation;
}

/// How long a worker of it that is told to go may take, by the rules it was started with.
Duration UnitStep::patience_for(Generation const& generation) const {
    bool const is_stopped = state_.stop_owed && generation.id <= state_.stop_covers;
    return is_stopped ? generation.policy.timeout_stop : generation.policy.drain_timeout;
}

/// One that is to serve a shard until it is at rest has to come up first.
Duration UnitStep::patience_for(Worker const& worker) {
    auto const& generation = the(worker.generation);
    auto const patience = patience_for(generation);
    return worker.is_lent ? patience + generation.policy.timeout_start : patience;
}

bool UnitStep::all_ready(Generation const& generation) const {
    return slots_of(generation.policy) == std::ranges::count_if(state_.workers, [&](Worker const& worker) {
               return worker.generation == generation.id && is_well(worker) &&
                      has_slot(generation, worker.slot);
           });
}

bool UnitStep::has_ready(GenerationId generation) const {
    return std::ranges::any_of(state_.workers, [&](Worker const& worker) {
        return worker.generation == generation && worker.phase == WorkerPhase::Ready;
    });
}

bool UnitStep::has_worker(GenerationId generation) const {
    return std::ranges::any_of(state_.workers,
                               [&](Worker const& worker) { return worker.generation == generation; });
}

GenerationId UnitStep::new_generation(Strategy strategy) {
    auto id = static_cast<std::uint32_t>(state_.last_generation) + 1;
    if (wanted_.is_sharded && bank_of(id) != bank_of_next(state_, wanted_, strategy))
        ++id;
    state_.last_generation = GenerationId{id};
    return state_.last_generation;
}

// ---- filling ----

void UnitStep::enter(Worker& worker, WorkerPhase phase, MonotonicTime deadline) {
    ++changes_;
    worker.phase = phase;
    worker.since = now_;
    worker.deadline = deadline;
}

void UnitStep::spawn(Generation const& generation, Slot slot, unsigned tries) {
    state_.last_worker = WorkerId{static_cast<std::uint32_t>(state_.last_worker) + 1};
    Worker worker{.id = state_.last_worker,
                  .generation = generation.id,
                  .slot = slot,
                  .tries = static_cast<std::uint16_t>(tries),
                  .bank = shard_of(slot, generation.id).bank};
    enter(worker, WorkerPhase::Starting, now_ + generation.policy.timeout_start);
    state_.workers.push_back(worker);
    orders_.emplace_back(Spawn{worker.id, generation.id, slot, generation.policy.spec});
}

/// Every empty slot gets a worker now: those that are finished, and `promised` ones if they are to be tried.
/// What it gave up for the incoming generation is not its own.
void UnitStep::fill(Generation const& generation, Promised promised) {
    if (waits_to_recover()) // all at once, when it is alone
        return;
    auto const* const incoming = find(Role::Incoming);
    auto const id = generation.id;
    for (std::uint16_t number = 0; number < slots_of(generation.policy); ++number) {
        Slot const slot{number};
        auto const occupied_by = [&](GenerationId of) {
            return std::ranges::any_of(state_.workers, [&](Worker const& worker) {
                return worker.generation == of && worker.slot == slot && !worker.dismissed;
            });
        };
        auto const refill = std::ranges::find_if(
            state_.refills, [&](Refill const& it) { return it.generation == id && it.slot == slot; });
        bool const is_promised = refill != state_.refills.end();
        bool const is_ceded = generation.is_thinned && !is_promised && incoming != nullptr &&
                              incoming->id != id && occupied_by(incoming->id);
        if (occupied_by(id) || is_ceded || (is_promised && promised == Promised::Stays))
            continue;
        if (is_promised)
            state_.refills.erase(refill);
        spawn(generation, slot, 0);
    }
}

/// It serves from now on, though not all of its slots were opened, or some are empty because it was not to
/// have them filled.
void UnitStep::promise_empty_slots(Generation const& generation) {
    for (std::uint16_t number = 0; number < slots_of(generation.policy); ++number) {
        if (is_open(generation, Slot{number}))
            promise({.generation = generation.id, .slot = Slot{number}, .tries = 1}, generation.policy);
    }
}

/// Nobody has the slot, and nobody is promised to it.
bool UnitStep::is_open(Generation const& generation, Slot slot) const {
    auto const is_mine = [&](auto const& it) { return it.generation == generation.id && it.slot == slot; };
    return std::ranges::none_of(state_.refills, is_mine) &&
           std::ranges::none_of(state_.workers,
                                [&](Worker const& worker) { return is_mine(worker) && !worker.dismissed; });
}

/// Whoever takes its slot starts beside it, by the rules of back-off.
void UnitStep::replace(Worker& unhealthy) {
    auto const& generation = the(unhealthy.generation);
    if (generation.role != Role::Serving || !has_slot(generation, unhealthy.slot) ||
        !is_open(generation, unhealthy.slot))
        return;
    unsigned const tries = was_healthy(unhealthy, generation.policy, now_) ? 0U : unhealthy.tries;
    promise({.generation = generation.id, .slot = unhealthy.slot, .tries = static_cast<std::uint16_t>(tries)},
            generation.policy);
}

/// The sign of its type has come. A process that only runs has said nothing of being ready: where an older
/// generation would go for it, running must last for a moment, so that a release that crashes at once never
/// costs the one that works (P2).
void UnitStep::show_sign(Worker& worker) {
    bool const is_first = !std::exchange(worker.shown, true);
    auto const& generation = the(worker.generation);
    auto const& policy = generation.policy;
    if (policy.is_probed) // and a probe must pass; until then it has its start deadline
        return;
    bool const has_something_older = generation.role == Role::Incoming || find(Role::Parked) != nullptr;
    if (policy.type == ServiceType::Notify || !has_something_older || policy.settle_time <= Duration{0})
        return become_ready(worker);
    if (is_first)
        worker.deadline = now_ + policy.settle_time;
}

void UnitStep::become_ready(Worker& worker) {
    enter(worker, WorkerPhase::Ready, MonotonicTime::never());
    worker.was_ready = true;
    worker.ready_at = now_;
    report({.happening = Happening::WorkerReady, .worker = worker.id, .generation = worker.generation});
}

// ---- emptying ----

/// Tells the worker to go, once, and gives it `patience` from now, or less if it has less already. One that
/// is not forked yet is told as soon as it is.
void UnitStep::send_away(Worker& worker, Duration patience) {
    auto deadline = MonotonicTime::never();
    switch (worker.phase) {
    case WorkerPhase::Starting:
    case WorkerPhase::Ready:
        break;
    case WorkerPhase::Draining:
        deadline = worker.deadline;
        break;
    case WorkerPhase::Killed:
        return;
    }
    if (worker.forked) {
        deadline = std::min(deadline, now_ + patience);
        if (!std::exchange(worker.sent, true))
            worker.since = now_;                       // its time begins
        if (!the(worker.generation).policy.is_sharded) // else when its shard is at rest
            tell_to_go(worker);
    }
    if (worker.phase == WorkerPhase::Draining)
        worker.deadline = deadline;
    else
        enter(worker, WorkerPhase::Draining, deadline);
}

/// The process is gone.
void UnitStep::lose(Worker& lost, Cause cause, Ending ending, std::optional<ExitKind> exit) {
    Worker const gone = lost;
    lost.phase = WorkerPhase::Killed; // it counts for nothing, but has its slot until that is seen to
    bool const was_leaving = gone.phase == WorkerPhase::Draining || gone.phase == WorkerPhase::Killed;
    Report what{.worker = gone.id, .generation = gone.generation, .exit = exit};
    auto const role_before = the(gone.generation).role;
    if (was_leaving) {
        what.happening = Happening::WorkerGone;
        report(what);
    } else {
        if (role_before == Role::Serving) {
            what.happening = Happening::WorkerDied;
            what.cause = gone.was_ready && exit ? Cause::None : cause;
            report(what);
        }
        fail(gone.generation, gone.id, cause, exit);
    }
    take_out(gone.id);
    vacate(gone, ending);
}

/// SIGKILL does not end it: it hangs in the kernel (a dead disk or mount) and may do so for ever, so nobody
/// waits for it any more. Its Exited, if it comes, is that of an unknown worker.
void UnitStep::give_up(Worker const& stuck) {
    Worker const gone = stuck;
    take_out(gone.id);
    report({.happening = Happening::WorkerStuck, .worker = gone.id, .generation = gone.generation});
    vacate(gone, Ending::Timeout);
}

void UnitStep::take_out(WorkerId id) {
    std::erase_if(state_.workers, [&](Worker const& worker) { return worker.id == id; });
}

/// Its slot is empty; only the serving generation keeps its slots filled, and not those that it gave up.
void UnitStep::vacate(Worker const& gone, Ending ending) {
    auto const& generation = the(gone.generation);
    if (generation.role == Role::Serving && !gone.dismissed && has_slot(generation, gone.slot) &&
        !waits_to_recover())
        refill(generation, gone, ending);
}

/// By the rules of its generation, its slot is promised to another or finished.
void UnitStep::refill(Generation const& generation, Worker const& gone, Ending ending) {
    auto const& policy = generation.policy;
    if (is_restarted(policy.restart, ending)) {
        unsigned const tries = was_healthy(gone, policy, now_) ? 0U : gone.tries;
        // At once is for those who served; what has never been ready gives the world a moment to change.
        auto const number = static_cast<std::uint16_t>(gone.was_ready ? tries : std::max(tries, 1U));
        return promise({.generation = generation.id, .slot = gone.slot, .tries = number}, policy);
    }
    if (policy.activation == Activation::Lazy)
        state_.quick_ends =
            did_its_work(gone, policy, ending, now_) ? std::uint16_t{0} : one_more(state_.quick_ends);
    Report what{.worker = gone.id, .generation = generation.id, .cause = Cause::ExitedSoon};
    if (std::exchange(state_.start_owed, false)) { // it was leaving when the start was wished
        what.happening = Happening::StartFailed;
        report(what);
    }
    if (std::exchange(state_.resize_owed, false)) {
        what.happening = Happening::ResizeFailed;
        report(what);
    }
}

// ---- back-off ----

/// Sets the time of `refill` by its number of tries; if there is nothing to wait for, it is done now.
void UnitStep::promise(Refill refill, Policy const& policy) {
    refill.at = now_ + restart_delay(policy, refill.tries);
    if (refill.at <= now_)
        return try_now(refill);
    state_.refills.push_back(refill);
    report({.happening = Happening::BackingOff,
            .generation = refill.generation,
            .cause = refill.generation == no_generation ? Cause::ExitedSoon : Cause::None,
            .until = refill.at});
}

void UnitStep::try_now(Refill refill) {
    if (refill.generation == no_generation) {
        state_.listening = true; // the traffic that it waits for will count
        return;
    }
    auto const& generation = the(refill.generation);
    if (auto const until = count_automatic_start(generation.policy, refill.slot))
        return start_limit_hit(refill, *until);
    spawn(generation, refill.slot, one_more(refill.tries));
}

void UnitStep::start_limit_hit(Refill refill, MonotonicTime until) {
    bool const is_known = std::ranges::any_of(
        state_.refills, [&](Refill const& other) { return other.limited && other.at == until; });
    refill.limited = true;
    refill.at = until;
    state_.refills.push_back(refill);
    if (!is_known)
        report({.happening = Happening::StartLimitHit, .generation = refill.generation, .until = until});
}

/// Counts one of this slot, or says until when there is no room for it. What the operator asks for is never
/// counted.
std::optional<MonotonicTime> UnitStep::count_automatic_start(Policy const& policy, Slot slot) {
    auto const limit_of = [&](Slot of) {
        return of == by_traffic ? std::pair{policy.trigger_limit_burst, policy.trigger_limit_interval}
                                : std::pair{policy.start_limit_burst, policy.start_limit_interval};
    };
    auto [room, interval] = limit_of(slot);
    if (room == 0)
        return std::nullopt;
    auto& starts = state_.automatic_starts;
    std::erase_if(
        starts, [&](AutomaticStart const& start) { return start.at + limit_of(start.slot).second <= now_; });
    for (auto it = starts.rbegin(); it != starts.rend(); ++it) // the newest first
        if (it->slot == slot && --room == 0)
            return it->at + interval;
    starts.push_back({slot, now_});
    return std::nullopt;
}

/// A wish of the operator: what failed before does not count any more.
void UnitStep::reset_counters() {
    state_.automatic_starts = {};
    state_.quick_ends = 0;
    for (auto& refill : state_.refills)
        refill.tries = 0;
    for (auto& worker : state_.workers)
        worker.tries = 0;
}

} // namespace holdfast::lifecycle
