// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rollout_history.h"

#include <algorithm>

namespace holdfast {

namespace {

void make_small(RolloutReport& report) {
    auto& listeners = report.listeners;
    if (listeners.size() <= RolloutHistory::most_listeners)
        return;
    std::stable_sort(
        listeners.begin(), listeners.end(),
        [](ListenerReport const& a, ListenerReport const& b) { return a.queue_highest > b.queue_highest; });
    report.listeners_left_out += static_cast<unsigned>(listeners.size() - RolloutHistory::most_listeners);
    listeners.resize(RolloutHistory::most_listeners);
    listeners.shrink_to_fit();
}

} // namespace

void RolloutHistory::add(RolloutReport report, RolloutTimeline timeline) {
    for (auto& lane : timeline.lanes)
        lane.changes.shrink_to_fit();
    timeline.lanes.shrink_to_fit();
    report.listeners.shrink_to_fit();
    if (!past_.empty())
        make_small(past_.back().report);
    if (past_.size() == most_reports)
        past_.erase(past_.begin());
    past_.push_back({std::move(report), std::make_unique<RolloutTimeline>(std::move(timeline))});
    if (past_.size() > most_timelines)
        past_[past_.size() - most_timelines - 1].timeline.reset();
    ++added_;
}

void RolloutHistory::add(RolloutReport report) {
    if (past_.size() == most_reports)
        past_.erase(past_.begin());
    past_.push_back({std::move(report), nullptr});
    ++added_;
}

PastRollout const* RolloutHistory::find(std::optional<std::uint32_t> generation) const {
    auto const found = std::find_if(past_.rbegin(), past_.rend(), [&](PastRollout const& past) {
        return !generation || past.report.generation == *generation;
    });
    return found == past_.rend() ? nullptr : &*found;
}

} // namespace holdfast
