// SPDX-License-Identifier: Apache-2.0
// What a picture of a rollout is drawn from: a lane for each worker, with its phases, and the depth of each
// listener's queue. Values, in bounded memory.
#pragma once

#include "lifecycle/state.h"
#include "supervisor/queue_series.h"

#include <string>
#include <vector>

namespace holdfast {

/// What a worker is to somebody who looks at a picture.
enum class LanePhase : std::uint8_t { Booting, Ready, Parked, Draining, Killed, Gone };
constexpr auto enum_table(LanePhase) {
    return std::array{EnumName{LanePhase::Booting, "booting"}, EnumName{LanePhase::Ready, "ready"},
                      EnumName{LanePhase::Parked, "parked"},   EnumName{LanePhase::Draining, "draining"},
                      EnumName{LanePhase::Killed, "killed"},   EnumName{LanePhase::Gone, "gone"}};
}

struct LaneChange {
    Duration at{}; ///< since the beginning of the rollout
    LanePhase phase{};
};

struct WorkerLane {
    lifecycle::WorkerId worker{};
    lifecycle::GenerationId generation{};
    lifecycle::Slot slot{};
    std::vector<LaneChange> changes; ///< oldest first, never empty
};

struct RolloutTimeline {
    /// So many workers and listeners have one; the others are counted.
    static constexpr std::size_t most_lanes = 128;
    static constexpr std::size_t most_queues = 16;

    Duration length{}; ///< of the rollout
    std::vector<WorkerLane> lanes;
    unsigned lanes_left_out = 0;
    std::vector<std::vector<QueuePoint>> queues; ///< of the first listeners of the report, in its order
};

/// Notes, at `at`, what has changed of the workers since the last call; the first call notes all of them.
void observe(RolloutTimeline& timeline, lifecycle::UnitState const& state, Duration at);

} // namespace holdfast
