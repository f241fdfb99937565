// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rollout_timeline.h"

#include <algorithm>

namespace holdfast {

using namespace lifecycle;

namespace {

bool is_parked(UnitState const& state, GenerationId id) {
    return std::any_of(state.generations.begin(), state.generations.end(), [&](Generation const& generation) {
        return generation.id == id && generation.role == Role::Parked;
    });
}

LanePhase phase_of_lane(UnitState const& state, Worker const& worker) {
    switch (worker.phase) {
    case WorkerPhase::Starting:
        return LanePhase::Booting;
    case WorkerPhase::Ready:
        return is_parked(state, worker.generation) ? LanePhase::Parked : LanePhase::Ready;
    case WorkerPhase::Draining:
        return LanePhase::Draining;
    case WorkerPhase::Killed:
        return LanePhase::Killed;
    }
    return LanePhase::Gone;
}

void note(WorkerLane& lane, LanePhase phase, Duration at) {
    if (lane.changes.back().phase != phase)
        lane.changes.push_back({at, phase});
}

} // namespace

/// Both are in the order of the workers' ids, which are never used again.
void observe(RolloutTimeline& timeline, UnitState const& state, Duration at) {
    auto lane = timeline.lanes.begin();
    for (auto const& worker : state.workers) {
        for (; lane != timeline.lanes.end() && lane->worker < worker.id; ++lane)
            note(*lane, LanePhase::Gone, at);
        if (lane != timeline.lanes.end()) {
            note(*lane, phase_of_lane(state, worker), at);
            ++lane;
        } else if (timeline.lanes.size() < RolloutTimeline::most_lanes) {
            timeline.lanes.push_back(
                {worker.id, worker.generation, worker.slot, {{at, phase_of_lane(state, worker)}}});
            lane = timeline.lanes.end();
        } else {
            break;
        }
    }
    for (; lane != timeline.lanes.end(); ++lane)
        note(*lane, LanePhase::Gone, at);
    // Ids go up by one: those behind the last lane are the ones without a lane.
    if (timeline.lanes.size() == RolloutTimeline::most_lanes)
        timeline.lanes_left_out = static_cast<std::uint32_t>(state.last_worker) -
                                  static_cast<std::uint32_t>(timeline.lanes.back().worker);
}

} // namespace holdfast
