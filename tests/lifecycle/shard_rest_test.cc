// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "lifecycle/story.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace {

using namespace std::chrono_literals;

Policy sharded(std::uint16_t workers) {
    Policy policy;
    policy.type = ServiceType::Notify;
    policy.workers = workers;
    policy.is_sharded = true;
    policy.drain_timeout = 20s;
    policy.timeout_start = 10s;
    return policy;
}

/// One worker, and another generation of it has just taken over.
Story taken_over() {
    auto story = served(sharded(1));
    story.tell(RestartWished{});
    story.comes_up(WorkerId{2});
    return story;
}

constexpr Shard first{0, Bank::Green};

void scale(Story& story, std::uint16_t workers) {
    story.policy.workers = workers;
    story.tell(PolicyChanged{});
}

} // namespace

TEST_CASE("a worker whose shard has lost its share goes when that is at rest", "[lifecycle]") {
    auto story = taken_over();
    CHECK(story.all<WatchRest>() == std::vector{WatchRest{{first}}});
    story.pass(9s);
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    story.tell(ShardAtRest{first});
    CHECK(story.told_to_go(WorkerId{1}));
    CHECK(story.all<WatchRest>().back() == WatchRest{});
    CHECK_FALSE(story.said(Happening::RestDeadlinePassed));
}

TEST_CASE("a worker that hangs is not waited for: its shard is lent at once", "[lifecycle]") {
    // A hung canary was told to go after half of its drain_timeout, and until then nobody was lent its shard.
    auto policy = sharded(2);
    policy.is_probed = true;
    Story story{policy};
    story.tell(StartWished{});
    for (auto const worker : std::vector{story.spawned}) {
        story.comes_up(worker);
        story.tell(ProbePassed{worker});
    }
    story.new_chapter();
    SECTION("by its probes") {
        story.tell(ProbeFailed{WorkerId{1}});
        story.comes_up(WorkerId{3});
        story.tell(ProbePassed{WorkerId{3}});
        CHECK(story.told_to_go(WorkerId{1}));
    }
    SECTION("by its watchdog") {
        story.tell(WatchdogMissed{WorkerId{1}});
        CHECK_FALSE(story.said(Happening::ShardLent));
        story.pass(250ms);
        REQUIRE(story.said(Happening::ShardLent));
        CHECK(story.reports(Happening::ShardLent).front().shard == first);
    }
}

TEST_CASE("who waits for a worker that crashes again and again is not left to its back-off", "[lifecycle]") {
    // Clients in the queue of a slot that crashed for the fifth time waited for seconds, while others idled.
    auto policy = sharded(2);
    policy.restart_delay = 10s;
    auto story = served(policy);
    story.exits(WorkerId{1}, ExitKind::UncleanSignal); // the first time it is replaced at once
    story.comes_up(WorkerId{3});
    story.new_chapter();
    story.exits(WorkerId{3}, ExitKind::UncleanSignal);
    REQUIRE(story.backs_off());
    story.pass(250ms);
    REQUIRE(story.said(Happening::ShardLent));
    CHECK(story.reports(Happening::ShardLent).front().shard == first);
    story.pass(10s); // and its own comes in its time
    CHECK(story.all<Spawn>().back().slot == Slot{0});
    CHECK_FALSE(story.all<Spawn>().back().lent);
}

TEST_CASE("a worker that does not empty its queue goes after half of its time, and is killed after all of it",
          "[lifecycle]") {
    auto story = taken_over();
    story.pass(10s);
    CHECK(story.told_to_go(WorkerId{1}));
    CHECK(story.reports(Happening::RestDeadlinePassed).front().shard == first);
    CHECK(story.all<Kill>().empty());
    story.pass(10s);
    CHECK(story.has(Kill{WorkerId{1}}));
}

TEST_CASE("a stop waits for nobody in a queue", "[lifecycle]") {
    auto story = taken_over();
    story.tell(StopWished{});
    CHECK(story.told_to_go(WorkerId{1}));
    CHECK(story.told_to_go(WorkerId{2}));
    CHECK(story.all<WatchRest>().back() == WatchRest{});
}

TEST_CASE("a shard whose worker dies while it leaves is lent to another one until it is at rest",
          "[lifecycle]") {
    auto story = taken_over();
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    CHECK(story.spawned == std::vector{WorkerId{2}});
    story.pass(1s);
    REQUIRE(story.spawned == std::vector{WorkerId{2}, WorkerId{3}});
    auto const lent = story.all<Spawn>().back();
    CHECK(lent.lent == Bank::Green);
    CHECK(lent.generation == story.worker(WorkerId{2})->generation);
    story.comes_up(WorkerId{3});
    CHECK(story.state.shares.size() == 1);
    story.tell(ShardAtRest{first});
    CHECK(story.told_to_go(WorkerId{3}));
    story.exits(WorkerId{3});
    CHECK(story.state.restless.empty());
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("a shard that is at rest in time is not lent", "[lifecycle]") {
    auto story = taken_over();
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    story.pass(100ms);
    story.tell(ShardAtRest{first});
    story.pass(60s);
    CHECK(story.spawned == std::vector{WorkerId{2}});
}

TEST_CASE("a shard in which every worker dies is given up at last", "[lifecycle]") {
    auto story = taken_over();
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    for (std::uint32_t id = 3; id < 6; ++id) {
        story.pass(1s);
        story.comes_up(WorkerId{id});
        story.exits(WorkerId{id}, ExitKind::UncleanSignal);
    }
    story.pass(19s);
    CHECK_FALSE(story.said(Happening::ShardGivenUp));
    story.pass(2s);
    CHECK(story.reports(Happening::ShardGivenUp).size() == 1);
    CHECK(story.spawned.size() == 4);
}

TEST_CASE("shards of a smaller pool are closed when they are at rest and their workers are gone",
          "[lifecycle]") {
    auto story = served(sharded(3));
    scale(story, 1);
    CHECK(story.all<Drain>().empty());
    CHECK(story.all<HoldShards>().empty());
    for (std::uint16_t const slot : {1, 2})
        story.tell(ShardAtRest{{slot, Bank::Green}});
    CHECK(story.told_to_go(WorkerId{2}));
    CHECK(story.told_to_go(WorkerId{3}));
    story.exits(WorkerId{3});
    story.exits(WorkerId{2});
    CHECK(story.all<HoldShards>() == std::vector{HoldShards{2}, HoldShards{1}});
    CHECK(story.said(Happening::Resized));
    story.new_chapter();
    scale(story, 2);
    CHECK(story.orders.front() == Order{HoldShards{2}});
}

TEST_CASE("clients in the shards of a pool that is smaller when it starts again are served", "[lifecycle]") {
    auto story = served(sharded(2));
    story.tell(StopWished{});
    story.exits(WorkerId{1});
    story.exits(WorkerId{2});
    scale(story, 1);
    CHECK(story.all<HoldShards>().empty());
    story.new_chapter();
    story.tell(StartWished{});
    story.comes_up(WorkerId{3});
    story.pass(1s);
    REQUIRE(story.spawned.size() == 2);
    CHECK(story.all<Spawn>().back().slot == Slot{1});
    story.comes_up(WorkerId{4});
    story.tell(ShardAtRest{{1, Bank::Green}});
    story.exits(WorkerId{4});
    CHECK(story.all<HoldShards>() == std::vector{HoldShards{1}});
}

TEST_CASE("what was bound for more workers than are started is emptied and closed too", "[lifecycle]") {
    Story story{sharded(1)};
    story.tell(ShardsHeld{3});
    CHECK(story.all<HoldShards>() == std::vector{HoldShards{3}});
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    CHECK(story.all<WatchRest>().back() == WatchRest{{{1, Bank::Green}, {2, Bank::Green}}});
    for (std::uint16_t const slot : {1, 2})
        story.tell(ShardAtRest{{slot, Bank::Green}});
    CHECK(story.all<HoldShards>().back() == HoldShards{1});
}

} // namespace holdfast::lifecycle
