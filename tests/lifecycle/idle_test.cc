// SPDX-License-Identifier: Apache-2.0
// Lazy units that end when nobody is there, and those that traffic starts too often.
#include "catch.h"
#include "lifecycle/story.h"

#include <algorithm>

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

constexpr Policy lazy{.type = ServiceType::Notify, .activation = Activation::Lazy, .idle_stop = 60s};

Story serving(Policy const& policy = lazy) {
    Story story{policy};
    story.tell(StartWished{});
    story.tell(TrafficArrived{});
    for (auto const worker : std::vector{story.spawned})
        story.comes_up(worker);
    return story;
}

bool watches(Story const& story) {
    return story.has(WatchIdle{}) && !story.has(UnwatchIdle{});
}

} // namespace

TEST_CASE("a lazy unit that nobody was at for idle_stop ends, and traffic starts it again", "[lifecycle]") {
    auto story = serving();
    CHECK(watches(story));
    story.tell(IdleBegan{});
    story.pass(59s);
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    story.pass(1s);
    CHECK(story.told_to_go(WorkerId{1}));
    CHECK(story.said(Happening::IdleStopped));
    CHECK(story.watching);
    CHECK(story.phase() == UnitPhase::Listening);
    story.exits(WorkerId{1});
    CHECK(story.timers.empty());
    CHECK(story.watching);
    story.tell(TrafficArrived{});
    CHECK(story.spawned.size() == 2);
}

TEST_CASE("the listeners are watched before a worker is told to go", "[lifecycle]") {
    auto story = serving();
    story.tell(IdleBegan{});
    story.pass(60s);
    auto const place = [&](auto const& which) {
        return std::ranges::find_if(story.orders, which) - story.orders.begin();
    };
    CHECK(place([](Order const& it) { return std::holds_alternative<Watch>(it); }) <
          place([](Order const& it) { return std::holds_alternative<Drain>(it); }));
    CHECK(place([](Order const& it) { return std::holds_alternative<UnwatchIdle>(it); }) <
          place([](Order const& it) { return std::holds_alternative<Watch>(it); }));
}

TEST_CASE("who comes while the worker drains is served by another at once", "[lifecycle]") {
    auto story = serving();
    story.tell(IdleBegan{});
    story.pass(60s);
    story.tell(TrafficArrived{});
    REQUIRE(story.spawned.size() == 2);
    story.comes_up(WorkerId{2});
    CHECK(story.phase() == UnitPhase::Active);
    story.exits(WorkerId{1});
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("who comes in time makes it count anew", "[lifecycle]") {
    auto story = serving();
    story.tell(IdleBegan{});
    story.pass(50s);
    story.tell(IdleEnded{});
    story.pass(60s);
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    story.tell(IdleBegan{});
    story.pass(60s);
    CHECK(story.told_to_go(WorkerId{1}));
}

TEST_CASE("a rollout makes it count anew, when it is over", "[lifecycle]") {
    auto story = serving();
    story.tell(IdleBegan{});
    story.pass(50s);
    story.tell(RestartWished{});
    CHECK(story.has(UnwatchIdle{}));
    story.comes_up(WorkerId{2});
    story.exits(WorkerId{1});
    story.pass(100s);
    CHECK_FALSE(story.told_to_go(WorkerId{2}));
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("without idle_stop, and where it is not lazy, nobody looks who is there", "[lifecycle]") {
    auto policy = lazy;
    policy.idle_stop = 0s;
    CHECK_FALSE(watches(serving(policy)));
    policy.idle_stop = 60s;
    policy.activation = Activation::Eager;
    CHECK_FALSE(watches(served(policy)));
}

TEST_CASE("starts by traffic have a limit, which recovers by itself", "[lifecycle]") {
    auto policy = lazy;
    policy.start_limit_burst = 0;
    policy.trigger_limit_burst = 2;
    policy.trigger_limit_interval = 10s;
    policy.restart = RestartWhen::No;
    policy.restart_delay = 0s;
    policy.restart_max_delay = 0s;
    auto story = serving(policy);
    story.pass(1s);
    story.exits(WorkerId{1});
    story.tell(TrafficArrived{});
    story.comes_up(WorkerId{2});
    story.exits(WorkerId{2});
    story.tell(TrafficArrived{});
    CHECK(story.spawned.size() == 2);
    CHECK(story.said(Happening::TriggerLimitHit));
    CHECK_FALSE(story.watching);
    CHECK(story.phase() == UnitPhase::BackingOff);
    story.pass(9s); // the first counts no more
    CHECK(story.watching);
    story.tell(TrafficArrived{});
    CHECK(story.spawned.size() == 3);
}

TEST_CASE("a start that is wished clears the limit of those by traffic", "[lifecycle]") {
    auto policy = lazy;
    policy.trigger_limit_burst = 1;
    policy.trigger_limit_interval = 100s;
    policy.restart = RestartWhen::No;
    policy.restart_delay = 0s;
    policy.restart_max_delay = 0s;
    auto story = serving(policy);
    story.exits(WorkerId{1});
    story.tell(TrafficArrived{});
    CHECK(story.said(Happening::TriggerLimitHit));
    story.tell(StartWished{});
    CHECK(story.watching);
    story.tell(TrafficArrived{});
    CHECK(story.spawned.size() == 2);
}

// The bug: a worker that was started for who waited in a shard ended the watch, but not the count: once it
// was gone, the unit was stopped though nobody had said since that nobody was there.
TEST_CASE("while a shard is lent a unit is not idle, and counts anew after that", "[lifecycle]") {
    auto policy = lazy;
    policy.type = ServiceType::Simple;
    policy.workers = 2;
    policy.is_sharded = true;
    Story story{policy};
    story.tell(StartWished{});
    story.tell(TrafficArrived{});
    story.tell(Forked{WorkerId{1}});
    story.tell(Forked{WorkerId{2}});
    story.exits(WorkerId{2}); // its shard may hold somebody
    story.tell(IdleBegan{});
    story.pass(250ms);
    REQUIRE(story.said(Happening::ShardLent));
    story.tell(SpawnFailed{WorkerId{3}});
    story.tell(ShardAtRest{{1, Bank::Green}});
    story.pass(120s);
    CHECK_FALSE(story.said(Happening::IdleStopped));
    story.tell(IdleBegan{});
    story.pass(60s);
    CHECK(story.said(Happening::IdleStopped));
}
