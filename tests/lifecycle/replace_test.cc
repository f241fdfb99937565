// SPDX-License-Identifier: Apache-2.0
// replace: the old generation goes before the new one comes, and comes back when that one fails.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

constexpr WorkerId old_one{1};
constexpr WorkerId new_one{2};
constexpr WorkerId again{3}; ///< the old spec, once more

/// One worker serves from spec 1, and is to be replaced by spec 2.
Story replaced(Policy policy = {}) {
    policy.spec = SpecId{1};
    policy.strategy = Strategy::Replace;
    auto story = served(policy);
    story.policy.spec = SpecId{2};
    story.tell(RestartWished{});
    return story;
}

std::vector<SpecId> specs(Story const& story) {
    std::vector<SpecId> found;
    for (auto const& spawn : story.all<Spawn>())
        found.push_back(spawn.spec);
    return found;
}

} // namespace

TEST_CASE("replace lets the old one go first, then starts the new one", "[lifecycle]") {
    auto story = replaced({.drain_timeout = 5s});
    CHECK(story.told_to_go(old_one));
    CHECK(story.spawned.empty());
    CHECK(story.said(Happening::RolloutBegan));
    SECTION("when it goes") {
        story.exits(old_one);
    }
    SECTION("when it had to be killed") {
        story.pass(5s);
        CHECK(story.has(Kill{old_one}));
        CHECK(story.spawned.empty());
        story.exits(old_one, ExitKind::UncleanSignal);
    }
    REQUIRE(story.spawned == std::vector{new_one});
    CHECK_FALSE(story.said(Happening::RolloutDone));
    story.comes_up(new_one);
    CHECK(story.said(Happening::TookOver));
    CHECK(story.reports(Happening::RolloutDone).size() == 1);
}

TEST_CASE("the old spec comes back when the new one does not come up", "[lifecycle]") {
    auto story = replaced({.type = ServiceType::Notify, .timeout_start = 9s, .timeout_stop = 3s});
    story.exits(old_one);
    SECTION("because it cannot be forked") {
        story.tell(SpawnFailed{new_one});
    }
    SECTION("because it crashes") {
        story.tell(Forked{new_one});
        story.exits(new_one, ExitKind::CoreDump);
    }
    SECTION("because it hangs; then it goes first") {
        story.tell(Forked{new_one});
        story.pass(9s);
        CHECK(story.said(Happening::RollingBack));
        CHECK(story.told_to_go(new_one));
        CHECK(specs(story) == std::vector{SpecId{2}});
        story.pass(3s);
        CHECK(story.has(Kill{new_one}));
        story.exits(new_one, ExitKind::UncleanSignal);
    }
    SECTION("because the operator says so; then it goes first") {
        story.tell(Forked{new_one});
        story.tell(UndoWished{});
        CHECK(specs(story) == std::vector{SpecId{2}});
        story.exits(new_one);
    }
    CHECK(specs(story) == std::vector{SpecId{2}, SpecId{1}});
    CHECK_FALSE(story.said(Happening::RolloutFailed));
    story.comes_up(again);
    CHECK(story.said(Happening::RolledBack));
    CHECK(story.reports(Happening::RolloutFailed).size() == 1);
    CHECK(story.phase() == UnitPhase::Active);
    story.pass(1h);
    CHECK(specs(story).size() == 2);
}

TEST_CASE("the old spec comes back when the new one fails on probation", "[lifecycle]") {
    auto story = replaced({.probation = 5s});
    story.exits(old_one);
    story.comes_up(new_one);
    CHECK(story.reports(Happening::TookOver).front().until == story.now + 5s);
    SECTION("in time") {
        story.pass(4s);
        story.exits(new_one, ExitKind::UncleanSignal);
        story.comes_up(again);
        CHECK(specs(story) == std::vector{SpecId{2}, SpecId{1}});
        CHECK(story.said(Happening::RolledBack));
        CHECK(story.said(Happening::RolloutFailed));
    }
    SECTION("but not when that is over") {
        story.pass(5s);
        CHECK(story.said(Happening::Proved));
        CHECK(story.said(Happening::RolloutDone));
        story.exits(new_one, ExitKind::UncleanSignal);
        CHECK(specs(story) == std::vector{SpecId{2}, SpecId{2}});
    }
}

TEST_CASE("while the old one drains a replace can be undone: it goes, and comes back", "[lifecycle]") {
    auto story = replaced();
    story.tell(UndoWished{});
    CHECK(story.said(Happening::RollingBack));
    CHECK(story.spawned.empty());
    story.tell(StartWished{}); // changes nothing: it is on its way
    CHECK(story.spawned.empty());
    story.exits(old_one);
    CHECK(specs(story) == std::vector{SpecId{1}});
    story.comes_up(WorkerId{2});
    CHECK(story.said(Happening::RolloutFailed));
    CHECK(story.said(Happening::Started));
}

TEST_CASE("a replace that supersedes one that has not proved itself goes back to the same one",
          "[lifecycle]") {
    auto story = replaced();
    SECTION("which still drains") {
        story.policy.spec = SpecId{3};
        story.tell(RestartWished{});
        story.exits(old_one);
    }
    SECTION("which is gone") {
        story.exits(old_one);
        story.tell(Forked{new_one});
        story.policy.spec = SpecId{3};
        story.tell(RestartWished{});
        story.exits(new_one);
    }
    CHECK(story.said(Happening::RolloutSuperseded));
    CHECK(specs(story).back() == SpecId{3});
    story.tell(SpawnFailed{story.spawned.back()});
    CHECK(specs(story).back() == SpecId{1});
    story.comes_up(story.spawned.back());
    CHECK(story.said(Happening::RolledBack));
}

TEST_CASE("a replace while the old spec comes back has that to go back to", "[lifecycle]") {
    auto story = replaced();
    story.exits(old_one);
    story.tell(SpawnFailed{new_one});
    REQUIRE(specs(story).back() == SpecId{1}); // it starts
    story.policy.spec = SpecId{3};
    story.tell(RestartWished{});
    story.tell(Forked{again});
    story.exits(again);
    REQUIRE(specs(story).back() == SpecId{3});
    story.tell(SpawnFailed{story.spawned.back()});
    CHECK(specs(story).back() == SpecId{1});
}

TEST_CASE("nobody may drain for ever while a replace waits", "[lifecycle]") {
    auto story = replaced({.timeout_stop = 3s, .drain_timeout = forever});
    story.pass(3s);
    CHECK(story.has(Kill{old_one}));
    story.exits(old_one, ExitKind::UncleanSignal);
    story.tell(Forked{new_one});
    story.tell(UndoWished{});
    story.pass(3s);
    CHECK(story.has(Kill{new_one}));
}

TEST_CASE("a program that only runs has to run for a moment before the old one is given up", "[lifecycle]") {
    auto story = replaced({.type = ServiceType::Exec, .settle_time = 250ms});
    story.exits(old_one);
    story.tell(Forked{new_one});
    story.tell(Executed{new_one});
    CHECK_FALSE(story.said(Happening::TookOver));
    SECTION("it does") {
        story.pass(250ms);
        CHECK(story.said(Happening::RolloutDone));
    }
    SECTION("it crashes at once") {
        story.exits(new_one, ExitKind::UncleanCode);
        CHECK(specs(story).back() == SpecId{1});
    }
}

TEST_CASE("a stop wins over a replace that goes back", "[lifecycle]") {
    auto story = replaced();
    story.exits(old_one);
    story.tell(Forked{new_one});
    story.tell(UndoWished{});
    story.tell(StopWished{});
    CHECK(story.said(Happening::RolloutStopped));
    story.exits(new_one);
    CHECK(story.said(Happening::Stopped));
    CHECK(specs(story).size() == 1);
    CHECK(story.state.generations.empty());
}

TEST_CASE("a replace cannot be paused while nothing serves", "[lifecycle]") {
    auto story = replaced({.probation = 5s});
    story.tell(PauseRolloutWished{});
    story.exits(old_one);
    story.tell(PauseRolloutWished{});
    CHECK_FALSE(story.said(Happening::RolloutPaused));
    story.comes_up(new_one);
    story.tell(PauseRolloutWished{});
    CHECK(story.said(Happening::RolloutPaused));
    story.pass(1h);
    CHECK_FALSE(story.said(Happening::RolloutDone));
}

TEST_CASE("a replace of what never was ready fails, and is tried again by the rules of back-off",
          "[lifecycle]") {
    Story story{{.spec = SpecId{1}, .strategy = Strategy::Replace}};
    story.tell(StartWished{});
    story.tell(Forked{old_one});
    story.policy.spec = SpecId{2};
    story.tell(RestartWished{});
    story.exits(old_one, ExitKind::UncleanCode);
    story.tell(SpawnFailed{new_one});
    CHECK(story.reports(Happening::RolloutFailed).size() == 1);
    CHECK(story.phase() == UnitPhase::BackingOff);
    story.pass(100ms);
    CHECK(specs(story).back() == SpecId{2});
}
