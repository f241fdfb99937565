// SPDX-License-Identifier: Apache-2.0
// Restarts that follow each other.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

constexpr WorkerId first{1};
constexpr WorkerId second{2};
constexpr WorkerId third{3};

Story serving(Policy const& policy = {}) {
    Story story{policy};
    story.tell(StartWished{});
    story.comes_up(first);
    story.new_chapter();
    return story;
}

std::vector<GenerationId> generations_of(std::vector<Report> const& reports) {
    std::vector<GenerationId> ids;
    for (auto const& report : reports)
        ids.push_back(report.generation);
    return ids;
}

} // namespace

TEST_CASE("a restart during a rollout supersedes it", "[lifecycle]") {
    auto story = serving();
    story.tell(RestartWished{});
    story.tell(Forked{second});
    story.tell(RestartWished{});
    CHECK(generations_of(story.reports(Happening::RolloutSuperseded)) == std::vector{GenerationId{2}});
    CHECK(story.told_to_go(second));
    CHECK_FALSE(story.told_to_go(first));
    REQUIRE(story.spawned == std::vector{second, third});

    story.comes_up(third);
    CHECK(story.told_to_go(first));
    story.exits(first);
    CHECK(generations_of(story.reports(Happening::RolloutDone)) == std::vector{GenerationId{3}});
    story.exits(second);
    CHECK(story.reports(Happening::RolloutDone).size() == 1);
    CHECK_FALSE(story.said(Happening::RolloutFailed));
}

TEST_CASE("a rollout that has taken over goes on to its own end when the next one begins", "[lifecycle]") {
    auto story = serving();
    story.tell(RestartWished{});
    story.comes_up(second);
    story.tell(RestartWished{});
    CHECK_FALSE(story.said(Happening::RolloutSuperseded));
    story.comes_up(third);
    CHECK(story.told_to_go(second));
    story.exits(first);
    CHECK(generations_of(story.reports(Happening::RolloutDone)) == std::vector{GenerationId{2}});
    story.exits(second);
    CHECK(generations_of(story.reports(Happening::RolloutDone)) ==
          std::vector{GenerationId{2}, GenerationId{3}});
}

TEST_CASE("rollouts that drain may end in any order", "[lifecycle]") {
    auto story = serving();
    story.tell(RestartWished{});
    story.comes_up(second);
    story.tell(RestartWished{});
    story.comes_up(third);
    story.exits(second);
    story.exits(first);
    CHECK(generations_of(story.reports(Happening::RolloutDone)) ==
          std::vector{GenerationId{3}, GenerationId{2}});
}

TEST_CASE("a rollout waits while too many generations are alive", "[lifecycle]") {
    auto story = serving({.max_generations = 2});
    story.tell(RestartWished{});
    story.comes_up(second);
    story.new_chapter();
    story.tell(RestartWished{});
    CHECK(generations_of(story.reports(Happening::RolloutWaits)) == std::vector{GenerationId{3}});
    CHECK_FALSE(story.said(Happening::RolloutBegan));
    CHECK(story.spawned.empty());
    CHECK(story.phase() == UnitPhase::Rolling);

    SECTION("and begins when one is gone") {
        story.exits(first);
        CHECK(story.said(Happening::RolloutBegan));
        REQUIRE(story.spawned == std::vector{third});
    }
    SECTION("and a newer restart takes its place") {
        story.tell(RestartWished{});
        CHECK(generations_of(story.reports(Happening::RolloutSuperseded)) == std::vector{GenerationId{3}});
        story.exits(first);
        CHECK(generations_of(story.reports(Happening::RolloutBegan)) == std::vector{GenerationId{4}});
        REQUIRE(story.spawned.size() == 1);
    }
    SECTION("and a stop ends it before it began") {
        story.tell(StopWished{});
        // the one that waits and the one that drains
        CHECK(generations_of(story.reports(Happening::RolloutStopped)) ==
              std::vector{GenerationId{2}, GenerationId{3}});
        story.exits(first);
        CHECK(story.spawned.empty());
    }
}

TEST_CASE("a cap of one generation still lets two overlap", "[lifecycle]") {
    auto story = serving({.max_generations = 1});
    story.tell(RestartWished{});
    CHECK(story.said(Happening::RolloutBegan));
}

TEST_CASE("a restart during a replace inherits what it waits for", "[lifecycle]") {
    auto story = serving({.strategy = Strategy::Replace});
    story.tell(RestartWished{});
    story.tell(RestartWished{});
    CHECK(generations_of(story.reports(Happening::RolloutSuperseded)) == std::vector{GenerationId{2}});
    CHECK(story.spawned.empty());
    CHECK(story.all<Drain>().size() == 1);
    story.exits(first);
    REQUIRE(story.spawned.size() == 1);
    story.comes_up(story.spawned.front());
    CHECK(generations_of(story.reports(Happening::RolloutDone)) == std::vector{GenerationId{3}});
}

TEST_CASE("one restart may replace where the unit's own strategy overlaps, and the other way round",
          "[lifecycle]") {
    auto story = serving();
    story.tell(RestartWished{Strategy::Replace});
    CHECK(story.told_to_go(first));
    CHECK(story.spawned.empty());
    story.tell(RestartWished{Strategy::Overlap}); // nothing serves: it need not wait
    CHECK(story.spawned == std::vector{second});
}
