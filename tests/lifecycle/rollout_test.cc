// SPDX-License-Identifier: Apache-2.0
// A restart replaces one generation by the next and never costs the old one (P2).
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

constexpr WorkerId old_one{1};
constexpr WorkerId new_one{2};

/// One ready worker of spec 1; spec 2 is wanted, and a restart is wished.
Story restarted(Policy policy = {}, std::optional<Strategy> strategy = {}) {
    policy.spec = SpecId{1};
    policy.type = ServiceType::Notify;
    Story story{policy};
    story.tell(StartWished{});
    story.comes_up(old_one);
    story.new_chapter();
    story.policy.spec = SpecId{2};
    story.tell(RestartWished{strategy});
    return story;
}

} // namespace

TEST_CASE("overlap starts the new generation beside the old one, which drains when the new one is ready",
          "[lifecycle]") {
    auto story = restarted({.drain_timeout = 60s});
    REQUIRE(story.all<Spawn>() == std::vector<Spawn>{{new_one, GenerationId{2}, Slot{0}, SpecId{2}}});
    CHECK(story.reports(Happening::RolloutBegan).front().generation == GenerationId{2});
    CHECK(story.phase() == UnitPhase::Rolling);
    story.tell(Forked{new_one});
    story.tell(Executed{new_one});
    CHECK_FALSE(story.told_to_go(old_one));

    story.tell(ReadySaid{new_one});
    CHECK(story.said(Happening::TookOver));
    CHECK(story.told_to_go(old_one));
    CHECK_FALSE(story.said(Happening::RolloutDone));

    story.exits(old_one);
    CHECK(story.reports(Happening::RolloutDone).size() == 1);
    CHECK(story.phase() == UnitPhase::Active);
    CHECK(story.timers.empty());
    CHECK(story.state.generations.size() == 1);
}

TEST_CASE("with a pool the old generation waits for the last of the new one", "[lifecycle]") {
    Story story{{.workers = 3}};
    story.tell(StartWished{});
    for (std::uint32_t id = 1; id <= 3; ++id)
        story.comes_up(WorkerId{id});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{4});
    story.comes_up(WorkerId{6});
    CHECK(story.all<Drain>().empty());
    story.comes_up(WorkerId{5});
    CHECK(story.all<Drain>() == std::vector<Drain>{{WorkerId{1}}, {WorkerId{2}}, {WorkerId{3}}});
}

TEST_CASE("the new pool may have another size", "[lifecycle]") {
    auto story = restarted();
    story.comes_up(new_one);
    story.exits(old_one);
    story.policy.workers = 3;
    story.new_chapter();
    story.tell(RestartWished{});
    CHECK(story.spawned.size() == 3);
}

TEST_CASE("a drain ends by the deadline of the spec that the worker was started with", "[lifecycle]") {
    auto story = restarted({.drain_timeout = 60s});
    story.policy.drain_timeout = 1s;
    story.comes_up(new_one);
    story.pass(60s - 1us);
    CHECK_FALSE(story.has(Kill{old_one}));
    story.pass(1us);
    CHECK(story.has(Kill{old_one}));
    CHECK(story.said(Happening::DrainDeadlinePassed));
    story.exits(old_one, ExitKind::UncleanSignal);
    CHECK(story.said(Happening::RolloutDone));
}

TEST_CASE("a new release that does not come up never costs the old one", "[lifecycle]") {
    auto story = restarted({.timeout_start = 10s});
    auto cause = Cause::None;
    SECTION("it cannot be executed") {
        story.tell(SpawnFailed{new_one});
        cause = Cause::SpawnFailed;
    }
    SECTION("it exits before it is ready") {
        story.tell(Forked{new_one});
        story.exits(new_one, ExitKind::UncleanCode);
        cause = Cause::ExitedBeforeReady;
    }
    SECTION("it never says that it is ready") {
        story.tell(Forked{new_one});
        story.pass(10s);
        CHECK(story.told_to_go(new_one));
        CHECK(story.reports(Happening::RolloutFailed).size() == 1); // at the deadline, not when it is gone
        story.exits(new_one);
        cause = Cause::StartDeadline;
    }
    auto const failed = story.reports(Happening::RolloutFailed);
    REQUIRE(failed.size() == 1);
    CHECK(failed.front().cause == cause);
    CHECK(failed.front().generation == GenerationId{2});
    CHECK_FALSE(story.told_to_go(old_one));
    CHECK(story.phase() == UnitPhase::Active);
    CHECK(story.state.generations.size() == 1);
    story.new_chapter();
    story.pass(1h); // it is not tried again
    CHECK(story.all_orders.empty());
}

TEST_CASE("one bad worker of a new pool fails the rollout, and the others of it drain", "[lifecycle]") {
    Story story{{.workers = 2}};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.comes_up(WorkerId{2});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{3});
    SECTION("because it does not start") {
        story.tell(SpawnFailed{WorkerId{4}});
        CHECK(story.reports(Happening::RolloutFailed).front().cause == Cause::SpawnFailed);
        CHECK(story.all<Drain>() == std::vector<Drain>{{WorkerId{3}}});
    }
    SECTION("because one that was ready went before the others were") {
        story.tell(Forked{WorkerId{4}});
        story.exits(WorkerId{3});
        CHECK(story.reports(Happening::RolloutFailed).front().cause == Cause::ExitedSoon);
        CHECK(story.all<Drain>() == std::vector<Drain>{{WorkerId{4}}});
    }
    CHECK(story.worker(WorkerId{1})->phase == WorkerPhase::Ready);
    CHECK(story.worker(WorkerId{2})->phase == WorkerPhase::Ready);
}

TEST_CASE("when all of the old one died meanwhile, what is ready of a failing new one stays", "[lifecycle]") {
    Story story{{.workers = 2, .restart_delay = 10s}};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.comes_up(WorkerId{2});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{3});
    story.exits(WorkerId{1}, ExitKind::CoreDump);
    story.exits(WorkerId{2}, ExitKind::CoreDump);
    story.new_chapter();
    story.tell(SpawnFailed{WorkerId{4}});
    CHECK(story.said(Happening::RolloutFailed));
    CHECK_FALSE(story.told_to_go(WorkerId{3}));
    CHECK(story.phase() == UnitPhase::Active);
    story.pass(10s);
    CHECK(story.all<Spawn>().back().generation == GenerationId{2}); // it is the one that fills its slots now
}

TEST_CASE("a crash of the old one during a rollout is refilled from its own spec", "[lifecycle]") {
    auto story = restarted();
    story.new_chapter();
    story.exits(old_one, ExitKind::CoreDump);
    REQUIRE(story.all<Spawn>().size() == 1);
    CHECK(story.all<Spawn>().front().spec == SpecId{1});
    CHECK_FALSE(story.said(Happening::RolloutFailed));
}

TEST_CASE("an old one that ends for good during a rollout leaves its place to the new one", "[lifecycle]") {
    auto story = restarted({.restart = RestartWhen::No});
    story.exits(old_one);
    CHECK_FALSE(story.said(Happening::Finished));
    story.comes_up(new_one);
    CHECK(story.said(Happening::TookOver));
    CHECK(story.said(Happening::RolloutDone));
}

TEST_CASE("a restart of a unit whose workers all crash starts afresh by the wanted spec", "[lifecycle]") {
    Story story{{.spec = SpecId{1}}};
    story.tell(StartWished{});
    story.tell(SpawnFailed{WorkerId{1}});
    story.new_chapter();
    story.policy.spec = SpecId{2};
    story.tell(RestartWished{});
    CHECK(story.all<Spawn>().front().spec == SpecId{2});
    CHECK_FALSE(story.backs_off());
    SECTION("and is done when that is ready") {
        story.comes_up(WorkerId{2});
        CHECK(story.said(Happening::RolloutDone));
        CHECK_FALSE(story.said(Happening::Started)); // the start was answered before
    }
    SECTION("and has failed when that fails too") {
        story.tell(SpawnFailed{WorkerId{2}});
        CHECK(story.reports(Happening::RolloutFailed).size() == 1);
        CHECK(story.phase() == UnitPhase::BackingOff);
    }
}

TEST_CASE("a restart while the first worker still starts drains that one and answers the start too",
          "[lifecycle]") {
    Story story;
    story.tell(StartWished{});
    story.tell(Forked{WorkerId{1}});
    story.tell(RestartWished{});
    CHECK(story.told_to_go(WorkerId{1}));
    story.comes_up(WorkerId{2});
    CHECK(story.reports(Happening::Started).size() == 1);
    CHECK(story.said(Happening::TookOver));
    CHECK_FALSE(story.said(Happening::RolloutDone));
    story.exits(WorkerId{1});
    CHECK(story.said(Happening::RolloutDone));
}

TEST_CASE("a restart of a unit that is down starts it", "[lifecycle]") {
    Story story;
    story.tell(RestartWished{});
    CHECK(story.reports(Happening::RolloutBegan).size() == 1);
    CHECK(story.phase() == UnitPhase::Starting);
    story.comes_up(WorkerId{1});
    CHECK(story.reports(Happening::RolloutDone).size() == 1);
    CHECK(story.phase() == UnitPhase::Active);
}
