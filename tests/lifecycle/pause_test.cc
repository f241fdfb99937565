// SPDX-License-Identifier: Apache-2.0
// Units that serve nobody for a while: clients wait in the queues.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

TEST_CASE("a paused unit sends all its workers away and says when they are gone", "[lifecycle]") {
    auto story = served({.workers = 2});
    story.tell(PauseWished{60s});
    CHECK(story.said(Happening::Pausing));
    CHECK(story.told_to_go(WorkerId{1}));
    CHECK(story.told_to_go(WorkerId{2}));
    CHECK(story.phase() == UnitPhase::Paused);
    story.exits(WorkerId{1});
    CHECK_FALSE(story.said(Happening::Paused));
    story.exits(WorkerId{2});
    CHECK(story.said(Happening::Paused));
    CHECK(story.spawned.empty());
    CHECK(story.phase() == UnitPhase::Paused);
}

TEST_CASE("resuming starts a new generation of the wanted spec", "[lifecycle]") {
    auto story = served({});
    story.tell(PauseWished{60s});
    story.exits(WorkerId{1});
    story.policy.spec = SpecId{7};
    story.tell(ResumeWished{});
    CHECK(story.has(Spawn{WorkerId{2}, GenerationId{2}, Slot{0}, SpecId{7}}));
    CHECK(story.said(Happening::Resumed));
    story.comes_up(WorkerId{2});
    CHECK(story.said(Happening::Started));
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("a pause ends by itself at its deadline, and nobody waits for that start", "[lifecycle]") {
    auto story = served({});
    story.tell(PauseWished{60s});
    story.exits(WorkerId{1});
    story.pass(59s);
    CHECK(story.spawned.empty());
    story.pass(1s);
    CHECK(story.reports(Happening::Resumed).front().cause == Cause::PauseDeadline);
    REQUIRE(story.spawned.size() == 1);
    story.comes_up(WorkerId{2});
    CHECK_FALSE(story.said(Happening::Started));
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("a queue that is nearly full ends a pause, and that is said", "[lifecycle]") {
    auto story = served({});
    story.tell(PauseWished{60s});
    CHECK(story.has(WatchQueues{}));
    story.tell(QueueNearlyFull{});
    CHECK(story.reports(Happening::Resumed).front().cause == Cause::QueueNearlyFull);
    CHECK(story.has(UnwatchQueues{}));
    CHECK(story.spawned.size() == 1); // beside the one that drains
}

TEST_CASE("a second pause counts anew, and is answered at once where nobody is left", "[lifecycle]") {
    auto story = served({});
    story.tell(PauseWished{60s});
    story.exits(WorkerId{1});
    story.pass(50s);
    story.new_chapter();
    story.tell(PauseWished{60s});
    CHECK(story.said(Happening::Paused));
    story.pass(59s);
    CHECK(story.spawned.empty());
    story.pass(1s);
    CHECK(story.spawned.size() == 1);
}

TEST_CASE("a paused lazy unit is not started by traffic; resumed, it listens", "[lifecycle]") {
    Story story{{.activation = Activation::Lazy}};
    story.tell(StartWished{});
    story.tell(PauseWished{60s});
    CHECK_FALSE(story.watching);
    CHECK(story.said(Happening::Paused));
    story.tell(TrafficArrived{}); // it was on its way
    CHECK(story.spawned.empty());
    story.tell(ResumeWished{});
    CHECK(story.watching);
    CHECK(story.phase() == UnitPhase::Listening);
}

TEST_CASE("a pause ends a rollout, and what was wished comes when it is resumed", "[lifecycle]") {
    auto story = served({});
    story.policy.spec = SpecId{2};
    story.tell(RestartWished{});
    story.tell(PauseWished{60s});
    CHECK(story.reports(Happening::RolloutStopped).front().cause == Cause::Paused);
    CHECK(story.told_to_go(WorkerId{1}));
    story.exits(WorkerId{1});
    story.tell(Forked{WorkerId{2}}); // it is told as soon as it is there
    CHECK(story.told_to_go(WorkerId{2}));
    story.exits(WorkerId{2});
    CHECK(story.said(Happening::Paused));
    story.new_chapter();
    story.tell(ResumeWished{});
    CHECK(story.all<Spawn>().front().spec == SpecId{2});
}

// The bug: what drains for long filled max_generations, a resume waited for it, and the queues ran over.
TEST_CASE("a resume does not wait for room", "[lifecycle]") {
    Policy policy{.timeout_stop = 5s, .drain_timeout = 10min, .max_generations = 2};
    auto story = served(policy);
    for (unsigned worker = 2; worker <= 4; ++worker) {
        story.tell(PauseWished{30s});
        story.tell(ResumeWished{});
        REQUIRE(story.spawned.back() == WorkerId{worker});
        story.comes_up(WorkerId{worker});
        CHECK(story.phase() == UnitPhase::Active);
    }
    // What is too many is soon gone, the oldest first.
    story.pass(5s);
    CHECK(story.has(Kill{WorkerId{1}}));
    CHECK(story.has(Kill{WorkerId{2}}));
    CHECK_FALSE(story.has(Kill{WorkerId{3}}));
    story.new_chapter();
    story.tell(RestartWished{}); // who has somebody that serves waits
    CHECK(story.said(Happening::RolloutWaits));
}

TEST_CASE("a resume with replace waits no longer than a stop would", "[lifecycle]") {
    auto story = served({.strategy = Strategy::Replace, .timeout_stop = 5s, .drain_timeout = 10min});
    story.tell(PauseWished{30s});
    story.tell(ResumeWished{});
    CHECK(story.spawned.empty());
    story.pass(5s);
    CHECK(story.has(Kill{WorkerId{1}}));
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    CHECK(story.spawned == std::vector{WorkerId{2}});
}

TEST_CASE("a stop ends a pause for good", "[lifecycle]") {
    auto story = served({});
    story.tell(PauseWished{60s});
    story.tell(StopWished{});
    story.exits(WorkerId{1});
    CHECK(story.said(Happening::Stopped));
    CHECK_FALSE(story.said(Happening::Paused));
    story.pass(120s);
    CHECK(story.spawned.empty());
    CHECK(story.phase() == UnitPhase::Inactive);
}

TEST_CASE("a restart ends a pause and is a rollout like any other", "[lifecycle]") {
    auto story = served({});
    story.tell(PauseWished{60s});
    story.exits(WorkerId{1});
    story.tell(RestartWished{});
    CHECK(story.said(Happening::Resumed));
    story.comes_up(WorkerId{2});
    CHECK(story.said(Happening::RolloutDone));
    CHECK(story.timers.empty());
}

TEST_CASE("whoever waits for a start, another number of workers or a reload is told of a pause",
          "[lifecycle]") {
    Story story{{.workers = 2, .type = ServiceType::Notify}};
    story.tell(StartWished{});
    story.tell(PauseWished{60s});
    CHECK(story.reports(Happening::StartFailed).front().cause == Cause::Paused);
    auto reloading = served({});
    reloading.tell(ReloadWished{});
    reloading.tell(PauseWished{60s});
    CHECK(reloading.reports(Happening::ReloadFailed).front().cause == Cause::Paused);
}

TEST_CASE("a unit that is down cannot be paused or resumed", "[lifecycle]") {
    Story story;
    story.tell(PauseWished{60s});
    CHECK(story.all_orders.empty());
    story.tell(ResumeWished{});
    CHECK(story.all_orders.empty());
}

TEST_CASE("a worker that does not drain in time is killed, and the pause is complete", "[lifecycle]") {
    auto story = served({.drain_timeout = 5s});
    story.tell(PauseWished{60s});
    story.pass(5s);
    CHECK(story.has(Kill{WorkerId{1}}));
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    CHECK(story.said(Happening::Paused));
    CHECK(story.spawned.empty());
}

TEST_CASE("what waited in a shard that lost its share is served after the pause", "[lifecycle]") {
    auto story = served({.type = ServiceType::Notify, .probation = 5s, .is_sharded = true});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{2}); // the first bank has lost its share, and may hold somebody
    story.tell(PauseWished{60s});
    story.tell(Exited{WorkerId{1}, ExitKind::UncleanSignal});
    story.tell(Exited{WorkerId{2}, ExitKind::Clean});
    CHECK(story.said(Happening::Paused));
    story.pass(59s);
    CHECK_FALSE(story.said(Happening::ShardGivenUp));
    story.new_chapter();
    story.tell(ResumeWished{});
    story.comes_up(story.spawned.front());
    story.pass(1s);
    CHECK(story.said(Happening::ShardLent));
}
