// SPDX-License-Identifier: Apache-2.0
// After "ready": the new generation is on probation, the old one is parked and comes back when it fails.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

/// Generation 1 (workers 1 and 2) is parked, generation 2 (workers 3 and 4) has just taken over for 5 s.
Story on_probation(Policy policy = {}) {
    policy.spec = SpecId{1};
    policy.workers = 2;
    policy.type = ServiceType::Notify;
    policy.probation = 5s;
    Story story{policy};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.comes_up(WorkerId{2});
    story.policy.spec = SpecId{2};
    story.new_chapter();
    story.tell(RestartWished{});
    for (std::uint32_t id = 3; id <= 4; ++id)
        story.comes_up(WorkerId{id});
    return story;
}

Report failure_of(Story const& story) {
    auto const failed = story.reports(Happening::RolloutFailed);
    return failed.size() == 1 ? failed.front() : Report{};
}

} // namespace

TEST_CASE("on probation the old generation is parked, and drains when the time is over", "[lifecycle]") {
    auto story = on_probation();
    REQUIRE(story.said(Happening::TookOver));
    CHECK(story.reports(Happening::TookOver).front().until == story.now + 5s);
    CHECK(story.all<Drain>().empty());
    CHECK(story.phase() == UnitPhase::Rolling);
    story.pass(4s);
    CHECK(story.all<Drain>().empty());
    story.pass(1s);
    CHECK(story.all<Drain>() == std::vector<Drain>{{WorkerId{1}}, {WorkerId{2}}});
    CHECK_FALSE(story.said(Happening::RolloutDone));
    story.exits(WorkerId{1});
    story.exits(WorkerId{2});
    CHECK(story.said(Happening::RolloutDone));
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("a crash on probation brings the old generation back in the same step", "[lifecycle]") {
    auto story = on_probation();
    story.pass(2s);
    story.exits(WorkerId{3}, ExitKind::CoreDump);
    CHECK(story.said(Happening::RolledBack));
    CHECK(failure_of(story).generation == GenerationId{2});
    CHECK(failure_of(story).cause == Cause::ExitedSoon);
    CHECK(story.told_to_go(WorkerId{4}));
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    CHECK_FALSE(story.told_to_go(WorkerId{2}));
    CHECK(story.spawned.size() == 2); // none but those of the new one
    story.exits(WorkerId{4});
    CHECK(story.phase() == UnitPhase::Active);
    CHECK(story.timers.empty());
}

TEST_CASE("what undoes a rollout on probation says why", "[lifecycle]") {
    auto story = on_probation({.is_probed = GENERATE(false, true)});
    story.tell(ProbePassed{WorkerId{1}});
    if (story.policy.is_probed)
        return;
    SECTION("the operator") {
        story.tell(UndoWished{});
        CHECK(failure_of(story).cause == Cause::Undone);
        CHECK(story.told_to_go(WorkerId{3}));
    }
    SECTION("a worker that hangs") {
        story.tell(WatchdogMissed{WorkerId{3}});
        CHECK(failure_of(story).cause == Cause::Watchdog);
    }
    SECTION("a worker that goes by itself") {
        story.tell(StoppingSaid{WorkerId{3}});
        CHECK(failure_of(story).cause == Cause::ExitedSoon);
    }
    CHECK(story.told_to_go(WorkerId{4}));
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
}

TEST_CASE("a parked worker that dies is not replaced until it is needed again", "[lifecycle]") {
    auto story = on_probation();
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    CHECK(story.spawned.size() == 2);
    SECTION("one is left") {
        story.exits(WorkerId{3}, ExitKind::UncleanCode);
        CHECK(story.all<Spawn>().back() == Spawn{WorkerId{5}, GenerationId{1}, Slot{0}, SpecId{1}});
        CHECK_FALSE(story.said(Happening::RolledBack));
        CHECK_FALSE(story.told_to_go(WorkerId{4})); // two are to be ready
        story.comes_up(WorkerId{5});
        CHECK(story.said(Happening::RolledBack));
        CHECK(story.told_to_go(WorkerId{4}));
    }
    SECTION("none is left: it is started again, and what is ready of the new one stays until then") {
        story.exits(WorkerId{2}, ExitKind::UncleanSignal);
        story.tell(UndoWished{});
        CHECK(story.spawned.size() == 4);
        CHECK(story.all<Drain>().empty());
        story.comes_up(WorkerId{5});
        story.comes_up(WorkerId{6});
        CHECK(story.said(Happening::RolledBack));
        CHECK(story.all<Drain>() == std::vector<Drain>{{WorkerId{4}}, {WorkerId{3}}});
    }
}

TEST_CASE("a rolling rollout is on probation too, and goes back to the old spec", "[lifecycle]") {
    auto story = on_probation({.strategy = Strategy::Rolling});
    CHECK(story.said(Happening::TookOver));
    CHECK(story.told_to_go(WorkerId{1}));
    story.exits(WorkerId{1});
    story.exits(WorkerId{2});
    CHECK_FALSE(story.said(Happening::RolloutDone));
    SECTION("it fails") {
        story.new_chapter();
        story.exits(WorkerId{3}, ExitKind::CoreDump);
        REQUIRE(story.spawned.size() == 2);
        CHECK(story.all<Spawn>().front().spec == SpecId{1});
        CHECK(story.all<Drain>().empty());
    }
    SECTION("it proves itself") {
        story.pass(5s);
        CHECK(story.said(Happening::RolloutDone));
    }
}

TEST_CASE("a stop ends a probation", "[lifecycle]") {
    auto story = on_probation();
    story.tell(StopWished{});
    CHECK(story.said(Happening::RolloutStopped));
    CHECK(story.all<Drain>().size() == 4);
    CHECK(story.timers.size() == 4);
}

TEST_CASE("a restart takes what is on probation for good", "[lifecycle]") {
    auto story = on_probation();
    story.policy.spec = SpecId{3};
    story.tell(RestartWished{});
    CHECK(story.reports(Happening::RolloutSuperseded).front().generation == GenerationId{2});
    CHECK(story.all<Drain>() == std::vector<Drain>{{WorkerId{1}}, {WorkerId{2}}});
    story.tell(SpawnFailed{story.spawned.back()});
    CHECK(story.told_to_go(WorkerId{1}));
    CHECK_FALSE(story.told_to_go(WorkerId{3})); // the newest failed back to it
}

TEST_CASE("an undo ends a rollout that is coming, and means nothing where none is", "[lifecycle]") {
    Story story{{.type = ServiceType::Notify}};
    story.tell(UndoWished{});
    CHECK(story.orders.empty());
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.tell(UndoWished{});
    CHECK(story.orders.empty());
    story.tell(RestartWished{});
    story.tell(Forked{WorkerId{2}});
    story.tell(UndoWished{});
    CHECK(failure_of(story).cause == Cause::Undone);
    CHECK(story.told_to_go(WorkerId{2}));
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
}
