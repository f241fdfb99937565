// SPDX-License-Identifier: Apache-2.0
// The invariants that are promises to the clients and the operator.
#include "sim/invariants.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace holdfast::sim {

namespace {

// ---- promises to the clients and the operator ----

std::string last_ready_stays(Scene const& scene) {
    auto const* const restart = std::get_if<RestartWished>(&scene.fact);
    bool const replaces =
        restart != nullptr && restart->strategy.value_or(scene.wanted.strategy) == Strategy::Replace;
    if (replaces || scene.is_pause() || scene.reports(Happening::IdleStopped) ||
        std::holds_alternative<StopWished>(scene.fact) || !scene.history.up)
        return {};
    for (auto const& process : scene.between.processes) {
        auto const* const earlier = scene.before.find(process.id);
        auto const* const then = scene.after.find(process.id);
        bool goes_first = false; // a replace goes back as it came
        scene.for_each<Report>([&](Report const& report) {
            goes_first = goes_first || (report.happening == Happening::RollingBack &&
                                        report.generation == process.generation &&
                                        proposed(scene).strategy == Strategy::Replace);
        });
        if (goes_first || !earlier->serves() || !process.serves() || (then != nullptr && then->serves()))
            continue;
        auto const is_coming = [&](GenerationId id) { // somebody waits for its rollout, and goes on to
            bool has_ended = false;
            scene.for_each<Report>([&](Report const& report) {
                has_ended = has_ended ||
                            (answered_by(report.happening) == Answers::Restarts && report.generation == id);
            });
            auto const* const memory = scene.history.find(id);
            bool const took_over = memory != nullptr && memory->took_over;
            return !has_ended && !took_over &&
                   std::ranges::any_of(scene.history.waiters, [&](Waiter const& waiter) {
                       return waiter.kind == Waiter::Kind::Restart && waiter.acknowledged == id;
                   });
        };
        // an incoming one that failed leaves the older one; an old one is followed by all of a newer one, or
        // slot by slot
        bool const is_slot_wise = proposed(scene).strategy == Strategy::Rolling;
        bool const is_followed = std::ranges::any_of(scene.after.processes, [&](Process const& other) {
            return other.serves() &&
                   (other.generation <= process.generation || is_slot_wise || !is_coming(other.generation) ||
                    all_serve(scene, scene.after, other.generation));
        });
        if (!is_followed)
            return name(process.id) + " served, and nobody follows it";
    }
    return {};
}

/// The limits of a rolling rollout, as far as a bystander knows the generations.
struct PoolLimits {
    unsigned floor;
    unsigned ceiling;
};
PoolLimits pool_limits(Scene const& scene) {
    unsigned least = scene.wanted.workers;
    unsigned most = scene.wanted.workers;
    for (auto const& generation : scene.history.generations) {
        least = std::min<unsigned>(least, generation.policy.workers);
        most = std::max<unsigned>(most, generation.policy.workers);
    }
    auto const floor = least > scene.wanted.max_unavailable ? least - scene.wanted.max_unavailable : 1U;
    bool const must_grow = scene.wanted.max_surge == 0 && (scene.wanted.max_unavailable == 0 || most == 1);
    return {floor, most + (must_grow ? 1U : scene.wanted.max_surge)};
}

std::string pool_keeps_its_size(Scene const& scene) {
    if (!scene.history.up || scene.is_pause() || scene.reports(Happening::IdleStopped) ||
        proposed(scene).strategy != Strategy::Rolling || std::holds_alternative<PolicyChanged>(scene.fact) ||
        std::holds_alternative<StartWished>(scene.fact))
        return {};
    // what a cap keeps waiting may have to press
    bool const may_press = scene.is_wish() || scene.history.last_proposed > scene.history.last_spawned;
    auto const [floor, ceiling] = pool_limits(scene);
    unsigned ready = 0;
    unsigned lost = 0; // told to go in this step, though they served
    unsigned alive = 0;
    for (auto const& process : scene.after.processes) {
        auto const* const before = scene.before.find(process.id);
        bool const is_told_later =
            process.stage == Stage::Ordered && scene.state_of(process.id) == WorkerPhase::Draining;
        ready += process.serves() ? 1U : 0U;
        bool const is_followed = process.unhealthy; // its follower starts beside it
        alive += process.is_leaving() || is_told_later || is_followed ? 0U : 1U;
        auto const* const then = scene.between.find(process.id);
        bool const was_well = before != nullptr && before->serves() && then->serves() && !process.unhealthy;
        lost += was_well && process.is_leaving() ? 1U : 0U;
    }
    if (!may_press && lost != 0 && ready < floor)
        return "only " + std::to_string(ready) + " are left ready";
    bool opens = false;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        opens = opens || (!spawn.lent && spawn.generation == proposed(scene).generation &&
                          !is_automatic(scene, spawn));
    });
    auto const was_alive = std::ranges::count_if(scene.between.processes, [](Process const& process) {
        return !process.is_leaving() && !process.unhealthy;
    });
    return opens && alive > ceiling && alive > was_alive ? std::to_string(alive) + " are alive" : "";
}

/// Without RolledBack a roll-back fails only when a worker of the old spec did not come up, or none is left.
std::string rollback_ends_well(Scene const& scene) {
    std::string wrong;
    auto const worker = worker_of(scene.fact);
    scene.for_each<Report>([&](Report const& report) {
        if (report.happening == Happening::RollingBack && report.generation == scene.history.on_probation)
            for (auto const parked : scene.history.parked) {
                auto const* const was = scene.between.find(parked);
                auto const* const then = scene.after.find(parked);
                if (was != nullptr && was->slot < slots_of(scene, was->generation) && was->serves() &&
                    !was->unhealthy && !(then && then->serves()))
                    wrong = name(parked) + " was kept, and goes";
            }
        bool const is_its_end =
            report.happening == Happening::RolloutFailed &&
            (report.generation == scene.history.rolled_back || scene.reports(Happening::RollingBack));
        if (!is_its_end || scene.reports(Happening::RolledBack))
            return;
        auto const serves = [&](GenerationId id) {
            return std::ranges::any_of(scene.after.processes, [&](Process const& other) {
                return other.generation == id && other.serves();
            });
        };
        bool is_any_left = false;
        bool is_at_fault = false;
        scene.for_each<Report>([&](Report const& other) { // it may be the last that was to come up
            is_at_fault = is_at_fault ||
                          (other.happening == Happening::WorkerStuck && other.generation < report.generation);
        });
        for (auto const& process : scene.before.processes) { // what was superseded in between may serve on
            bool const is_old = process.generation < report.generation;
            auto const* const then = scene.after.find(process.id);
            is_any_left = is_any_left || (is_old && then != nullptr && then->serves());
            is_at_fault = is_at_fault ||
                          (is_old && worker == process.id &&
                           (!process.ready || process.late || !serves(process.generation) ||
                            std::holds_alternative<SpawnFailed>(scene.fact))) ||
                          (then != nullptr && then->late && !process.late);
        }
        if (is_any_left && !is_at_fault)
            wrong = "the old spec could have come back";
    });
    return wrong;
}

/// Whoever served when a generation took over on probation waits, with a deadline, or goes, or serves again.
std::string parked_is_resolved(Scene const& scene) {
    auto parked = scene.history.parked;
    auto on_probation = scene.history.on_probation;
    auto ends = scene.history.probation_ends;
    bool is_over = false;
    bool is_back = false;
    scene.for_each<Report>([&](Report const& report) {
        if (report.happening == Happening::TookOver && report.until) {
            on_probation = report.generation;
            ends = *report.until;
        }
        if (on_probation == GenerationId{} || report.generation != on_probation)
            return;
        is_back = is_back || report.happening == Happening::RollingBack;
        is_over = is_over || answered_by(report.happening) == Answers::Restarts;
    });
    if (on_probation == GenerationId{} || is_back)
        return {};
    bool const is_held = scene.history.paused == on_probation && !is_over;
    if (scene.reports(Happening::RolloutPaused) || scene.reports(Happening::RolloutResumed) || is_held)
        return {}; // paused-rollouts-stay
    auto const* const timer = scene.after.find({TimerKind::Probation, 0});
    if (timer != nullptr && !is_over)
        return timer->at > ends ? "its probation lasts too long" : "";
    for (auto const id : parked)
        if (auto const* const process = scene.after.find(id); process != nullptr && process->serves())
            return name(id) + " is parked for ever";
    return scene.now < ends && !is_over ? "its probation is over too soon" : "";
}

/// As long as an older generation serves: what nobody wished does not bring a paused rollout further.
std::string paused_rollouts_stay(Scene const& scene) {
    auto const paused = scene.history.paused;
    bool const is_moved =
        scene.is_wish() || scene.is_pause() || std::holds_alternative<PolicyChanged>(scene.fact) ||
        std::holds_alternative<UndoWished>(scene.fact) || scene.reports(Happening::RolloutResumed) ||
        scene.reports(Happening::RollingBack) || scene.reports(Happening::RolloutFailed);
    bool const is_served = std::ranges::any_of(scene.between.processes, [&](Process const& process) {
        return process.generation < paused && process.serves();
    });
    if (paused == GenerationId{} || is_moved || !is_served)
        return {};
    // while it waits for room, what was superseded before it may go back; and what another one is whole
    // without may go
    auto const is_spare = [&](GenerationId id) {
        return std::ranges::any_of(scene.history.generations, [&](GenerationMemory const& other) {
            return other.id != id && other.id < paused && all_serve(scene, scene.after, other.id);
        });
    };
    bool const has_begun = scene.history.find(paused) != nullptr;
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        auto const* const slot = scene.history.find(spawn.generation, spawn.slot);
        if (!spawn.lent && spawn.generation == paused && (slot == nullptr || slot->last == WorkerId{}))
            wrong = "it opens slot " + std::to_string(static_cast<unsigned>(spawn.slot));
    });
    scene.for_each<Drain>([&](Drain const& drain) {
        auto const* const process = scene.before.find(drain.worker);
        if (has_begun && worker_of(scene.fact) != drain.worker && // it failed itself
            process != nullptr && process->generation < paused && process->serves() && !process->unhealthy &&
            process->slot < slots_of(scene, process->generation) && !is_spare(process->generation))
            wrong = name(drain.worker) + " is told to go";
    });
    scene.for_each<Report>([&](Report const& report) {
        bool const goes_on =
            report.happening == Happening::TookOver || report.happening == Happening::TookEffect ||
            report.happening == Happening::CanaryStep || report.happening == Happening::Proved;
        if (goes_on && report.generation == paused)
            wrong = to_string(Order{report});
    });
    return wrong;
}

/// So many of `slots` acceptors beside `old` ones come nearest to `percent`.
unsigned nearest_slots(unsigned percent, unsigned slots, unsigned old) {
    unsigned best = 1;
    auto const error = [&](unsigned n) { return std::abs(double(n) / (n + old) - percent / 100.0); };
    for (unsigned n = 2; n <= slots && percent < 100; ++n)
        if (error(n) < error(best) - 1e-9)
            best = n;
    return percent < 100 ? best : slots;
}

/// As long as an older generation serves, a canary has no more workers, and no more of the shards, than its
/// step allows; its steps go up one by one, each is held.
std::string canary_keeps_to_its_step(Scene const& scene) {
    auto canary = scene.history.canary;
    auto share = scene.history.canary_share;
    auto held = scene.history.canary_held;
    auto const newest = proposed(scene);
    scene.for_each<Report>([&](Report const& report) {
        if (report.happening == Happening::RolloutBegan && report.generation == newest.generation &&
            newest.strategy == Strategy::Canary) {
            canary = newest.generation;
            share = 0;
            held = {};
        }
    });
    unsigned slots = 0;
    unsigned old = 0;
    for (auto const& generation : scene.state.generations) {
        if (generation.id == canary)
            slots = generation.policy.workers;
        else if (generation.id < canary && generation.role == Role::Serving)
            old = generation.policy.workers;
    }
    unsigned next = 100;
    for (auto const step : scene.wanted.steps)
        next = step > share ? std::min<unsigned>(next, step) : next;
    bool const is_served = std::ranges::any_of(scene.between.processes, [&](Process const& process) {
        return process.generation < canary && process.serves();
    });
    if (canary == GenerationId{} || !is_served)
        return {};
    std::string wrong;
    scene.for_each<Report>([&](Report const& report) {
        if (report.generation != canary)
            return;
        if (report.happening == Happening::CanaryStep && (report.share != next || scene.now < held))
            wrong = to_string(Order{report}) + " comes too soon";
        if (report.happening == Happening::TookOver && (next != 100 || scene.now < held))
            wrong = "it takes over before its last step is over";
        if (report.happening == Happening::CanaryStep)
            share = report.share.value_or(0);
    });
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        auto const* const slot = scene.history.find(spawn.generation, spawn.slot);
        bool const opens = spawn.generation == canary && (slot == nullptr || slot->last == WorkerId{});
        // while a step is held, only a pool that grew opens more
        auto const allowed = nearest_slots(scene.now < held ? share : next, slots, old);
        if (opens && old != 0 && static_cast<unsigned>(spawn.slot) >= allowed)
            wrong = "it opens slot " + std::to_string(static_cast<unsigned>(spawn.slot)) + " too soon";
    });
    scene.for_each<Steer>([&](Steer const& steer) {
        std::uint32_t weight = 0;
        unsigned shards = 0;
        std::set<Shard> old_shards; // one that was withdrawn half-way may share some of the canary's
        std::set<Shard> its_shards;
        for (auto const& process : scene.after.processes)
            if (process.serves() && process.generation <= canary)
                (process.generation < canary ? old_shards : its_shards)
                    .insert({static_cast<std::uint16_t>(process.slot),
                             bank_of(static_cast<std::uint32_t>(process.generation))});
        bool const is_alone = std::ranges::includes(its_shards, old_shards);
        for (auto const shard : its_shards)
            if (!old_shards.contains(shard) && steer.shares.contains(shard)) {
                weight += steer.shares.at(shard);
                ++shards;
            }
        bool const took_over = scene.reports(Happening::TookOver);
        if (!is_alone && !took_over && old != 0 && weight > whole * share / 100 + shards + 1)
            wrong = "it gets " + std::to_string(weight * 100 / whole) + " % at the step of " +
                    std::to_string(share) + " %";
    });
    return wrong;
}

std::string stop_wins(Scene const& scene) {
    bool const stopped =
        std::holds_alternative<StopWished>(scene.fact) || (!scene.history.up && !scene.is_wish());
    if (!stopped)
        return {};
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) { wrong = name(spawn.worker) + " is started"; });
    bool const ended_by_itself = !std::holds_alternative<StopWished>(scene.fact); // or all were told then
    for (auto const& process : scene.after.processes)
        if (process.stage != Stage::Ordered && !process.told && !process.killed &&
            !(ended_by_itself && process.excused))
            wrong = name(process.id) + " was not told";
    if (scene.after.watching)
        wrong = "the listeners are watched";
    return wrong;
}

/// Who served when the rollout took over, be it in this very step.
std::vector<WorkerId> served_before(Scene const& scene, GenerationId rollout) {
    auto const* const memory = scene.history.find(rollout);
    auto found = memory != nullptr ? memory->took_over_from : std::vector<WorkerId>{};
    scene.for_each<Report>([&](Report const& report) {
        if (report.happening == Happening::TookOver && report.generation == rollout)
            for (auto const& process : scene.between.processes)
                if (process.generation < rollout && process.serves())
                    found.push_back(process.id);
    });
    return found;
}

std::string reports_are_true(Scene const& scene) {
    std::string wrong;
    scene.for_each<Report>([&](Report const& report) {
        auto const complain = [&](std::string const& why) { wrong = to_string(Order{report}) + ": " + why; };
        bool const says_ready = report.happening == Happening::TookOver ||
                                (report.happening == Happening::Started && !scene.after.watching);
        // what is said at its word may be followed by the next rollout in the same step
        bool const is_followed =
            report.happening == Happening::Started && std::holds_alternative<RestartWished>(scene.fact);
        auto const& then = is_followed ? scene.between : scene.after;
        if (says_ready && !all_serve(scene, then, report.generation))
            complain("not all of it are ready");
        bool const is_pool = report.happening == Happening::Resized && !scene.after.watching;
        if (is_pool && !all_serve(scene, scene.after, report.generation))
            complain("not all of it are ready");
        for (auto const& process : scene.after.processes)
            if (is_pool && process.generation == report.generation && !process.lent &&
                process.slot >= slots_of(scene, report.generation))
                complain(name(process.id) + " is too many");
        if (report.happening == Happening::RolledBack &&
            std::ranges::none_of(scene.after.processes, [&](Process const& process) {
                return process.generation < report.generation && process.serves();
            }))
            complain("nothing older serves");
        if (report.happening == Happening::Paused && !scene.after.processes.empty())
            complain(name(scene.after.processes.front().id) + " is there");
        if (report.happening == Happening::Stopped)
            for (auto const& process : scene.after.processes)
                if (process.generation <= report.generation)
                    complain(name(process.id) + " is there");
        if (report.happening == Happening::RolloutDone)
            for (auto const old : served_before(scene, report.generation))
                if (scene.after.find(old) != nullptr)
                    complain(name(old) + " is there");
    });
    return wrong;
}

/// Whoever ran when it was wished, and serves still, has reloaded since.
std::string reload_is_true(Scene const& scene) {
    std::string wrong;
    scene.for_each<Report>([&](Report const& report) {
        bool const is_done = report.happening == Happening::ReloadDone;
        if (!is_done && report.happening != Happening::TookEffect)
            return;
        auto const since = is_done ? scene.history.reload_wished : scene.history.in_place_wished;
        for (auto const& process : scene.after.processes) {
            auto const serves = std::ranges::any_of(scene.state.generations, [&](Generation const& it) {
                return it.id == process.generation && it.role == Role::Serving;
            });
            if (serves && process.serves() && !process.unhealthy && process.ordered_at < since &&
                process.reloaded_at < since)
                wrong = name(process.id) + " has not reloaded: " + to_string(Order{report});
        }
    });
    return wrong;
}

std::string never_stuck(Scene const& scene) {
    bool const up = scene.is_wish() ? !std::holds_alternative<StopWished>(scene.fact) : scene.history.up;
    bool const finished = std::ranges::any_of(scene.orders, [](Order const& order) {
        auto const* const report = std::get_if<Report>(&order);
        return report != nullptr && report->happening == Happening::Finished;
    });
    bool const idle = scene.after.processes.empty() && scene.after.timers.empty() && !scene.after.watching;
    return up && !finished && idle ? "up, but no worker, no timer and no watch" : "";
}

/// What only the old ones serve is given up at these words, while they serve it still. Not so slot by slot:
/// there each of them goes when its own successor is ready.
std::string take_over_is_said_first(Scene const& scene) {
    std::string told;
    std::string wrong;
    for (auto const& order : scene.orders) {
        if (auto const* const drain = std::get_if<Drain>(&order))
            told = name(drain->worker);
        auto const* const report = std::get_if<Report>(&order);
        bool const is_said = report != nullptr && (report->happening == Happening::TookOver ||
                                                   report->happening == Happening::Proved);
        auto const newest = proposed(scene);
        bool const comes_whole =
            is_said && report->generation == newest.generation && newest.strategy == Strategy::Overlap;
        if (comes_whole && !told.empty())
            wrong = told + " was told to go before: " + to_string(order);
    }
    return wrong;
}

constexpr std::array all_promises{
    Invariant{
        "last-ready-stays",
        "The last ready worker is told to go only by a stop or a replace, or when a newer is ready (P2).",
        last_ready_stays},
    Invariant{"pool-keeps-its-size",
              "Rolling forth and back leaves workers - max_unavailable of those that are ready, and makes no "
              "more than workers + max_surge.",
              pool_keeps_its_size},
    Invariant{
        "rollback-ends-well",
        "A roll-back ends with the old spec ready, or is reported as failed because it does not come up.",
        rollback_ends_well},
    Invariant{"parked-is-resolved",
              "A parked generation has a deadline; then it drains, if it does not serve again before.",
              parked_is_resolved},
    Invariant{
        "canary-keeps-to-its-step",
        "A canary has no more workers and no more weight than its step allows; its steps go up one by one "
        "and are held.",
        canary_keeps_to_its_step},
    Invariant{"paused-rollouts-stay",
              "A paused rollout opens and takes no slot, does not take over and does not end its probation.",
              paused_rollouts_stay},
    Invariant{
        "stop-wins",
        "From a stop on nothing is started or watched, and every worker is told to go as soon as it exists.",
        stop_wins},
    Invariant{"reports-are-true", "Started, TookOver, RolloutDone, Paused and Stopped say what is so.",
              reports_are_true},
    Invariant{"take-over-is-said-first",
              "With overlap TookOver and Proved come before the old workers are told to go.",
              take_over_is_said_first},
    Invariant{"reload-is-true", "ReloadDone and TookEffect come when all who ran have reloaded.",
              reload_is_true},
    Invariant{"never-stuck", "A unit that is up has a worker, a timer or a watch.", never_stuck},
};

} // namespace

std::span<Invariant const> promises() {
    return all_promises;
}

} // namespace holdfast::sim
