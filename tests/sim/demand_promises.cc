// SPDX-License-Identifier: Apache-2.0
// The invariants of units that serve on demand: those that are paused.
#include "sim/invariants.h"

#include <algorithm>
#include <array>

namespace holdfast::sim {

namespace {

std::string paused_serves_nobody(Scene const& scene) {
    auto const until = scene.unit_paused();
    if (!until)
        return {};
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) { wrong = name(spawn.worker) + " is started"; });
    for (auto const& process : scene.after.processes)
        if (process.stage != Stage::Ordered && !process.is_leaving())
            wrong = name(process.id) + " was not told";
    if (scene.after.watching)
        wrong = "traffic would start it";
    return wrong;
}

/// And it says why.
std::string paused_has_an_end(Scene const& scene) {
    auto const* const timer = scene.after.find({TimerKind::PauseDeadline, 0});
    if (auto const until = scene.unit_paused())
        return timer == nullptr || timer->at != *until ? "it may be paused for another time than was said"
                                                       : "";
    if (timer != nullptr)
        return "it is not paused, and has a deadline for it";
    auto const cause = scene.resumes_by_itself();
    if (cause == Cause::None)
        return {};
    bool is_said = false;
    scene.for_each<Report>([&](Report const& report) {
        is_said = is_said || (report.happening == Happening::Resumed && report.cause == cause);
    });
    bool const comes = scene.after.watching || scene.reports(Happening::Starting);
    return !is_said ? "it does not say why it is resumed" : comes ? "" : "nothing is started";
}

/// A stop says that it is stopped.
std::string resumed_is_said_once(Scene const& scene) {
    auto const said = std::ranges::count_if(scene.orders, [](Order const& order) {
        auto const* const report = std::get_if<Report>(&order);
        return report != nullptr && report->happening == Happening::Resumed;
    });
    bool const is_over = scene.history.unit_paused && !scene.unit_paused();
    bool const is_due = is_over && !std::holds_alternative<StopWished>(scene.fact);
    return said == (is_due ? 1 : 0) ? ""
                                    : "it says " + std::to_string(said) + " times that it is resumed, and " +
                                          (is_due ? "is" : "is not");
}

/// It counts since somebody has said that nobody is there, and that nobody has come since.
std::string only_the_idle_are_stopped(Scene const& scene) {
    if (!scene.reports(Happening::IdleStopped))
        return {};
    auto const since = scene.history.idle_since;
    if (!since || scene.wanted.idle_stop <= Duration{0})
        return "somebody may be there";
    Duration least = scene.wanted.idle_stop;
    for (auto const& generation : scene.history.generations)
        least = std::min(least, generation.policy.idle_stop);
    return scene.now < *since + least ? "it is stopped too soon" : "";
}

/// And what is too often pauses it, no longer than until the oldest start counts no more.
std::string triggers_are_bounded(Scene const& scene) {
    bool const taken = std::holds_alternative<TrafficArrived>(scene.fact) && scene.before.watching;
    if (!taken || scene.wanted.trigger_limit_burst == 0)
        return {};
    auto const interval = scene.wanted.trigger_limit_interval;
    auto const counted = std::ranges::count_if(scene.history.triggers,
                                               [&](MonotonicTime at) { return at + interval > scene.now; });
    bool const is_full = counted >= scene.wanted.trigger_limit_burst;
    bool const is_said = scene.reports(Happening::TriggerLimitHit);
    if (is_full != is_said)
        return std::to_string(counted) + " within the interval, and " +
               (is_said ? "it is paused" : "one more");
    auto const* const timer = scene.after.find({TimerKind::RestartDelay, 0});
    if (is_said && (timer == nullptr || timer->at > scene.now + interval))
        return "it may not listen again";
    return {};
}

std::string watched_before_told(Scene const& scene) {
    if (!scene.reports(Happening::IdleStopped))
        return {};
    bool is_watched = false;
    for (auto const& order : scene.orders) {
        is_watched = is_watched || std::holds_alternative<Watch>(order);
        if (auto const* const drain = std::get_if<Drain>(&order); drain != nullptr && !is_watched)
            return name(drain->worker) + " is told to go, and who comes then is not noticed";
    }
    return scene.after.watching ? "" : "nobody would be noticed";
}

/// A restart by replace has said that the old ones go first, however long that takes them.
std::string somebody_comes_soon(Scene const& scene) {
    auto const& next = scene.state.next;
    if (!next || next->is_paused || (next->strategy == Strategy::Replace && next->is_rollout))
        return {};
    auto const is_born = [](Process const& process) { // who is ordered is told something at once
        return process.stage == Stage::Ordered || (!process.is_leaving() && !process.lent);
    };
    auto const soon = scene.now + time_to_die(scene.wanted);
    bool const is_promised = std::ranges::any_of(scene.after.timers, [&](ArmedTimer const& timer) {
        return timer.key.kind == TimerKind::RestartDelay || timer.key.kind == TimerKind::StartLimit ||
               (timer.key.kind == TimerKind::StopDeadline && timer.at <= soon);
    });
    bool const comes = std::ranges::any_of(scene.after.processes, is_born);
    return comes || is_promised ? "" : "nobody serves, and nobody comes";
}

constexpr std::array all_demand_promises{
    Invariant{"paused-serves-nobody",
              "While a unit is paused nothing is started, traffic starts nothing, and every worker is to go.",
              paused_serves_nobody},
    Invariant{"paused-has-an-end",
              "A paused unit is resumed at its deadline, or when a queue is nearly full, and says which.",
              paused_has_an_end},
    Invariant{"resumed-is-said-once", "When a paused unit is resumed it says so, once, and at no other time.",
              resumed_is_said_once},
    Invariant{
        "somebody-comes-soon",
        "Where nobody serves, whoever is to come waits no longer for those who drain than a stop would.",
        somebody_comes_soon},
    Invariant{"idle-is-proved",
              "A lazy unit is stopped only when nobody was there for idle_stop, as was said since.",
              only_the_idle_are_stopped},
    Invariant{"triggers-are-bounded",
              "Traffic starts no more than trigger_limit_burst times in any trigger_limit_interval, and that "
              "recovers.",
              triggers_are_bounded},
    Invariant{
        "watched-before-told",
        "When it is stopped because nobody is there, the listeners are watched before a worker is told.",
        watched_before_told},
};

} // namespace

std::span<Invariant const> demand_promises() {
    return all_demand_promises;
}

} // namespace holdfast::sim
