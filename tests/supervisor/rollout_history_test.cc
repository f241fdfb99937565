// SPDX-License-Identifier: Apache-2.0
// What is kept of rollouts: the queues over time, the workers' lanes, the last reports.
#include "catch.h"
#include "supervisor/rollout_history.h"

#include <algorithm>

using namespace holdfast;
using namespace std::chrono_literals;
using lifecycle::WorkerPhase;

namespace {

lifecycle::Worker worker(std::uint32_t id, WorkerPhase phase) {
    lifecycle::Worker made;
    made.id = lifecycle::WorkerId{id};
    made.generation = lifecycle::GenerationId{1};
    made.phase = phase;
    return made;
}

lifecycle::UnitState state_of(std::vector<lifecycle::Worker> workers) {
    lifecycle::UnitState state;
    state.last_worker = workers.empty() ? lifecycle::WorkerId{} : workers.back().id;
    state.workers = std::move(workers);
    return state;
}

RolloutReport report_of(std::uint32_t generation, std::size_t listeners = 0) {
    RolloutReport report;
    report.generation = generation;
    report.listeners.resize(listeners);
    return report;
}

} // namespace

TEST_CASE("the longest wait goes from one look at an empty queue to the next one", "[supervisor]") {
    LongestWait wait;
    wait.add(0ms, 0);
    CHECK(!wait.bound());
    wait.add(25ms, 0);
    wait.add(50ms, 3);
    CHECK(wait.bound() == 25ms);
    wait.add(75ms, 1);
    wait.add(100ms, 0);
    CHECK(wait.bound() == 75ms);
    wait.add(125ms, 1);
    wait.add(150ms, 0);
    CHECK(wait.bound() == 75ms);
    wait.add(175ms, 1);
    wait.add(300ms, 1); // and somebody still waits
    CHECK(wait.bound() == 150ms);
}

TEST_CASE("who waits as a rollout begins has waited since then at least", "[supervisor]") {
    LongestWait wait;
    wait.add(0ms, 2);
    CHECK(wait.bound() == 0ms);
    wait.add(40ms, 0);
    CHECK(wait.bound() == 40ms);
}

TEST_CASE("a series keeps changes only", "[supervisor]") {
    QueueSeries series;
    for (auto const at : {0ms, 25ms, 50ms})
        series.add(at, 0);
    series.add(75ms, 4);
    series.add(100ms, 4);
    CHECK(series.points() == std::vector<QueuePoint>{{0, 0}, {75, 4}});
}

TEST_CASE("a long series is thinned, and loses no height", "[supervisor]") {
    QueueSeries series;
    for (unsigned i = 0; i < 20000; ++i)
        series.add(i * 25ms, i == 7777 ? 99 : i % 2);
    auto const& points = series.points();
    CHECK(points.size() <= QueueSeries::most_points);
    CHECK(std::any_of(points.begin(), points.end(), [](QueuePoint point) { return point.waiting == 99; }));
    CHECK(std::is_sorted(points.begin(), points.end(),
                         [](QueuePoint a, QueuePoint b) { return a.at_msec < b.at_msec; }));
}

TEST_CASE("a worker's lane has each of its phases once, and ends when it is gone", "[supervisor]") {
    RolloutTimeline timeline;
    observe(timeline, state_of({worker(1, WorkerPhase::Ready), worker(2, WorkerPhase::Starting)}), 0ms);
    observe(timeline, state_of({worker(1, WorkerPhase::Ready), worker(2, WorkerPhase::Starting)}), 1ms);
    observe(timeline, state_of({worker(1, WorkerPhase::Draining), worker(2, WorkerPhase::Ready)}), 2ms);
    observe(timeline, state_of({worker(2, WorkerPhase::Ready)}), 3ms);
    observe(timeline, state_of({worker(2, WorkerPhase::Ready), worker(3, WorkerPhase::Killed)}), 4ms);
    REQUIRE(timeline.lanes.size() == 3);
    auto const phases = [&](std::size_t lane) {
        std::string text;
        for (auto const& change : timeline.lanes[lane].changes)
            text += std::string{to_name(change.phase)} + "@" + std::to_string(change.at.count() / 1000) + " ";
        return text;
    };
    CHECK(phases(0) == "ready@0 draining@2 gone@3 ");
    CHECK(phases(1) == "booting@0 ready@2 ");
    CHECK(phases(2) == "killed@4 ");
    CHECK(timeline.lanes_left_out == 0);
}

TEST_CASE("who is ready in a generation that is kept for a roll-back is parked", "[supervisor]") {
    auto state = state_of({worker(1, WorkerPhase::Ready), worker(2, WorkerPhase::Draining)});
    state.generations.push_back({lifecycle::GenerationId{1}, lifecycle::Role::Parked});
    RolloutTimeline timeline;
    observe(timeline, state, 0ms);
    state.generations.front().role = lifecycle::Role::Serving;
    observe(timeline, state, 1ms);
    REQUIRE(timeline.lanes.size() == 2);
    CHECK(timeline.lanes[0].changes.front().phase == LanePhase::Parked);
    CHECK(timeline.lanes[0].changes.back().phase == LanePhase::Ready);
    CHECK(timeline.lanes[1].changes.front().phase == LanePhase::Draining);
}

TEST_CASE("of very many workers the first have lanes, and the others are counted", "[supervisor]") {
    RolloutTimeline timeline;
    std::vector<lifecycle::Worker> workers;
    for (std::uint32_t id = 1; id <= 300; ++id)
        workers.push_back(worker(id, WorkerPhase::Ready));
    observe(timeline, state_of(workers), 0ms);
    workers.erase(workers.begin(), workers.begin() + 200);
    observe(timeline, state_of(workers), 1ms);
    CHECK(timeline.lanes.size() == RolloutTimeline::most_lanes);
    CHECK(timeline.lanes_left_out == 300 - RolloutTimeline::most_lanes);
    CHECK(timeline.lanes.back().changes.back().phase == LanePhase::Gone);
}

TEST_CASE("the last reports are kept, with timelines of the newest", "[supervisor]") {
    RolloutHistory history;
    CHECK(history.find({}) == nullptr);
    for (std::uint32_t generation = 2; generation <= 12; ++generation)
        history.add(report_of(generation), {});
    REQUIRE(history.all().size() == RolloutHistory::most_reports);
    CHECK(history.all().front().report.generation == 5);
    CHECK(history.find({})->report.generation == 12);
    CHECK(history.find(4) == nullptr);
    CHECK(history.find(10)->timeline == nullptr);
    CHECK(history.find(11)->timeline != nullptr);
}

TEST_CASE("an older report keeps the listeners with the longest queues", "[supervisor]") {
    RolloutHistory history;
    auto report = report_of(2, 1000);
    report.listeners[777].queue_highest = 9;
    history.add(report, {});
    CHECK(history.find(2)->report.listeners.size() == 1000);
    history.add(report_of(3), {});
    auto const& older = history.find(2)->report;
    CHECK(older.listeners.size() == RolloutHistory::most_listeners);
    CHECK(older.listeners_left_out == 1000 - RolloutHistory::most_listeners);
    CHECK(older.listeners.front().queue_highest == 9);
}
