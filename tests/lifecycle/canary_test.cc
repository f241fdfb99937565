// SPDX-License-Identifier: Apache-2.0
// A canary gets its share step by step, and gives all of it back at once.
#include "catch.h"
#include "lifecycle/sharing.h"
#include "lifecycle/story.h"

#include <vector>

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

/// Generation 1 (workers 1 to 4) serves, generation 2 was begun as a canary.
Story begun(bool is_sharded, CanarySteps steps = {5, 50}) {
    Policy policy;
    policy.workers = 4;
    policy.type = ServiceType::Notify;
    policy.strategy = Strategy::Canary;
    policy.steps = steps;
    policy.hold = 10s;
    policy.is_sharded = is_sharded;
    Story story{policy};
    story.tell(StartWished{});
    for (std::uint32_t id = 1; id <= 4; ++id)
        story.comes_up(WorkerId{id});
    story.new_chapter();
    story.tell(RestartWished{});
    return story;
}

/// What the bank of generation 2 has, in percent.
double canary_part(Shares const& shares) {
    std::uint32_t weight = 0;
    for (auto const& [shard, part] : shares)
        weight += shard.bank == bank_of(2) ? part : 0;
    return 100.0 * weight / whole;
}

} // namespace

TEST_CASE("so many acceptors come nearest to a share, and one at least", "[lifecycle]") {
    CHECK(canary_slots(5, 4, 4) == 1);
    CHECK(canary_slots(25, 4, 4) == 1);
    CHECK(canary_slots(30, 4, 4) == 2);
    CHECK(canary_slots(50, 4, 4) == 4);
    CHECK(canary_slots(90, 4, 4) == 4);
    CHECK(canary_slots(5, 20, 20) == 1);
    CHECK(canary_slots(25, 20, 20) == 7);
    CHECK(canary_slots(100, 4, 1) == 4);
}

TEST_CASE("a canary on shards gets exactly its share, step by step, and then all", "[lifecycle]") {
    auto story = begun(true);
    CHECK(story.spawned.size() == 1);
    CHECK(story.all<Steer>().empty());
    story.comes_up(WorkerId{5});
    REQUIRE(story.said(Happening::CanaryStep));
    CHECK(canary_part(story.state.shares) == Approx(5).margin(0.01));
    CHECK(is_whole(story.state.shares));
    story.pass(9s);
    CHECK(story.spawned.size() == 1);
    story.pass(1s);
    CHECK(story.spawned.size() == 4); // for 50 %
    for (std::uint32_t id = 6; id <= 8; ++id) {
        CHECK(canary_part(story.state.shares) == Approx(5).margin(0.01));
        story.comes_up(WorkerId{id});
    }
    CHECK(canary_part(story.state.shares) == Approx(50).margin(0.01));
    CHECK_FALSE(story.said(Happening::TookOver));
    story.pass(10s);
    CHECK(story.said(Happening::TookOver));
    CHECK(canary_part(story.state.shares) == 100);
    for (std::uint32_t id = 1; id <= 4; ++id) // they are told when their shards are at rest
        CHECK(story.worker(WorkerId{id})->phase == WorkerPhase::Draining);
}

TEST_CASE("what fails in a step gives all back in the same step", "[lifecycle]") {
    auto story = begun(true);
    story.comes_up(WorkerId{5});
    story.pass(3s);
    SECTION("a crash") {
        story.exits(WorkerId{5}, ExitKind::CoreDump);
    }
    SECTION("an undo") {
        story.tell(UndoWished{});
    }
    SECTION("a watchdog") {
        story.tell(WatchdogMissed{WorkerId{5}});
    }
    CHECK(std::holds_alternative<Steer>(story.orders.front()));
    CHECK(canary_part(story.state.shares) == 0);
    CHECK(is_whole(story.state.shares));
    CHECK(story.said(Happening::RolloutFailed));
    for (std::uint32_t id = 1; id <= 4; ++id)
        CHECK(story.worker(WorkerId{id})->phase == WorkerPhase::Ready);
}

TEST_CASE("a step that is paused is held until it is resumed, and then for what was left", "[lifecycle]") {
    auto story = begun(false);
    story.comes_up(WorkerId{5});
    story.pass(4s);
    story.tell(PauseRolloutWished{});
    story.pass(60s);
    CHECK(story.spawned.size() == 1);
    CHECK(story.timers.empty());
    story.tell(ResumeRolloutWished{});
    story.pass(5s);
    CHECK(story.spawned.size() == 1);
    story.pass(1s);
    CHECK(story.spawned.size() == 4);
}

TEST_CASE("a pool that grows while a step is held gives the canary more workers", "[lifecycle]") {
    auto story = begun(false, {25});
    story.comes_up(WorkerId{5});
    story.policy.workers = 12;
    story.tell(PolicyChanged{});
    auto const canaries = std::ranges::count_if(
        story.all<Spawn>(), [](Spawn const& spawn) { return spawn.generation == GenerationId{2}; });
    auto const share = story.state.rollout->share;
    CHECK(canaries == canary_slots(share, 12, 12));
    CHECK(canaries > 1);
    CHECK(story.reports(Happening::CanaryStep).size() == 1);
}

TEST_CASE("a canary that supersedes a half-done rollout does not leave that one serving", "[lifecycle]") {
    Policy policy;
    policy.workers = 2;
    policy.type = ServiceType::Notify;
    policy.strategy = Strategy::Canary;
    auto story = served(policy);
    story.tell(RestartWished{Strategy::Rolling});
    story.comes_up(WorkerId{3});
    REQUIRE(story.told_to_go(WorkerId{1}));
    story.new_chapter();
    story.tell(RestartWished{});
    auto const spawns = story.all<Spawn>();
    auto const is_old = [](Spawn const& spawn) { return spawn.generation == GenerationId{1}; };
    REQUIRE(std::ranges::count_if(spawns, is_old) == 1);
    story.comes_up(std::ranges::find_if(spawns, is_old)->worker);
    CHECK(story.told_to_go(WorkerId{3}));
}

TEST_CASE("a stop and a newer restart end a canary", "[lifecycle]") {
    auto story = begun(true);
    story.comes_up(WorkerId{5});
    SECTION("stop") {
        story.tell(StopWished{});
        CHECK(story.said(Happening::RolloutStopped));
        CHECK(story.all<Drain>().size() == 5);
    }
    SECTION("restart") {
        story.tell(RestartWished{});
        CHECK(story.said(Happening::RolloutSuperseded));
        CHECK(story.worker(WorkerId{5})->phase == WorkerPhase::Draining);
        CHECK(story.worker(WorkerId{1})->phase == WorkerPhase::Ready);
        CHECK(canary_part(story.state.shares) == 0);
    }
}

TEST_CASE("where nothing serves a canary is a start like any other", "[lifecycle]") {
    Policy policy;
    policy.workers = 2;
    policy.type = ServiceType::Notify;
    policy.strategy = Strategy::Canary;
    Story story{policy};
    story.tell(RestartWished{});
    CHECK(story.spawned.size() == 2);
    story.comes_up(WorkerId{1});
    story.comes_up(WorkerId{2});
    CHECK(story.said(Happening::RolloutDone));
}

TEST_CASE("a restart that waits for room does not wait for ever", "[lifecycle]") {
    Policy policy;
    policy.type = ServiceType::Notify;
    policy.max_generations = 2;
    policy.drain_timeout = forever;
    policy.timeout_stop = GENERATE(Duration{3s}, forever);
    Story story{policy};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{2});
    story.pass(1h); // worker 1 drains for as long as it likes
    REQUIRE(story.worker(WorkerId{1}) != nullptr);
    story.tell(RestartWished{});
    REQUIRE(story.said(Happening::RolloutWaits));
    auto const patience = policy.timeout_stop == forever ? Duration{30s} : policy.timeout_stop;
    story.pass(patience - 1s);
    CHECK_FALSE(story.has(Kill{WorkerId{1}}));
    story.pass(1s);
    CHECK(story.has(Kill{WorkerId{1}}));
}
