// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

/// An exec service with a settle time, its first generation ready.
Story serving_story() {
    Policy policy;
    policy.type = ServiceType::Exec;
    policy.settle_time = 250ms;
    Story story{policy};
    story.tell(StartWished{});
    story.comes_up(story.spawned.back());
    return story;
}

} // namespace

TEST_CASE("a first generation does not settle: there is nothing to protect", "[lifecycle]") {
    auto const story = serving_story();
    CHECK(story.reports(Happening::Started).size() == 1);
}

TEST_CASE("an exec release takes over only after it has run for the settle time", "[lifecycle]") {
    auto story = serving_story();
    story.new_chapter();
    story.tell(RestartWished{});
    story.comes_up(story.spawned.back());
    CHECK(story.reports(Happening::TookOver).empty());
    story.pass(249ms);
    CHECK(story.all<Drain>().empty());
    story.pass(1ms);
    CHECK(story.reports(Happening::TookOver).size() == 1);
    CHECK(story.all<Drain>().size() == 1);
}

TEST_CASE("an exec release that ends within the settle time fails, and the old generation serves on",
          "[lifecycle]") {
    auto story = serving_story();
    auto const old = story.spawned.back();
    story.new_chapter();
    story.tell(RestartWished{});
    auto const fresh = story.spawned.back();
    story.tell(Forked{fresh});
    story.tell(Executed{fresh});
    story.pass(100ms);
    story.exits(fresh, ExitKind::Clean);
    auto const failed = story.reports(Happening::RolloutFailed);
    REQUIRE(failed.size() == 1);
    CHECK(failed.front().cause == Cause::ExitedBeforeReady);
    story.pass(10s);
    CHECK(story.all<Drain>().empty());
    REQUIRE(story.state.workers.size() == 1);
    CHECK(story.state.workers.front().id == old);
    CHECK(story.state.workers.front().phase == WorkerPhase::Ready);
}

TEST_CASE("a second sign of life does not begin the settle time anew", "[lifecycle]") {
    auto story = serving_story();
    story.new_chapter();
    story.tell(RestartWished{});
    auto const fresh = story.spawned.back();
    story.tell(Forked{fresh});
    story.tell(Executed{fresh});
    story.pass(200ms);
    story.tell(Executed{fresh});
    story.pass(50ms);
    CHECK(story.reports(Happening::TookOver).size() == 1);
}

TEST_CASE("an exec release that never becomes a program fails at timeout_start, and the old one serves on",
          "[lifecycle]") {
    auto story = serving_story();
    story.policy.timeout_start = 10s;
    story.new_chapter();
    story.tell(RestartWished{});
    auto const fresh = story.spawned.back();
    story.tell(Forked{fresh});
    story.pass(10s);
    CHECK(story.reports(Happening::TookOver).empty());
    REQUIRE(story.reports(Happening::RolloutFailed).size() == 1);
    CHECK(story.reports(Happening::RolloutFailed).front().cause == Cause::StartDeadline);
    CHECK(story.all<Drain>() == std::vector{Drain{fresh}});
}

TEST_CASE("the settle time begins with the sign, and may end after timeout_start", "[lifecycle]") {
    auto story = serving_story();
    story.policy.timeout_start = 10s;
    story.new_chapter();
    story.tell(RestartWished{});
    auto const fresh = story.spawned.back();
    story.tell(Forked{fresh});
    story.pass(9900ms);
    story.tell(Executed{fresh});
    story.pass(249ms);
    CHECK(story.reports(Happening::TookOver).empty());
    CHECK(story.reports(Happening::RolloutFailed).empty());
    story.pass(1ms);
    CHECK(story.reports(Happening::TookOver).size() == 1);
}

TEST_CASE("a worker that settles cannot ask for more time", "[lifecycle]") {
    auto story = serving_story();
    story.new_chapter();
    story.tell(RestartWished{});
    auto const fresh = story.spawned.back();
    story.tell(Forked{fresh});
    story.tell(Executed{fresh});
    story.tell(TimeExtended{fresh, 1h});
    story.pass(250ms);
    CHECK(story.reports(Happening::TookOver).size() == 1);
}
