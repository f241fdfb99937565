// SPDX-License-Identifier: Apache-2.0
// What the invariants must remember of a run, kept by looking at facts and orders only; it never trusts
// UnitState.
#pragma once

#include "sim/kernel.h"

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::sim {

/// A command that waits. `acknowledged` is the generation of the report in the step of its wish; its answer
/// is the first report of its kind with this generation or a later one (a restart: exactly this one).
struct Waiter {
    enum class Kind : std::uint8_t { Start, Stop, Restart, Resize, Reload, Pause } kind{};
    GenerationId acknowledged{};
};

struct SlotMemory {
    WorkerId last{};                      ///< whom it was given to; 0: nobody yet
    std::uint16_t automatic_in_a_row = 0; ///< since the last healthy run or wish
    bool ended_ready = false;             ///< how its last worker ended
    bool sent_away = false;               ///< ... because it was told to, though it did nothing wrong
    MonotonicTime ended_at{};
};

struct GenerationMemory {
    GenerationId id{};
    Policy policy{}; ///< the wanted one when its first worker was ordered
    std::vector<SlotMemory> slots;
    std::vector<WorkerId> took_over_from; ///< who served when its rollout took over
    bool took_over = false;
};

struct History {
    bool up = false;     ///< start or restart was wished last, and the unit has not finished since
    Strategy strategy{}; ///< with which `last_proposed` is to come
    GenerationId last_proposed{};
    GenerationId rolled_back{};       ///< the one that is being rolled back, or 0
    WorkerId last_before_roll_back{}; ///< the newest worker when that began
    MonotonicTime reload_wished{};    ///< last
    MonotonicTime in_place_wished{};  ///< the last restart that was to be
    GenerationId on_probation{};      ///< the one that took over with a probation, or 0
    std::vector<WorkerId> parked;     ///< who served before it
    MonotonicTime probation_ends{};
    GenerationId paused{};                      ///< the one whose rollout is paused, or 0
    std::optional<MonotonicTime> unit_paused{}; ///< until then
    std::optional<MonotonicTime> idle_since{};
    GenerationId canary{};         ///< the one that comes as a canary, or 0
    std::uint8_t canary_share = 0; ///< percent, of its last step
    MonotonicTime canary_held{};   ///< until then, at least
    GenerationId last_spawned{};   ///< the newest generation that had a worker
    WorkerId last_worker{};
    WorkerId last_stopped{}; ///< a stop was for it and all before
    std::vector<Waiter> waiters;
    std::vector<GenerationMemory> generations;    ///< those with a process or a timer, oldest first
    std::vector<AutomaticStart> automatic_starts; ///< since the last wish
    std::vector<MonotonicTime> triggers;          ///< the same: by traffic
    [[nodiscard]] GenerationMemory const* find(GenerationId id) const;
    [[nodiscard]] SlotMemory const* find(GenerationId id, Slot slot) const;
};

/// The name of an invariant and what it saw.
struct Complaint {
    std::string_view invariant;
    std::string text;
};
using Complaints = std::vector<Complaint>;

/// One step as a bystander sees it.
struct Scene {
    Policy const& wanted;
    Fact const& fact;
    MonotonicTime now;
    Orders const& orders;
    Kernel const& before;   ///< before the fact happened
    Kernel const& between;  ///< it has happened, nothing is enacted yet
    Kernel const& after;    ///< the orders are enacted
    History const& history; ///< of the steps before this one
    UnitState const& state; ///< after the step

    [[nodiscard]] std::optional<WorkerPhase> state_of(WorkerId id) const {
        for (auto const& worker : state.workers)
            if (worker.id == id)
                return worker.phase;
        return std::nullopt;
    }
    [[nodiscard]] bool is_wish() const {
        return std::holds_alternative<StartWished>(fact) || std::holds_alternative<StopWished>(fact) ||
               std::holds_alternative<RestartWished>(fact) ||
               (std::holds_alternative<ResumeWished>(fact) && history.up);
    }
    [[nodiscard]] bool is_pause() const { return std::holds_alternative<PauseWished>(fact) && history.up; }
    /// It is to be resumed by itself in this step, and why; None if not.
    [[nodiscard]] Cause resumes_by_itself() const {
        if (!history.unit_paused)
            return Cause::None;
        if (std::holds_alternative<QueueNearlyFull>(fact))
            return Cause::QueueNearlyFull;
        auto const* const expired = std::get_if<TimerExpired>(&fact);
        bool const is_over = expired != nullptr && expired->timer.kind == TimerKind::PauseDeadline &&
                             *history.unit_paused <= now;
        return is_over ? Cause::PauseDeadline : Cause::None;
    }
    /// Until when the unit is paused after this step, as a bystander sees it.
    [[nodiscard]] std::optional<MonotonicTime> unit_paused() const {
        if (is_pause())
            return now + std::get<PauseWished>(fact).time;
        bool const is_over = is_wish() || resumes_by_itself() != Cause::None;
        return is_over ? std::nullopt : history.unit_paused;
    }
    [[nodiscard]] bool reports(Happening happening) const {
        for (auto const& order : orders)
            if (auto const* it = std::get_if<Report>(&order); it != nullptr && it->happening == happening)
                return true;
        return false;
    }
    template <class T>
    void for_each(auto&& look) const {
        for (auto const& order : orders)
            if (auto const* it = std::get_if<T>(&order))
                look(*it);
    }
};

/// Which waiters a report may answer.
enum class Answers : std::uint8_t { Nobody, Starts, AllButRestarts, Restarts, Resizes, Reloads, Pauses };
[[nodiscard]] Answers answered_by(Happening happening);

/// Nobody wished it: the slot was filled before, and was not given up since for a rollout.
[[nodiscard]] bool is_automatic(Scene const& scene, Spawn const& spawn);

/// Who was given this slot last and does not hold it any more after the step: it is dead, or given up.
[[nodiscard]] Process const* who_left(Scene const& scene, GenerationId generation, Slot slot);

/// With which strategy the newest generation that was announced is to come, this step included.
struct Proposal {
    GenerationId generation{};
    Strategy strategy{};
};
[[nodiscard]] Proposal proposed(Scene const& scene);

/// What waits after the step; what was answered wrongly is complained about.
[[nodiscard]] std::vector<Waiter> waiters_after(Scene const& scene, Complaints& complaints);

/// Takes the step into `history`, the one that the scene refers to.
void remember(Scene const& scene, History& history, std::vector<Waiter> waiters);

} // namespace holdfast::sim
