// SPDX-License-Identifier: Apache-2.0
// A Story tells facts to one unit and keeps what was ordered, so that a test reads as what happened and what
// came of it. It knows time: pass() lets armed timers expire at their moment, in order.
#pragma once

#include "lifecycle/step.h"

#include <map>
#include <string>
#include <vector>

namespace holdfast::lifecycle {

constexpr MonotonicTime start_of_story{std::chrono::hours{1}};

class Story {
public:
    explicit Story(Policy rules = {}) : policy{rules} {}

    /// One step; its orders are in `orders`.
    void tell(Fact const& fact) {
        if (auto const* expired = std::get_if<TimerExpired>(&fact))
            timers.erase(expired->timer);
        orders = step(state, policy, fact, now);
        for (auto const& order : orders) {
            all_orders.push_back(order);
            if (auto const* arm = std::get_if<Arm>(&order))
                timers[arm->timer] = arm->at;
            else if (auto const* disarm = std::get_if<Disarm>(&order))
                timers.erase(disarm->timer);
            else if (auto const* spawn = std::get_if<Spawn>(&order))
                spawned.push_back(spawn->worker);
            else if (std::holds_alternative<Watch>(order) || std::holds_alternative<Unwatch>(order))
                watching = std::holds_alternative<Watch>(order);
        }
    }
    /// The worker starts as a service of its type does when all is well.
    void comes_up(WorkerId worker) {
        tell(Forked{worker});
        tell(Executed{worker});
        tell(ReadySaid{worker});
    }
    void exits(WorkerId worker, ExitKind kind = ExitKind::Clean) { tell(Exited{worker, kind}); }

    void pass(Duration time) {
        auto const end = now + time;
        while (!timers.empty()) {
            auto next = timers.begin();
            for (auto it = timers.begin(); it != timers.end(); ++it)
                if (it->second < next->second)
                    next = it;
            if (next->second > end)
                break;
            now = next->second;
            tell(TimerExpired{next->first});
        }
        now = end;
    }
    /// Forgets what was ordered until now; what follows is looked at alone.
    void new_chapter() {
        all_orders.clear();
        spawned.clear();
    }

    template <class T>
    [[nodiscard]] std::vector<T> all() const {
        std::vector<T> found;
        for (auto const& order : all_orders)
            if (auto const* it = std::get_if<T>(&order))
                found.push_back(*it);
        return found;
    }
    /// The reports of the chapter with this name.
    [[nodiscard]] std::vector<Report> reports(Happening happening) const {
        std::vector<Report> found;
        for (auto const& report : all<Report>())
            if (report.happening == happening)
                found.push_back(report);
        return found;
    }
    [[nodiscard]] bool said(Happening happening) const { return !reports(happening).empty(); }
    [[nodiscard]] bool told_to_go(WorkerId worker) const { return has(Drain{worker}); }
    [[nodiscard]] bool has(Order const& order) const {
        for (auto const& it : all_orders)
            if (it == order)
                return true;
        return false;
    }
    [[nodiscard]] Worker const* worker(WorkerId id) const {
        for (auto const& it : state.workers)
            if (it.id == id)
                return &it;
        return nullptr;
    }
    /// Something is promised: back-off or the pause of the start limit.
    [[nodiscard]] bool backs_off() const {
        for (auto const& [key, at] : timers)
            if (key.kind == TimerKind::RestartDelay || key.kind == TimerKind::StartLimit)
                return true;
        return false;
    }
    [[nodiscard]] UnitPhase phase() const { return phase_of(state); }

    Policy policy;
    UnitState state;
    MonotonicTime now = start_of_story;
    Orders orders;                 ///< of the last step
    Orders all_orders;             ///< of the chapter
    std::vector<WorkerId> spawned; ///< in the chapter
    std::map<TimerKey, MonotonicTime> timers;
    bool watching = false;
};

/// All of the first generation are ready; a new chapter begins.
inline Story served(Policy const& policy) {
    Story story{policy};
    story.tell(StartWished{});
    for (auto const worker : std::vector{story.spawned})
        story.comes_up(worker);
    story.new_chapter();
    return story;
}

} // namespace holdfast::lifecycle
