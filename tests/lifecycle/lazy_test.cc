// SPDX-License-Identifier: Apache-2.0
// Units that the first traffic starts.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

Story listening(Policy policy = {}) {
    policy.activation = Activation::Lazy;
    Story story{policy};
    story.tell(StartWished{});
    return story;
}

} // namespace

TEST_CASE("a lazy unit is started when its listeners are watched, and runs nothing", "[lifecycle]") {
    auto story = listening();
    CHECK(story.watching);
    CHECK(story.said(Happening::Started));
    CHECK(story.spawned.empty());
    CHECK(story.phase() == UnitPhase::Listening);
}

TEST_CASE("the first traffic ends the watch and starts every slot", "[lifecycle]") {
    auto story = listening({.workers = 2});
    story.tell(TrafficArrived{});
    CHECK_FALSE(story.watching);
    CHECK(story.spawned.size() == 2);
    CHECK(story.phase() == UnitPhase::Starting);
    story.comes_up(WorkerId{1});
    story.comes_up(WorkerId{2});
    CHECK(story.phase() == UnitPhase::Active);
    CHECK(story.reports(Happening::Started).size() == 1); // nobody waited for a second one
}

TEST_CASE("traffic that was on its way when the watch ended starts nothing twice", "[lifecycle]") {
    auto story = listening();
    story.tell(TrafficArrived{});
    story.tell(TrafficArrived{});
    CHECK(story.spawned.size() == 1);
}

TEST_CASE("when the workers of a lazy unit have done their work, it listens again", "[lifecycle]") {
    auto story = listening();
    story.tell(TrafficArrived{});
    story.comes_up(WorkerId{1});
    story.pass(5s);
    story.exits(WorkerId{1});
    CHECK(story.said(Happening::Finished));
    CHECK(story.watching);
    CHECK(story.phase() == UnitPhase::Listening);
    story.tell(TrafficArrived{});
    CHECK(story.spawned.size() == 2);
}

TEST_CASE("a lazy worker that exits at once while traffic waits does not spin", "[lifecycle]") {
    auto story = listening({.restart_delay = 100ms, .start_limit_burst = 5, .start_limit_interval = 10s});
    auto const begin = story.now;
    while (story.now < begin + 60s) {
        while (story.watching) { // the traffic is still there
            story.tell(TrafficArrived{});
            if (story.state.workers.empty())
                break;
            story.comes_up(story.state.last_worker);
            story.exits(story.state.last_worker);
        }
        story.pass(10ms);
    }
    CHECK(story.said(Happening::BackingOff));
    CHECK(story.reports(Happening::BackingOff).front().cause == Cause::ExitedSoon);
    CHECK(story.spawned.size() >= 5);
    CHECK(story.spawned.size() <= 30);
}

TEST_CASE("a lazy worker that works for short times is not delayed, only limited", "[lifecycle]") {
    auto story = listening({.restart_delay = 100ms, .start_limit_burst = 5, .start_limit_interval = 10s});
    for (int i = 0; i < 5; ++i) {
        story.tell(TrafficArrived{});
        story.comes_up(story.state.last_worker);
        story.pass(200ms);
        story.exits(story.state.last_worker);
        REQUIRE(story.watching);
    }
    story.tell(TrafficArrived{});
    CHECK(story.spawned.size() == 5);
    CHECK(story.said(Happening::StartLimitHit));
    CHECK_FALSE(story.watching);
    story.pass(10s);
    CHECK(story.watching); // the client that waits in the queue is served now
}

TEST_CASE("a lazy worker that crashes is replaced like any other", "[lifecycle]") {
    auto story = listening();
    story.tell(TrafficArrived{});
    story.comes_up(WorkerId{1});
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    CHECK(story.spawned.size() == 2);
    CHECK_FALSE(story.watching);
}

TEST_CASE("a lazy service that cannot be started backs off while its clients wait", "[lifecycle]") {
    auto story = listening();
    story.tell(TrafficArrived{});
    story.tell(SpawnFailed{WorkerId{1}});
    CHECK(story.phase() == UnitPhase::BackingOff);
    CHECK_FALSE(story.watching);
    CHECK(story.said(Happening::WorkerDied));
    CHECK(story.reports(Happening::WorkerDied).front().cause == Cause::SpawnFailed);
    story.pass(100ms);
    CHECK(story.spawned.size() == 2);
}

TEST_CASE("a restart of a lazy unit that listens is done at once: the next traffic starts the wanted spec",
          "[lifecycle]") {
    auto story = listening({.spec = SpecId{1}});
    story.policy.spec = SpecId{2};
    story.tell(RestartWished{});
    CHECK(story.reports(Happening::RolloutBegan).size() == 1);
    CHECK(story.reports(Happening::RolloutDone).size() == 1);
    CHECK(story.watching);
    story.tell(TrafficArrived{});
    CHECK(story.all<Spawn>().front().spec == SpecId{2});
}

TEST_CASE("a restart of a lazy unit that serves is a rollout like any other", "[lifecycle]") {
    auto story = listening();
    story.tell(TrafficArrived{});
    story.comes_up(WorkerId{1});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{2});
    CHECK(story.said(Happening::TookOver));
    CHECK(story.told_to_go(WorkerId{1}));
}

TEST_CASE("a start of a lazy unit that pauses listens at once", "[lifecycle]") {
    auto story = listening();
    story.tell(TrafficArrived{});
    story.comes_up(WorkerId{1});
    story.exits(WorkerId{1}); // too soon
    REQUIRE_FALSE(story.watching);
    story.tell(StartWished{});
    CHECK(story.watching);
    CHECK(story.timers.empty());
}

TEST_CASE("a stop ends the watch", "[lifecycle]") {
    auto story = listening();
    story.tell(StopWished{});
    CHECK_FALSE(story.watching);
    CHECK(story.said(Happening::Stopped));
    CHECK(story.phase() == UnitPhase::Inactive);
}
