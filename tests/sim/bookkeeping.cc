// SPDX-License-Identifier: Apache-2.0
// The invariants that are limits and bookkeeping.
#include "sim/invariants.h"

#include <algorithm>
#include <set>

namespace holdfast::sim {

namespace {

// ---- limits ----

std::string generations_are_capped(Scene const& scene) {
    std::set<GenerationId> alive;
    for (auto const& process : scene.after.processes)
        alive.insert(process.generation);
    auto const most = std::max<std::size_t>(2, scene.wanted.max_generations);
    bool begins = false;
    scene.for_each<Spawn>(
        [&](Spawn const& spawn) { begins = begins || scene.history.find(spawn.generation) == nullptr; });
    if (alive.size() <= most || !begins)
        return {};
    bool const is_served = std::ranges::any_of(scene.between.processes, [&](Process const& process) {
        return !process.is_leaving() && scene.state_of(process.id) != WorkerPhase::Draining;
    });
    if (is_served)
        return std::to_string(alive.size()) + " are alive";
    auto const surplus = *std::next(alive.begin(), static_cast<std::ptrdiff_t>(alive.size() - most));
    auto const soon = scene.now + time_to_die(scene.wanted);
    for (auto const& process : scene.after.processes) {
        auto const* const timer =
            scene.after.find({TimerKind::StopDeadline, static_cast<std::uint32_t>(process.id)});
        if (process.generation < surplus && process.stage != Stage::Ordered && process.is_leaving() &&
            (timer == nullptr || timer->at > soon))
            return name(process.id) + " is too many, and stays";
    }
    return {};
}

std::string replace_is_alone(Scene const& scene) {
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        bool const first = scene.history.find(spawn.generation) == nullptr;
        bool const comes_back = spawn.generation < scene.history.rolled_back;
        if ((!first && !comes_back) || proposed(scene).strategy != Strategy::Replace)
            return;
        for (auto const& process : scene.between.processes)
            if ((first || process.generation == scene.history.rolled_back ||
                 (process.generation == spawn.generation && process.is_leaving() &&
                  process.id <= scene.history.last_before_roll_back)) &&
                scene.after.find(process.id) != nullptr) // not given up in this very step
                wrong = name(process.id) + " is still there";
    });
    return wrong;
}

std::string automatic_starts_are_bounded(Scene const& scene) {
    auto starts = scene.history.automatic_starts;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        if (is_automatic(scene, spawn))
            starts.push_back({spawn.slot, scene.now});
    });
    bool const is_taken = std::holds_alternative<TrafficArrived>(scene.fact) && scene.before.watching;
    if (is_taken && !scene.reports(Happening::StartLimitHit) && !scene.reports(Happening::TriggerLimitHit))
        starts.push_back({Slot{0}, scene.now});
    for (auto const& start : starts) {
        auto const counted = std::ranges::count_if(starts, [&](AutomaticStart const& other) {
            return other.slot == start.slot && other.at + scene.wanted.start_limit_interval > scene.now;
        });
        if (scene.wanted.start_limit_burst != 0 && counted > scene.wanted.start_limit_burst)
            return std::to_string(counted) + " of one slot within the interval";
    }
    return {};
}

std::string restarts_back_off(Scene const& scene) {
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        if (!is_automatic(scene, spawn))
            return;
        auto const& generation = *scene.history.find(spawn.generation);
        auto const& slot = *scene.history.find(spawn.generation, spawn.slot);
        if (slot.sent_away)
            return;
        if (auto const* const beside = scene.between.find(slot.last);
            beside != nullptr && beside->unhealthy) {
            bool const was_well =
                beside->unhealthy_since - beside->ready_at >= generation.policy.restart_max_delay;
            if (slot.automatic_in_a_row != 0 && !was_well &&
                scene.now - beside->unhealthy_since < generation.policy.restart_delay)
                wrong = name(spawn.worker) + " comes too soon";
            return;
        }
        auto const* const process = who_left(scene, spawn.generation, spawn.slot);
        if (process != nullptr && process->unhealthy) // its follower was promised before
            return;
        bool const just_now = process != nullptr; // in this very step
        auto const ended_at = just_now ? scene.now : slot.ended_at;
        bool const may_be_at_once = just_now ? process->ready : slot.ended_ready;
        auto const served_until = just_now && process->stopping ? process->leaving_since : scene.now;
        bool const healthy = just_now && process->ready &&
                             served_until - process->ready_at >= generation.policy.restart_max_delay;
        auto const least = (may_be_at_once && (slot.automatic_in_a_row == 0 || healthy))
                               ? Duration::zero()
                               : generation.policy.restart_delay;
        if (scene.now - ended_at < least)
            wrong = name(spawn.worker) + " comes too soon";
    });
    return wrong;
}

// ---- bookkeeping ----

std::string told_once(Scene const& scene) {
    std::string wrong;
    auto const check = [&](WorkerId id, bool before, std::string const& what) {
        auto const* const process = scene.between.find(id);
        if (process == nullptr || process->stage == Stage::Ordered)
            wrong = name(id) + " is told to " + what + " and does not exist";
        else if (before)
            wrong = name(id) + " was told to " + what + " before";
    };
    std::set<WorkerId> drained;
    std::set<WorkerId> killed;
    auto const is_told = [&](WorkerId id, auto member) {
        auto const* const process = scene.between.find(id);
        return process != nullptr && process->*member;
    };
    scene.for_each<Drain>([&](Drain const& drain) {
        check(drain.worker, is_told(drain.worker, &Process::told) || !drained.insert(drain.worker).second,
              "drain");
    });
    scene.for_each<Kill>([&](Kill const& kill) {
        check(kill.worker, is_told(kill.worker, &Process::killed) || !killed.insert(kill.worker).second,
              "die");
        if (auto const* const process = scene.between.find(kill.worker);
            process != nullptr && !process->is_leaving())
            wrong = name(kill.worker) + " is killed without being asked";
    });
    return wrong;
}

std::string given_up_last(Scene const& scene) {
    std::string wrong;
    std::set<WorkerId> known;
    scene.for_each<Report>([&](Report const& report) {
        if (report.happening != Happening::WorkerStuck)
            return;
        auto const* const process = scene.between.find(report.worker);
        auto const* const memory = scene.history.find(report.generation);
        auto const& policy = memory != nullptr ? memory->policy : scene.wanted;
        if (process == nullptr || !known.insert(report.worker).second)
            wrong = name(report.worker) + " is not there any more";
        else if (!process->killed)
            wrong = name(report.worker) + " was not killed before";
        else if (scene.now < process->killed_at + time_to_die(policy))
            wrong = name(report.worker) + " is given up too soon";
    });
    return wrong;
}

std::string one_worker_per_slot(Scene const& scene) {
    std::set<std::pair<GenerationId, Slot>> taken;
    for (auto const& process : scene.after.processes) {
        // who is sent away though it did nothing wrong has its slot no more; it may not be born yet
        bool const is_sent_away =
            ((process.told || process.excused) && !process.late) || process.unhealthy || process.lent ||
            (process.stage == Stage::Ordered && scene.state_of(process.id) == WorkerPhase::Draining);
        if (!is_sent_away && !taken.insert({process.generation, process.slot}).second)
            return name(process.id) + " has the slot of another";
    }
    return {};
}

std::string ids_are_fresh(Scene const& scene) {
    std::string wrong;
    auto last = scene.history.last_worker;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        if (spawn.worker <= last)
            wrong = name(spawn.worker) + " was there before";
        last = std::max(last, spawn.worker);
        if (scene.history.find(spawn.generation) == nullptr && spawn.generation <= scene.history.last_spawned)
            wrong = name(spawn.generation) + " was there before";
    });
    return wrong;
}

std::string old_slots_keep_their_spec(Scene const& scene) {
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        auto const* const memory = scene.history.find(spawn.generation);
        if (spawn.spec != (memory != nullptr ? memory->policy.spec : scene.wanted.spec))
            wrong = name(spawn.worker) + " runs another spec";
    });
    return wrong;
}

std::string leaving_has_a_deadline(Scene const& scene) {
    for (auto const& process : scene.after.processes) {
        auto const* const memory = scene.history.find(process.generation);
        auto const& policy = memory != nullptr ? memory->policy : scene.wanted;
        auto const number = static_cast<std::uint32_t>(process.id);
        if (process.is_leaving() && !process.killed) {
            auto const* const timer = scene.after.find({TimerKind::StopDeadline, number});
            auto const latest = process.leaving_since + std::max(policy.timeout_stop, policy.drain_timeout) +
                                (process.lent ? policy.timeout_start : Duration{0});
            if (timer == nullptr)
                return name(process.id) + " may leave for ever";
            if (!process.extended && timer->at > latest)
                return name(process.id) + " may leave too long";
        }
        if (process.killed) {
            auto const* const timer = scene.after.find({TimerKind::StopDeadline, number});
            if (timer == nullptr || timer->at > process.killed_at + time_to_die(policy))
                return name(process.id) + " may take too long to die";
        }
        bool is_asked = false;
        scene.for_each<Reload>(
            [&](Reload const& reload) { is_asked = is_asked || reload.worker == process.id; });
        if (is_asked && policy.timeout_start != forever &&
            scene.after.find({TimerKind::ReloadDeadline, number}) == nullptr)
            return name(process.id) + " may reload for ever";
        bool const starts = !process.ready && !process.is_leaving();
        bool const is_told_later =
            process.stage == Stage::Ordered && scene.state_of(process.id) == WorkerPhase::Draining;
        auto const* const timer = scene.after.find({TimerKind::StartDeadline, number});
        if (starts && !is_told_later && timer == nullptr)
            return name(process.id) + " may start for ever";
        if (starts && process.settles_since && timer->at > *process.settles_since + process.settle_time)
            return name(process.id) + " may settle too long";
        if (starts && !process.settles_since && !process.extended && timer != nullptr &&
            timer->at > process.ordered_at + policy.timeout_start)
            return name(process.id) + " may start too long";
    }
    return {};
}

/// Who serves is asked, one at a time, and nobody while the rollout that it is for is paused.
std::string reloads_one_by_one(Scene const& scene) {
    std::string wrong;
    std::set<WorkerId> asked;
    scene.for_each<Reload>([&](Reload const& reload) {
        auto const* const process = scene.between.find(reload.worker);
        if (process == nullptr || !process->serves())
            wrong = name(reload.worker) + " is asked to reload and does not serve";
        asked.insert(reload.worker);
    });
    if (asked.size() > 1)
        return std::to_string(asked.size()) + " reload at once";
    if (asked.empty())
        return wrong;
    for (auto const& process : scene.after.processes) {
        auto const* const timer =
            scene.before.find({TimerKind::ReloadDeadline, static_cast<std::uint32_t>(process.id)});
        if (process.reloads && process.serves() && timer != nullptr && !asked.contains(process.id) &&
            !scene.reports(Happening::ReloadFailed) && !scene.reports(Happening::RolloutFailed))
            wrong = name(process.id) + " has not answered yet";
    }
    bool const is_wished = std::ranges::any_of(
        scene.history.waiters, [](Waiter const& waiter) { return waiter.kind == Waiter::Kind::Reload; });
    if (scene.history.paused != GenerationId{} && !is_wished && !scene.is_wish() &&
        !std::holds_alternative<ReloadWished>(scene.fact) && !scene.reports(Happening::RolloutResumed))
        wrong = "somebody is asked to reload while the rollout is paused";
    return wrong;
}

std::string no_timer_outlives_its_owner(Scene const& scene) {
    for (auto const& timer : scene.after.timers) {
        auto const key = to_string(Fact{TimerExpired{timer.key}});
        switch (timer.key.kind) {
        case TimerKind::StartDeadline:
        case TimerKind::StopDeadline:
        case TimerKind::ReloadDeadline:
        case TimerKind::RestDeadline:
            if (scene.after.find(WorkerId{timer.key.of}) == nullptr)
                return key + " is of a dead worker";
            break;
        case TimerKind::RestartDelay:
        case TimerKind::StartLimit:
        case TimerKind::Hold:
        case TimerKind::Probation:
        case TimerKind::ShardDeadline:
        case TimerKind::IdleStop:
        case TimerKind::PauseDeadline:
            if (std::holds_alternative<StopWished>(scene.fact) || (!scene.history.up && !scene.is_wish()))
                return key + " is of a stopped unit";
            break;
        }
    }
    return {};
}

std::string levels_follow_the_state(Scene const& scene) {
    auto const levels = lifecycle::wanted(scene.state);
    if (levels.watching != scene.after.watching)
        return "the watch";
    if (levels.watching_idle != scene.after.watching_idle)
        return "the watch on who is there";
    if (levels.watching_queues != scene.after.watching_queues)
        return "the watch on the queues";
    if (levels.shares != scene.after.shares || levels.slots != scene.after.slots ||
        levels.restless != scene.after.watched || levels.named != scene.after.named ||
        levels.judged != scene.after.judged)
        return "the shards";
    return levels.timers != scene.after.timers ? "the timers" : "";
}

std::string workers_are_the_processes(Scene const& scene) {
    auto const& workers = scene.state.workers;
    auto const& processes = scene.after.processes;
    auto const is_same = [](Worker const& worker, Process const& process) {
        return worker.id == process.id && worker.generation == process.generation &&
               worker.slot == process.slot && worker.forked == (process.stage != Stage::Ordered) &&
               worker.told == process.told && (worker.phase == WorkerPhase::Ready) == process.serves();
    };
    auto const [worker, process] = std::ranges::mismatch(workers, processes, is_same);
    if (worker == workers.end() && process == processes.end())
        return "";
    auto const id = worker != workers.end() ? worker->id : process->id;
    return "the state knows others than the kernel, from worker " +
           std::to_string(static_cast<unsigned>(id)) + " on";
}

std::string state_is_well_formed(Scene const& scene) {
    auto const& state = scene.state;
    auto const count = [&](Role role) {
        return std::ranges::count(state.generations, role, &Generation::role);
    };
    if (!std::ranges::is_sorted(state.generations, {}, &Generation::id) ||
        !std::ranges::is_sorted(state.workers, {}, &Worker::id))
        return "order of ids";
    if (count(Role::Serving) > 1 || count(Role::Incoming) > count(Role::Serving) ||
        (count(Role::Withdrawn) != 0 && count(Role::Serving) == 0))
        return "roles";
    for (auto const& worker : state.workers)
        if (std::ranges::find(state.generations, worker.generation, &Generation::id) ==
            state.generations.end())
            return "a worker without a generation";
    for (auto const& refill : state.refills) {
        auto const it = std::ranges::find(state.generations, refill.generation, &Generation::id);
        if (refill.generation != no_generation &&
            (it == state.generations.end() || it->role != Role::Serving))
            return "a slot is promised in a generation that does not serve";
    }
    bool const goes_back_alone = state.rollout && state.rollout->stage == RolloutStage::RollingBack &&
                                 state.rollout->strategy == Strategy::Replace;
    for (auto const& generation : state.generations)
        if (generation.role != Role::Parked &&
            !(generation.role == Role::Incoming && lifecycle::is_paused(state)) &&
            !(generation.is_thinned && generation.role == Role::Serving &&
              (count(Role::Incoming) != 0 || goes_back_alone)) &&
            std::ranges::find(state.workers, generation.id, &Worker::generation) == state.workers.end() &&
            std::ranges::find(state.refills, generation.id, &Refill::generation) == state.refills.end())
            return "an empty generation";
    bool const is_on_probation = state.rollout && state.rollout->stage == RolloutStage::Probation &&
                                 state.rollout->strategy != Strategy::InPlace;
    bool const may_be_left = (state.next && state.next->is_rollout) ||
                             (state.rollout && state.rollout->stage == RolloutStage::Coming &&
                              state.rollout->strategy != Strategy::InPlace);
    auto const parked = count(Role::Parked);
    if (parked > 1 || (parked == 1 && !is_on_probation && !may_be_left) ||
        (is_on_probation && (parked == 0 || count(Role::Serving) == 0)))
        return "parked, or on probation, and not both";
    bool const wants = (state.goal == Goal::Down && state.pause) || state.listening || state.start_owed ||
                       state.next || !state.refills.empty() || state.resize_owed || state.rollout ||
                       count(Role::Serving) + count(Role::Incoming) != 0;
    if ((state.goal == Goal::Down || state.pause) && wants)
        return "down or paused, but something is wanted";
    if (state.listening && (state.next || count(Role::Serving) != 0))
        return "listening and serving";
    return {};
}

constexpr std::array all_bookkeeping{
    Invariant{
        "generations-are-capped",
        "No more than max_generations (at least 2) are alive at once, but for a while where nobody serves.",
        generations_are_capped},
    Invariant{"replace-is-alone", "With replace a generation starts when no other worker is left.",
              replace_is_alone},
    Invariant{"automatic-starts-are-bounded",
              "No more than start_limit_burst of a slot in any start_limit_interval.",
              automatic_starts_are_bounded},
    Invariant{"restarts-back-off", "Only the first restart after a healthy run is at once.",
              restarts_back_off},
    Invariant{"told-once",
              "Drain and Kill are given once, to a process that exists; Kill only to one that is leaving.",
              told_once},
    Invariant{
        "reloads-one-by-one",
        "One worker at a time is asked to reload, one that serves, and none while the rollout is paused.",
        reloads_one_by_one},
    Invariant{"given-up-last",
              "A worker is given up once, and only when SIGKILL has had timeout_stop and did not end it.",
              given_up_last},
    Invariant{"one-worker-per-slot",
              "A slot of a generation has one worker at a time, but for those sent away from it.",
              one_worker_per_slot},
    Invariant{"ids-are-fresh", "No id of a worker or a generation comes twice.", ids_are_fresh},
    Invariant{
        "old-slots-keep-their-spec",
        "A slot is filled again from the spec of its generation; a new generation is of the wanted one.",
        old_slots_keep_their_spec},
    Invariant{"leaving-has-a-deadline", "Whoever starts, settles, leaves or is killed has a deadline for it.",
              leaving_has_a_deadline},
    Invariant{"no-timer-outlives-its-owner", "No timer of a dead worker or a stopped unit is armed (P5).",
              no_timer_outlives_its_owner},
    Invariant{"levels-follow-the-state",
              "What is armed and watched is wanted(state), nothing more and nothing less.",
              levels_follow_the_state},
    Invariant{"workers-are-the-processes",
              "The state knows every living process that is not given up, as it is.",
              workers_are_the_processes},
    Invariant{"state-is-well-formed",
              "At most one generation serves and one comes; a unit that is down wants nothing.",
              state_is_well_formed},
};

} // namespace

std::span<Invariant const> bookkeeping() {
    return all_bookkeeping;
}

} // namespace holdfast::sim
