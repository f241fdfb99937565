// SPDX-License-Identifier: Apache-2.0
// Slot by slot: a rolling rollout and the way back from one.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

/// A pool that serves, spec 1; spec 2 is wanted and a rolling restart is wished.
Story rolling(Policy policy) {
    policy.spec = SpecId{1};
    policy.type = ServiceType::Notify;
    policy.strategy = Strategy::Rolling;
    Story story{policy};
    story.tell(StartWished{});
    for (std::uint32_t id = 1; id <= policy.workers; ++id)
        story.comes_up(WorkerId{id});
    story.new_chapter();
    story.policy.spec = SpecId{2};
    story.tell(RestartWished{});
    return story;
}

std::vector<WorkerId> told(Story const& story) {
    std::vector<WorkerId> ids;
    for (auto const& drain : story.all<Drain>())
        ids.push_back(drain.worker);
    return ids;
}

} // namespace

TEST_CASE(
    "rolling starts one new worker at a time, and an old one goes when the new one of its slot is ready",
    "[lifecycle]") {
    auto story = rolling({.workers = 3});
    REQUIRE(story.all<Spawn>() == std::vector<Spawn>{{WorkerId{4}, GenerationId{2}, Slot{0}, SpecId{2}}});
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        CHECK(story.spawned.size() == slot + 1);
        CHECK(told(story).size() == slot);
        CHECK_FALSE(story.said(Happening::TookOver));
        story.comes_up(WorkerId{4 + slot});
        CHECK(told(story).back() == WorkerId{1 + slot});
    }
    CHECK(story.said(Happening::TookOver));
    CHECK_FALSE(story.said(Happening::RolloutDone));
    for (std::uint32_t id = 1; id <= 3; ++id)
        story.exits(WorkerId{id});
    CHECK(story.reports(Happening::RolloutDone).size() == 1);
    CHECK(story.spawned.size() == 3); // what was ceded is not filled again
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("max_surge is how many new ones start at once", "[lifecycle]") {
    auto const story = rolling({.workers = 4, .max_surge = 3});
    CHECK(story.spawned.size() == 3);
    CHECK(told(story).empty());
}

TEST_CASE("with max_unavailable an old one goes before the new one is ready", "[lifecycle]") {
    auto story = rolling({.workers = 4, .max_surge = 0, .max_unavailable = 2});
    CHECK(story.spawned.size() == 2);
    CHECK(told(story) == std::vector{WorkerId{1}, WorkerId{2}});
    story.comes_up(WorkerId{5});
    CHECK(told(story) == std::vector{WorkerId{1}, WorkerId{2}, WorkerId{3}});
    CHECK(story.spawned.size() == 3);
}

TEST_CASE("the last ready worker stays whatever max_unavailable says", "[lifecycle]") {
    auto story = rolling({.workers = 1, .max_surge = 0, .max_unavailable = 1});
    CHECK(told(story).empty());
    REQUIRE(story.spawned.size() == 1);
    story.comes_up(WorkerId{2});
    CHECK(told(story) == std::vector{WorkerId{1}});
}

TEST_CASE("a slot in which nothing is ready comes first", "[lifecycle]") {
    Story story{{.spec = SpecId{1}, .workers = 3, .strategy = Strategy::Rolling}};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.comes_up(WorkerId{2});
    story.tell(SpawnFailed{WorkerId{3}}); // it backs off
    story.new_chapter();
    story.tell(RestartWished{});
    CHECK(story.all<Spawn>().front().slot == Slot{2});
    CHECK_FALSE(story.backs_off()); // its next try is the new one's
    CHECK(story.all<Spawn>().size() == 2);
}

TEST_CASE("a new worker that fails brings the ceded slots back from the old spec, and only then do the new "
          "ones go",
          "[lifecycle]") {
    auto story = rolling({.workers = 3});
    story.comes_up(WorkerId{4});
    story.new_chapter();
    story.tell(SpawnFailed{WorkerId{5}});
    CHECK(story.reports(Happening::RollingBack).front().cause == Cause::SpawnFailed);
    CHECK_FALSE(story.said(Happening::RolloutFailed));
    REQUIRE(story.all<Spawn>() == std::vector<Spawn>{{WorkerId{6}, GenerationId{1}, Slot{0}, SpecId{1}}});
    CHECK(told(story).empty());
    SECTION("it comes up") {
        story.comes_up(WorkerId{6});
        CHECK(told(story) == std::vector{WorkerId{4}});
        CHECK(story.said(Happening::RolledBack));
        auto const failed = story.reports(Happening::RolloutFailed);
        REQUIRE(failed.size() == 1);
        CHECK(failed.front().generation == GenerationId{2});
        CHECK(failed.front().worker == WorkerId{5});
    }
    SECTION("it does not: that is reported, and the new one stays until it is replaced after all") {
        story.tell(SpawnFailed{WorkerId{6}});
        CHECK(story.reports(Happening::RolloutFailed).size() == 1);
        CHECK_FALSE(story.said(Happening::RolledBack));
        CHECK(told(story).empty());
        story.pass(100ms);
        story.comes_up(story.spawned.back());
        CHECK(told(story) == std::vector{WorkerId{4}});
    }
    story.exits(WorkerId{4});
    story.exits(WorkerId{1});
    CHECK(story.phase() == UnitPhase::Active);
    CHECK(story.state.generations.size() == 1);
}

TEST_CASE("an old worker that crashes while its slot is not taken over yet is replaced from the old spec",
          "[lifecycle]") {
    auto story = rolling({.workers = 1});
    story.exits(WorkerId{1}, ExitKind::CoreDump);
    CHECK(story.all<Spawn>().back().spec == SpecId{1});
}

TEST_CASE("a restart in the middle goes on from where the first one is", "[lifecycle]") {
    auto story = rolling({.workers = 2});
    story.comes_up(WorkerId{3}); // slot 0 is the second generation's
    story.policy.spec = SpecId{3};
    story.new_chapter();
    story.tell(RestartWished{});
    CHECK(story.said(Happening::RolloutSuperseded));
    SECTION("in slots that the older ones have, one after the other") {
        REQUIRE(story.spawned.size() == 1);
        story.comes_up(story.spawned.back());
        CHECK(story.told_to_go(WorkerId{2})); // first the slot in which the second one was not ready yet
        REQUIRE(story.spawned.size() == 2);
        story.comes_up(story.spawned.back());
        CHECK(story.told_to_go(WorkerId{3}));
        CHECK(story.reports(Happening::TookOver).front().generation == GenerationId{3});
        CHECK(story.all<Spawn>().back().spec == SpecId{3});
    }
    SECTION("and fails back to the oldest") {
        story.tell(SpawnFailed{story.spawned.back()});
        CHECK(story.all<Spawn>().back().spec == SpecId{1});
        story.comes_up(story.spawned.back());
        CHECK(story.said(Happening::RolledBack));
        CHECK(story.told_to_go(WorkerId{3}));
        CHECK_FALSE(story.told_to_go(WorkerId{2}));
    }
}

TEST_CASE("a superseded half of a rollout goes back where no further generation may be alive",
          "[lifecycle]") {
    auto story = rolling({.workers = 2, .max_generations = 2});
    story.comes_up(WorkerId{3});
    story.exits(WorkerId{1});
    story.new_chapter();
    story.tell(RestartWished{});
    CHECK(story.said(Happening::RolloutWaits));
    CHECK(story.all<Spawn>().front().generation == GenerationId{1});
    story.comes_up(story.spawned.back());
    CHECK(story.told_to_go(WorkerId{3}));
    story.exits(WorkerId{3});
    story.exits(WorkerId{4});
    CHECK(story.said(Happening::RolloutBegan));
}

TEST_CASE("a stop in the middle tells everybody", "[lifecycle]") {
    auto story = rolling({.workers = 2});
    story.comes_up(WorkerId{3});
    story.tell(Forked{WorkerId{4}});
    story.tell(StopWished{});
    CHECK(story.said(Happening::RolloutStopped));
    CHECK(told(story).size() == 4);
}
