// SPDX-License-Identifier: Apache-2.0
// UnitState: everything the core remembers of a unit. A plain value: copied, compared and printed by tests,
// saved by the supervisor. Changed by step() only.
#pragma once

#include "lifecycle/fact.h"

#include <cstdint>
#include <vector>

namespace holdfast::lifecycle {

/// What the operator wants of the unit.
enum class Goal : std::uint8_t { Down, Up };

enum class WorkerPhase : std::uint8_t {
    Starting, ///< ordered, forked or executed; not ready
    Ready,
    Draining, ///< told to go (or said itself that it goes), may still finish requests
    Killed,   ///< SIGKILL is sent; only its Exited is awaited
};
constexpr auto enum_table(WorkerPhase) {
    return std::array{EnumName{WorkerPhase::Starting, "starting"}, EnumName{WorkerPhase::Ready, "ready"},
                      EnumName{WorkerPhase::Draining, "draining"}, EnumName{WorkerPhase::Killed, "killed"}};
}

struct Worker {
    WorkerId id{};
    GenerationId generation{};
    Slot slot{};
    WorkerPhase phase = WorkerPhase::Starting;
    bool was_ready = false;
    bool forked = false;                             ///< the process exists, so it can be signalled
    MonotonicTime since;                             ///< when it entered its phase
    MonotonicTime deadline = MonotonicTime::never(); ///< of its phase
    bool operator==(Worker const&) const = default;
};

/// The part a generation plays.
enum class Role : std::uint8_t {
    Incoming, ///< being rolled out, not all ready
    Serving,  ///< the one that keeps its slots filled
    Outgoing, ///< drains
};
constexpr auto enum_table(Role) {
    return std::array{EnumName{Role::Incoming, "incoming"}, EnumName{Role::Serving, "serving"},
                      EnumName{Role::Outgoing, "outgoing"}};
}

struct Generation {
    GenerationId id{};
    Role role = Role::Serving;
    Policy policy; ///< the rules it was started with
    bool operator==(Generation const&) const = default;
};

/// The implementation may add members here; what stands here is what the supervisor reads.
struct UnitState {
    Goal goal = Goal::Down;
    std::vector<Generation> generations; ///< oldest first; one is dropped when its last worker is gone
    std::vector<Worker> workers;         ///< alive or being started, in order of their ids
};

/// The unit in one word, for people.
enum class UnitPhase : std::uint8_t { Inactive, Listening, Starting, Active, Rolling, BackingOff, Stopping };
constexpr auto enum_table(UnitPhase) {
    return std::array{
        EnumName{UnitPhase::Inactive, "inactive"},   EnumName{UnitPhase::Listening, "listening"},
        EnumName{UnitPhase::Starting, "starting"},   EnumName{UnitPhase::Active, "active"},
        EnumName{UnitPhase::Rolling, "rolling-out"}, EnumName{UnitPhase::BackingOff, "backing-off"},
        EnumName{UnitPhase::Stopping, "stopping"}};
}
[[nodiscard]] UnitPhase phase_of(UnitState const& state);

} // namespace holdfast::lifecycle
