// SPDX-License-Identifier: Apache-2.0
// Another number of workers, without a restart.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

Story resized(std::uint16_t from, std::uint16_t to, Policy policy = {}) {
    policy.workers = from;
    Story story{policy};
    story.tell(StartWished{});
    for (std::uint32_t id = 1; id <= from; ++id)
        story.comes_up(WorkerId{id});
    story.new_chapter();
    story.policy.workers = to;
    story.tell(PolicyChanged{});
    return story;
}

} // namespace

TEST_CASE("more workers are started at once, and it is said when all are ready", "[lifecycle]") {
    auto story = resized(1, 3);
    CHECK(story.said(Happening::Resizing));
    REQUIRE(story.all<Spawn>() == std::vector<Spawn>{{WorkerId{2}, GenerationId{1}, Slot{1}, SpecId{}},
                                                     {WorkerId{3}, GenerationId{1}, Slot{2}, SpecId{}}});
    story.comes_up(WorkerId{2});
    CHECK_FALSE(story.said(Happening::Resized));
    SECTION("they come up") {
        story.comes_up(WorkerId{3});
        CHECK(story.reports(Happening::Resized).size() == 1);
    }
    SECTION("one does not: it is tried again") {
        story.tell(SpawnFailed{WorkerId{3}});
        CHECK(story.reports(Happening::ResizeFailed).front().cause == Cause::SpawnFailed);
        CHECK(story.backs_off());
    }
    SECTION("a stop comes first") {
        story.tell(StopWished{});
        for (std::uint32_t id = 1; id <= 3; ++id)
            story.exits(WorkerId{id});
        CHECK(story.said(Happening::Stopped));
        CHECK_FALSE(story.said(Happening::Resized));
    }
}

TEST_CASE("fewer workers: the highest slots drain, and it is said when they are gone", "[lifecycle]") {
    auto story = resized(4, 2, {.drain_timeout = 7s});
    CHECK(story.all<Drain>() == std::vector<Drain>{{WorkerId{4}}, {WorkerId{3}}});
    CHECK_FALSE(story.said(Happening::Resized));
    story.pass(7s);
    CHECK(story.has(Kill{WorkerId{3}}));
    story.exits(WorkerId{3}, ExitKind::UncleanSignal);
    story.exits(WorkerId{4});
    CHECK(story.reports(Happening::Resized).size() == 1);
    CHECK(story.spawned.empty());
    CHECK(story.timers.empty());
}

TEST_CASE("a slot that backs off and is taken away is forgotten", "[lifecycle]") {
    auto story = resized(2, 2);
    story.exits(WorkerId{2}, ExitKind::CoreDump);
    story.exits(story.spawned.back(), ExitKind::CoreDump);
    REQUIRE(story.backs_off());
    story.policy.workers = 1;
    story.tell(PolicyChanged{});
    CHECK_FALSE(story.backs_off());
    CHECK(story.said(Happening::Resized));
}

TEST_CASE("what is too many stays until those that are to stay are ready", "[lifecycle]") {
    // The only ready worker of a pool was in a slot that a resize took away.
    Story story{{.workers = 2}};
    story.tell(StartWished{});
    story.comes_up(WorkerId{2});
    story.policy.workers = 1;
    story.tell(PolicyChanged{});
    CHECK_FALSE(story.told_to_go(WorkerId{2}));
    story.comes_up(WorkerId{1});
    CHECK(story.told_to_go(WorkerId{2}));
}

TEST_CASE("a slot that is taken away and given back is filled beside the worker that drains", "[lifecycle]") {
    auto story = resized(2, 1);
    story.policy.workers = 2;
    story.tell(PolicyChanged{});
    REQUIRE(story.spawned.size() == 1);
    story.comes_up(story.spawned.back());
    CHECK(story.reports(Happening::Resized).size() == 1);
    story.exits(WorkerId{2});
    CHECK(story.spawned.size() == 1);
}

TEST_CASE("a pool of the same size is not resized", "[lifecycle]") {
    auto const story = resized(2, 2);
    CHECK(story.all_orders.empty());
}

TEST_CASE("a resize during a rollout holds for both generations", "[lifecycle]") {
    auto story = resized(2, 2);
    story.tell(RestartWished{});
    story.policy.workers = 3;
    story.tell(PolicyChanged{});
    CHECK(story.spawned.size() == 4);
    for (std::uint32_t id = 3; id <= 5; ++id)
        story.comes_up(WorkerId{id});
    CHECK_FALSE(story.said(Happening::TookOver));
    story.comes_up(WorkerId{6});
    CHECK(story.said(Happening::TookOver));
    CHECK(story.said(Happening::Resized));
}
