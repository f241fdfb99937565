// SPDX-License-Identifier: Apache-2.0
// Stop wins over everything.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

constexpr WorkerId first{1};
constexpr WorkerId second{2};

} // namespace

TEST_CASE("a changed policy holds for what runs, but leaves what it is made of", "[lifecycle]") {
    // A changed timeout_stop was in force only after the next restart.
    Story story;
    story.policy.timeout_stop = 30s;
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.policy.spec = SpecId{2};
    story.policy.timeout_stop = 2s;
    story.policy.type = ServiceType::Notify;
    story.tell(PolicyChanged{});
    CHECK(story.orders.empty());
    CHECK(story.state.generations.front().policy.spec == SpecId{});
    CHECK(story.state.generations.front().policy.type == ServiceType::Exec);
    story.tell(StopWished{});
    story.pass(2s);
    CHECK(story.all<Kill>().size() == 1);
}

TEST_CASE("a stop asks every worker to go and is answered when the last one is gone", "[lifecycle]") {
    Story story{{.workers = 2}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.comes_up(second);
    story.tell(StopWished{});
    CHECK(story.told_to_go(first));
    CHECK(story.told_to_go(second));
    CHECK(story.said(Happening::Stopping));
    CHECK(story.phase() == UnitPhase::Stopping);

    story.exits(first);
    CHECK_FALSE(story.said(Happening::Stopped));
    story.exits(second, ExitKind::UncleanSignal);
    CHECK(story.reports(Happening::Stopped).size() == 1);
    CHECK(story.reports(Happening::WorkerGone).size() == 2);
    CHECK(story.phase() == UnitPhase::Inactive);
    CHECK(story.timers.empty());
    CHECK(story.spawned.size() == 2);
}

TEST_CASE("a stop of a unit that is down is answered at once, each time", "[lifecycle]") {
    Story story;
    story.tell(StopWished{});
    story.tell(StopWished{});
    CHECK(story.reports(Happening::Stopped).size() == 2);
    CHECK_FALSE(story.said(Happening::Stopping));
}

TEST_CASE("a worker that does not go is killed at timeout_stop, and only then", "[lifecycle]") {
    Story story{{.timeout_stop = 20s, .drain_timeout = 300s}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(StopWished{});
    story.pass(20s - 1us);
    CHECK_FALSE(story.has(Kill{first}));
    story.pass(1us);
    CHECK(story.has(Kill{first}));
    CHECK(story.said(Happening::DrainDeadlinePassed));

    story.exits(first, ExitKind::UncleanSignal);
    CHECK(story.said(Happening::Stopped));
    CHECK(story.timers.empty());
}

// A process that hung in the kernel made a stop wait for ever.
TEST_CASE("a worker that not even SIGKILL ends is given up after another timeout_stop", "[lifecycle]") {
    Story story{{.restart = RestartWhen::Always, .timeout_stop = 20s}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(StopWished{});
    story.pass(40s - 1us);
    CHECK(story.has(Kill{first}));
    CHECK_FALSE(story.said(Happening::WorkerStuck));
    CHECK(story.phase() == UnitPhase::Stopping);
    story.pass(1us);
    CHECK(story.reports(Happening::WorkerStuck) ==
          std::vector<Report>{
              {.happening = Happening::WorkerStuck, .worker = first, .generation = GenerationId{1}}});
    CHECK(story.said(Happening::Stopped));
    CHECK(story.phase() == UnitPhase::Inactive);
    CHECK(story.timers.empty());
    CHECK(story.all<Kill>().size() == 1);

    auto const before = story.state;
    story.exits(first, ExitKind::UncleanSignal); // at last
    CHECK(story.state == before);
    CHECK(story.orders.empty());
    CHECK(story.spawned.size() == 1);
}

TEST_CASE("without any timeout_stop the kernel still has a moment to end a killed worker", "[lifecycle]") {
    Story story{{.timeout_stop = 0s}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(StopWished{});
    story.pass(4s);
    CHECK(story.has(Kill{first}));
    CHECK_FALSE(story.said(Happening::WorkerStuck));
    story.pass(1s);
    CHECK(story.said(Happening::WorkerStuck));
}

TEST_CASE("a rollout does not wait for ever for an old worker that nothing ends", "[lifecycle]") {
    auto const strategy = GENERATE(Strategy::Overlap, Strategy::Replace);
    Story story{{.strategy = strategy, .timeout_stop = 20s, .drain_timeout = 10s}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(RestartWished{});
    if (strategy == Strategy::Overlap)
        story.comes_up(second);
    story.pass(10s);
    CHECK(story.has(Kill{first}));
    story.pass(20s);
    CHECK(story.said(Happening::WorkerStuck));
    if (strategy == Strategy::Replace)
        story.comes_up(second);
    CHECK(story.reports(Happening::RolloutDone).size() == 1);
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("a stop that comes before the fork tells the worker as soon as it exists", "[lifecycle]") {
    Story story{{.timeout_stop = 20s}};
    story.tell(StartWished{});
    story.tell(StopWished{});
    CHECK_FALSE(story.told_to_go(first));
    CHECK(story.timers.empty());
    SECTION("and gives it its time from there") {
        story.pass(5s);
        story.tell(Forked{first});
        CHECK(story.told_to_go(first));
        story.pass(20s);
        CHECK(story.has(Kill{first}));
        story.exits(first, ExitKind::UncleanSignal);
    }
    SECTION("unless it could not be forked at all") {
        story.tell(SpawnFailed{first});
        CHECK_FALSE(story.told_to_go(first));
    }
    CHECK(story.said(Happening::Stopped));
    CHECK_FALSE(story.said(Happening::StartFailed)); // the start was answered by the stop
    CHECK(story.state.workers.empty());
}

TEST_CASE("a stop ends back-off and start limit", "[lifecycle]") {
    Story story{{.start_limit_burst = 1}};
    story.tell(StartWished{});
    story.tell(SpawnFailed{first});
    story.pass(100ms);
    if (GENERATE(false, true)) {
        story.tell(SpawnFailed{second});
        story.pass(1s);
        REQUIRE(story.said(Happening::StartLimitHit));
    } else
        story.tell(SpawnFailed{second});
    REQUIRE(story.phase() == UnitPhase::BackingOff);
    story.tell(StopWished{});
    CHECK(story.said(Happening::Stopped));
    CHECK(story.timers.empty());
    story.new_chapter();
    story.pass(1h);
    CHECK(story.all_orders.empty());
}

TEST_CASE("a second stop does not give more time", "[lifecycle]") {
    Story story{{.timeout_stop = 20s}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(StopWished{});
    story.pass(15s);
    story.tell(StopWished{});
    CHECK(story.all<Drain>().size() == 1);
    story.pass(5s);
    CHECK(story.has(Kill{first}));
    story.exits(first, ExitKind::UncleanSignal);
    CHECK(story.reports(Happening::Stopped).size() == 1); // both commands hear this one
}

TEST_CASE("a stop during a rollout stops both generations and the rollout", "[lifecycle]") {
    Story story{{.timeout_stop = 20s, .drain_timeout = 300s}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(RestartWished{});
    SECTION("while the new one starts") {
        story.tell(Forked{second});
        story.tell(StopWished{});
        CHECK(story.told_to_go(first));
        CHECK(story.told_to_go(second));
    }
    SECTION("while the old one drains: its deadline is never later than that of the stop") {
        story.comes_up(second);
        story.pass(1s);
        story.tell(StopWished{});
        CHECK(story.all<Drain>().size() == 2); // the old one was told before
        story.pass(20s);
        CHECK(story.has(Kill{first}));
        CHECK(story.has(Kill{second}));
    }
    auto const stopped = story.reports(Happening::RolloutStopped);
    REQUIRE(stopped.size() == 1);
    CHECK(stopped.front().generation == GenerationId{2});
    story.exits(first);
    story.exits(second);
    CHECK(story.said(Happening::Stopped));
    CHECK_FALSE(story.said(Happening::RolloutDone));
    CHECK_FALSE(story.said(Happening::RolloutFailed));
}

TEST_CASE("a drain that ends sooner than the stop would have it keeps its own deadline", "[lifecycle]") {
    Story story{{.timeout_stop = 60s, .drain_timeout = 10s}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(RestartWished{});
    story.comes_up(second);
    story.pass(5s);
    story.tell(StopWished{});
    story.pass(5s);
    CHECK(story.has(Kill{first}));
    CHECK_FALSE(story.has(Kill{second}));
}

TEST_CASE("a start while a stop drains brings up a new generation beside the old one, and both are answered",
          "[lifecycle]") {
    Story story;
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(StopWished{});
    story.new_chapter();
    story.tell(StartWished{});
    REQUIRE(story.spawned == std::vector{second});
    CHECK(story.reports(Happening::Starting).front().generation == GenerationId{2});
    story.comes_up(second);
    CHECK(story.reports(Happening::Started).front().generation == GenerationId{2});
    CHECK_FALSE(story.said(Happening::Stopped));
    story.exits(first);
    // it names the last generation that the stop meant, so the start knows that it is not its answer
    CHECK(story.reports(Happening::Stopped).front().generation == GenerationId{1});
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("with replace a start waits until what a stop drains is gone", "[lifecycle]") {
    Story story{{.strategy = Strategy::Replace}};
    story.tell(StartWished{});
    story.comes_up(first);
    story.tell(StopWished{});
    story.new_chapter();
    story.tell(StartWished{});
    CHECK(story.said(Happening::Starting));
    CHECK(story.spawned.empty());
    story.exits(first);
    CHECK(story.said(Happening::Stopped));
    CHECK(story.spawned == std::vector{second});
}
