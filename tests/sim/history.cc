// SPDX-License-Identifier: Apache-2.0
#include "sim/history.h"

#include "lifecycle/back_off.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {

GenerationMemory const* History::find(GenerationId id) const {
    auto const it = std::ranges::find(generations, id, &GenerationMemory::id);
    return it != generations.end() ? &*it : nullptr;
}

SlotMemory const* History::find(GenerationId id, Slot slot) const {
    auto const* const generation = find(id);
    auto const number = static_cast<std::size_t>(slot);
    return generation != nullptr && number < generation->slots.size() ? &generation->slots[number] : nullptr;
}

bool is_automatic(Scene const& scene, Spawn const& spawn) {
    if (scene.is_wish() || std::holds_alternative<PolicyChanged>(scene.fact) ||
        scene.reports(Happening::RollingBack))
        return false;
    if (spawn.lent)
        return false;
    bool const comes_back =
        spawn.generation < scene.history.rolled_back && scene.history.strategy == Strategy::Replace;
    auto const* const slot = scene.history.find(spawn.generation, spawn.slot);
    return slot != nullptr && slot->last != WorkerId{} &&
           !(comes_back && slot->last <= scene.history.last_before_roll_back);
}

Process const* who_left(Scene const& scene, GenerationId generation, Slot slot) {
    auto const* const memory = scene.history.find(generation, slot);
    if (memory == nullptr || scene.after.find(memory->last) != nullptr)
        return nullptr;
    return scene.before.find(memory->last);
}

Proposal proposed(Scene const& scene) {
    Proposal proposal{scene.history.last_proposed, scene.history.strategy};
    scene.for_each<Report>([&](Report const& report) {
        bool const announces = report.happening == Happening::Starting ||
                               report.happening == Happening::RolloutBegan ||
                               report.happening == Happening::RolloutWaits;
        if (!announces || report.generation <= proposal.generation)
            return;
        auto const* const restart = std::get_if<RestartWished>(&scene.fact);
        proposal = {report.generation,
                    restart != nullptr && restart->strategy ? *restart->strategy : scene.wanted.strategy};
    });
    return proposal;
}

Answers answered_by(Happening happening) {
    switch (happening) {
    case Happening::Started:
    case Happening::StartFailed:
        return Answers::Starts;
    case Happening::Stopped:
        return Answers::AllButRestarts;
    case Happening::Resized:
    case Happening::ResizeFailed:
        return Answers::Resizes;
    case Happening::ReloadDone:
    case Happening::ReloadFailed:
        return Answers::Reloads;
    case Happening::Paused:
    case Happening::Resumed:
        return Answers::Pauses;
    case Happening::RolloutDone:
    case Happening::RolloutFailed:
    case Happening::RolloutSuperseded:
    case Happening::RolloutStopped:
        return Answers::Restarts;
    case Happening::Starting:
    case Happening::WorkerDied:
    case Happening::WorkerUnhealthy:
    case Happening::WorkerReady:
    case Happening::WorkerGone:
    case Happening::WorkerStuck:
    case Happening::BackingOff:
    case Happening::StartLimitHit:
    case Happening::TriggerLimitHit:
    case Happening::RolloutBegan:
    case Happening::RolloutWaits:
    case Happening::TookOver:
    case Happening::TookEffect:
    case Happening::Reloading:
    case Happening::WorkerReloaded:
    case Happening::Proved:
    case Happening::CanaryStep:
    case Happening::RolloutPaused:
    case Happening::RolloutResumed:
    case Happening::RollingBack:
    case Happening::RolledBack:
    case Happening::Resizing:
    case Happening::DrainDeadlinePassed:
    case Happening::StartDeadlinePassed:
    case Happening::RestDeadlinePassed:
    case Happening::ShardLent:
    case Happening::ShardGivenUp:
    case Happening::IdleStopped:
    case Happening::Pausing:
    case Happening::Stopping:
    case Happening::Finished:
        return Answers::Nobody;
    }
    return Answers::Nobody;
}

namespace {

bool is_answer(Report const& report, Waiter const& waiter) {
    auto const answers = answered_by(report.happening);
    bool const in_time = report.generation >= waiter.acknowledged;
    bool const is_any = answers == Answers::AllButRestarts;
    switch (waiter.kind) {
    case Waiter::Kind::Start:
        return (is_any || answers == Answers::Starts) && in_time;
    case Waiter::Kind::Stop:
        return is_any && in_time;
    case Waiter::Kind::Resize:
        return (is_any || answers == Answers::Resizes) && in_time;
    case Waiter::Kind::Reload:
        return (is_any || answers == Answers::Reloads) && in_time;
    case Waiter::Kind::Pause:
        return (is_any || answers == Answers::Pauses) && in_time;
    case Waiter::Kind::Restart:
        return answers == Answers::Restarts && report.generation == waiter.acknowledged;
    }
    return false;
}

/// The report in the step of a wish that says with which generation its answer will come.
std::optional<Waiter> acknowledgement(Scene const& scene) {
    std::optional<Waiter> waiter;
    auto const take = [&](Waiter::Kind kind, std::initializer_list<Happening> happenings) {
        scene.for_each<Report>([&](Report const& report) {
            if (!waiter && std::ranges::find(happenings, report.happening) != happenings.end())
                waiter = Waiter{kind, report.generation};
        });
    };
    bool const is_resume = std::holds_alternative<ResumeWished>(scene.fact) && scene.history.up;
    if (std::holds_alternative<StartWished>(scene.fact) || is_resume)
        take(Waiter::Kind::Start, {Happening::Starting, Happening::Started});
    else if (std::holds_alternative<StopWished>(scene.fact))
        take(Waiter::Kind::Stop, {Happening::Stopping, Happening::Stopped});
    else if (std::holds_alternative<RestartWished>(scene.fact))
        take(Waiter::Kind::Restart, {Happening::RolloutBegan, Happening::RolloutWaits});
    else if (scene.is_pause())
        take(Waiter::Kind::Pause, {Happening::Pausing});
    else if (std::holds_alternative<PolicyChanged>(scene.fact))
        take(Waiter::Kind::Resize, {Happening::Resizing});
    else if (std::holds_alternative<ReloadWished>(scene.fact))
        take(Waiter::Kind::Reload, {Happening::Reloading});
    return waiter;
}

} // namespace

std::vector<Waiter> waiters_after(Scene const& scene, Complaints& complaints) {
    auto waiters = scene.history.waiters;
    if (auto const waiter = acknowledgement(scene))
        waiters.push_back(*waiter);
    else if (scene.is_wish() || scene.is_pause() || std::holds_alternative<ReloadWished>(scene.fact))
        complaints.push_back({"wishes-are-acknowledged", "nothing was reported"});
    scene.for_each<Report>([&](Report const& report) {
        if (answered_by(report.happening) == Answers::Nobody)
            return;
        auto const answered =
            std::erase_if(waiters, [&](Waiter const& waiter) { return is_answer(report, waiter); });
        // whoever waited for the pause was told long ago, mostly
        if (answered == 0 && report.happening != Happening::Resumed)
            complaints.push_back(
                {"wishes-are-answered-once", "nobody waits for: " + to_string(Order{report})});
    });
    return waiters;
}

namespace {

void forget_starts(History& history) {
    history.automatic_starts.clear();
    for (auto& generation : history.generations)
        for (auto& slot : generation.slots)
            slot.automatic_in_a_row = 0;
}

void remember_wish(Scene const& scene, History& history) {
    if (std::holds_alternative<ReloadWished>(scene.fact))
        history.reload_wished = scene.now;
    if (auto const* const restart = std::get_if<RestartWished>(&scene.fact);
        restart != nullptr && restart->strategy.value_or(scene.wanted.strategy) == Strategy::InPlace)
        history.in_place_wished = scene.now;
    history.unit_paused = scene.unit_paused();
    if (std::holds_alternative<IdleBegan>(scene.fact) && !history.idle_since)
        history.idle_since = scene.now;
    if (std::holds_alternative<IdleEnded>(scene.fact) || !scene.after.watching_idle)
        history.idle_since.reset();
    if (scene.reports(Happening::IdleStopped))
        forget_starts(history);
    if (!scene.is_wish() && !scene.is_pause())
        return;
    history.triggers.clear();
    history.up = !std::holds_alternative<StopWished>(scene.fact);
    if (!history.up)
        history.last_stopped = history.last_worker;
    forget_starts(history);
}

/// How the slots of those that are gone now were left.
void remember_death(Scene const& scene, History& history) {
    for (auto& generation : history.generations)
        for (std::size_t number = 0; number < generation.slots.size(); ++number) {
            auto const* const gone = who_left(scene, generation.id, static_cast<Slot>(number));
            if (gone == nullptr)
                continue;
            auto& slot = generation.slots[number];
            slot.ended_ready = gone->ready;
            bool was_leaving = false; // it may have been told before it was born
            scene.for_each<Report>([&](Report const& report) {
                was_leaving = was_leaving ||
                              (report.worker == gone->id && (report.happening == Happening::WorkerGone ||
                                                             report.happening == Happening::WorkerStuck));
            });
            slot.sent_away = (was_leaving && !gone->late && !gone->stopping) || gone->unhealthy;
            slot.ended_at = scene.now;
            auto const end = gone->stopping ? gone->leaving_since : scene.now;
            auto const long_enough =
                std::max(generation.policy.restart_delay, generation.policy.restart_max_delay);
            if (gone->ready && end - gone->ready_at >= long_enough)
                slot.automatic_in_a_row = 0;
        }
}

void remember_spawn(Scene const& scene, History& history, Spawn const& spawn) {
    bool const automatic = is_automatic(scene, spawn);
    if (history.find(spawn.generation) == nullptr)
        history.generations.push_back(
            {.id = spawn.generation, .policy = scene.wanted, .slots = {}, .took_over_from = {}});
    for (auto& generation : history.generations) {
        if (generation.id != spawn.generation || spawn.lent)
            continue;
        auto const number = static_cast<std::size_t>(spawn.slot);
        generation.slots.resize(std::max(generation.slots.size(), number + 1));
        auto& slot = generation.slots[number];
        slot.last = spawn.worker;
        slot.sent_away = false;
        if (!automatic)
            slot.automatic_in_a_row = 0;
        if (automatic) {
            ++slot.automatic_in_a_row;
            history.automatic_starts.push_back({spawn.slot, scene.now});
        }
    }
    history.last_worker = spawn.worker;
    history.last_spawned = std::max(history.last_spawned, spawn.generation);
}

void remember_take_over(Scene const& scene, History& history, Report const& report) {
    for (auto& generation : history.generations)
        if (generation.id == report.generation) {
            generation.took_over = true;
            for (auto const& process : scene.between.processes)
                if (process.generation < report.generation && process.serves())
                    generation.took_over_from.push_back(process.id);
        }
    if (!report.until)
        return;
    history.on_probation = report.generation;
    history.probation_ends = *report.until;
    for (auto const& process : scene.after.processes)
        if (process.generation < report.generation && process.serves())
            history.parked.push_back(process.id);
}

/// A generation is remembered while it has a process, or slots that wait.
void forget_gone(Scene const& scene, History& history) {
    std::erase_if(history.generations, [&](GenerationMemory const& generation) {
        bool const lives = std::ranges::any_of(scene.after.processes, [&](Process const& process) {
            return process.generation == generation.id;
        });
        bool const waits = std::ranges::any_of(scene.after.timers, [&](ArmedTimer const& timer) {
            return timer.key.kind == TimerKind::StartLimit ||
                   (timer.key.kind == TimerKind::RestartDelay &&
                    timer.key.of >> 16 == static_cast<std::uint32_t>(generation.id));
        });
        bool const may_come_back = std::ranges::any_of(
            scene.state.generations, [&](Generation const& known) { return known.id == generation.id; });
        return !lives && !waits && !may_come_back;
    });
}

} // namespace

void remember(Scene const& scene, History& history, std::vector<Waiter> waiters) {
    history.waiters = std::move(waiters);
    auto const [generation, strategy] = proposed(scene);
    history.last_proposed = generation;
    history.strategy = strategy;
    remember_wish(scene, history);
    remember_death(scene, history);
    bool limited = false;
    scene.for_each<Report>([&](Report const& report) {
        bool const is_resolved =
            report.happening == Happening::RollingBack || answered_by(report.happening) == Answers::Restarts;
        bool const is_over = is_resolved || report.happening == Happening::Proved;
        if (is_over && report.generation == history.on_probation) {
            history.on_probation = {};
            history.parked.clear();
        }
        if (report.happening == Happening::RolloutBegan && report.generation == history.last_proposed &&
            history.strategy == Strategy::Canary) {
            history.canary = report.generation;
            history.canary_share = 0;
            history.canary_held = {};
        } else if ((is_resolved || report.happening == Happening::TookOver) &&
                   report.generation == history.canary)
            history.canary = {};
        if (report.happening == Happening::CanaryStep) {
            history.canary_share = report.share.value_or(0);
            history.canary_held = scene.now + scene.wanted.hold;
        }
        if (report.happening == Happening::RolloutPaused)
            history.paused = report.generation;
        else if (report.happening == Happening::RolloutResumed ||
                 (is_resolved && report.generation == history.paused))
            history.paused = {};
        if (report.happening == Happening::RolloutResumed && report.generation == history.on_probation)
            history.probation_ends = report.until.value_or(MonotonicTime::never());
        if (report.happening == Happening::RollingBack) {
            history.rolled_back = report.generation;
            history.last_before_roll_back = history.last_worker;
        } else if (answered_by(report.happening) == Answers::Restarts &&
                   report.generation == history.rolled_back)
            history.rolled_back = {};
        limited = limited || report.happening == Happening::StartLimitHit ||
                  report.happening == Happening::TriggerLimitHit;
        if (report.happening == Happening::TookOver)
            remember_take_over(scene, history, report);
        if (report.happening == Happening::Finished && scene.wanted.activation == Activation::Eager)
            history.up = false;
    });
    for (auto& memory : history.generations)
        for (auto const& known : scene.state.generations)
            if (known.id == memory.id)
                memory.policy.workers = known.policy.workers;
    scene.for_each<Spawn>([&](Spawn const& spawn) { remember_spawn(scene, history, spawn); });
    bool const taken = std::holds_alternative<TrafficArrived>(scene.fact) && scene.before.watching;
    if (taken && !limited)
        history.automatic_starts.push_back({Slot{0}, scene.now});
    if (taken && !scene.reports(Happening::TriggerLimitHit))
        history.triggers.push_back(scene.now);
    forget_gone(scene, history);
}

} // namespace holdfast::sim
