// SPDX-License-Identifier: Apache-2.0
// Reports of rollouts, and what a picture of one is drawn from.
#include "supervisor/view.h"
#include "supervisor/view_json.h"

namespace holdfast::view {

using nlohmann::json;

json of(RolloutReport const& report) {
    auto const& cut = report.cut_at_deadline;
    json listeners = json::array();
    for (auto const& listener : report.listeners)
        listeners.push_back({{"name", listener.name},
                             {"address", to_string(listener.address)},
                             {"queue_before", listener.queue_before},
                             {"queue_highest", listener.queue_highest},
                             {"queue_after", listener.queue_after},
                             {"limit", listener.limit},
                             {"drops", optional(listener.drops)},
                             {"longest_wait_usec", optional(listener.longest_wait)}});
    return {{"unit", report.unit},
            {"verdict", std::string{to_name(report.verdict)}},
            {"strategy", std::string{to_name(report.strategy)}},
            {"generation", report.generation},
            {"previous_generation", optional(report.previous_generation)},
            {"reason", optional(report.reason)},
            {"stage", optional(report.stage)},
            {"share", optional(report.share)},
            {"paused", report.is_paused},
            {"began", time_text(report.began)},
            {"lasted_usec", report.lasted.count()},
            {"ready_usec", optional(report.ready_after)},
            {"drained_usec", optional(report.drained_after)},
            {"killed_at_deadline", report.killed_at_deadline},
            {"cut_at_deadline", cut.is_known() ? json(cut.found) : json(nullptr)},
            {"cut_is_complete", cut.is_all},
            {"listeners", std::move(listeners)},
            {"listeners_left_out", report.listeners_left_out},
            {"listen_overflows", report.listen_overflows},
            {"listen_drops", report.listen_drops},
            {"aborted_on_close", report.aborted_on_close},
            {"migrated", report.migrated},
            {"migrate_failed", report.migrate_failed}};
}

json of(PastRollout const& past) {
    if (!past.timeline)
        return nullptr;
    json lanes = json::array();
    for (auto const& lane : past.timeline->lanes) {
        json phases = json::array();
        for (auto const& change : lane.changes)
            phases.push_back({{"at_usec", change.at.count()}, {"phase", std::string{to_name(change.phase)}}});
        lanes.push_back({{"worker", static_cast<std::uint32_t>(lane.worker)},
                         {"generation", static_cast<std::uint32_t>(lane.generation)},
                         {"slot", static_cast<std::uint16_t>(lane.slot)},
                         {"phases", std::move(phases)}});
    }
    json queues = json::array();
    auto const& listeners = past.report.listeners;
    for (std::size_t i = 0; i < std::min(past.timeline->queues.size(), listeners.size()); ++i) {
        json points = json::array();
        for (auto const& point : past.timeline->queues[i])
            points.push_back({{"at_usec", std::uint64_t{point.at_msec} * 1000}, {"waiting", point.waiting}});
        queues.push_back({{"name", listeners[i].name},
                          {"address", to_string(listeners[i].address)},
                          {"points", std::move(points)}});
    }
    return {{"length_usec", past.timeline->length.count()},
            {"lanes", std::move(lanes)},
            {"lanes_left_out", past.timeline->lanes_left_out},
            {"queues", std::move(queues)},
            {"queues_left_out", listeners.size() - past.timeline->queues.size()}};
}

} // namespace holdfast::view
