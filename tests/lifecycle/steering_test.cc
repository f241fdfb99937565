// SPDX-License-Identifier: Apache-2.0
// Modes of [steering] in which the core has a say: who does not accept is spared, and who is named by packets
// stays so until he is gone.
#include "base/text.h"
#include "catch.h"
#include "lifecycle/saved.h"
#include "lifecycle/sharing.h"
#include "lifecycle/story.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace {

using namespace std::chrono_literals;

Policy steered(SteeringMode mode, std::uint16_t workers, Strategy strategy = Strategy::Overlap) {
    Policy policy;
    policy.type = ServiceType::Notify;
    policy.workers = workers;
    policy.strategy = strategy;
    policy.is_sharded = true;
    policy.steering = mode;
    return policy;
}

Shard green(std::uint16_t slot) {
    return {slot, Bank::Green};
}
Shard blue(std::uint16_t slot) {
    return {slot, Bank::Blue};
}

bool no_one_is_stuck(UnitState const& state) {
    return std::ranges::none_of(state.workers, &Worker::is_stuck);
}

} // namespace

TEST_CASE("the shards that serve are looked at with least_loaded, and with no other mode", "[lifecycle]") {
    Story story{steered(SteeringMode::LeastLoaded, 2)};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    CHECK(story.all<WatchLoad>().empty()); // nobody else to go to
    story.comes_up(WorkerId{2});
    CHECK(story.all<WatchLoad>() == std::vector{WatchLoad{{green(0), green(1)}}});
    story.exits(WorkerId{2}, ExitKind::UncleanSignal);
    CHECK(story.all<WatchLoad>().back() == WatchLoad{});
    CHECK(judged_shards(served(steered(SteeringMode::Hash, 2)).state).empty());
}

TEST_CASE("a shard that does not move gets nothing new until it moves", "[lifecycle]") {
    auto story = served(steered(SteeringMode::LeastLoaded, 3));
    story.tell(ShardStuck{green(1)});
    CHECK(story.state.shares == share_equally(std::vector{green(0), green(2)}));
    story.tell(ShardStuck{green(1)}); // twice is harmless
    story.tell(ShardMoving{green(1)});
    CHECK(story.state.shares == share_equally(shards_of(Bank::Green, 3)));
    story.tell(ShardMoving{green(1)});
    CHECK(no_one_is_stuck(story.state));
}

TEST_CASE("who waits in a shard that is spared is waited for", "[lifecycle]") {
    auto story = served(steered(SteeringMode::LeastLoaded, 2));
    story.tell(ShardStuck{green(1)});
    CHECK(story.all<WatchRest>().back() == WatchRest{{green(1)}});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{3});
    story.comes_up(WorkerId{4});
    story.tell(ShardAtRest{green(0)});
    CHECK(story.told_to_go(WorkerId{1}));
    CHECK_FALSE(story.told_to_go(WorkerId{2}));
}

TEST_CASE("where none moves, all keep their share", "[lifecycle]") {
    auto story = served(steered(SteeringMode::LeastLoaded, 2));
    story.tell(ShardStuck{green(0)});
    story.tell(ShardStuck{green(1)});
    CHECK(story.state.shares == share_equally(shards_of(Bank::Green, 2)));
    story.tell(ShardMoving{green(0)});
    CHECK(story.state.shares == share_equally(std::vector{green(0)}));
}

TEST_CASE("a worker that is started for one that did not move is judged anew", "[lifecycle]") {
    auto story = served(steered(SteeringMode::LeastLoaded, 2));
    story.tell(ShardStuck{green(1)});
    story.exits(WorkerId{2}, ExitKind::UncleanSignal);
    story.comes_up(WorkerId{3});
    CHECK(no_one_is_stuck(story.state));
    CHECK(story.state.shares == share_equally(shards_of(Bank::Green, 2)));
}

TEST_CASE("a canary keeps its part when one of its shards, or all, do not move", "[lifecycle]") {
    auto policy = steered(SteeringMode::LeastLoaded, 2, Strategy::Canary);
    policy.steps = {50};
    auto story = served(policy);
    story.tell(RestartWished{});
    story.comes_up(WorkerId{3});
    story.comes_up(WorkerId{4});
    auto const canary = [&] {
        std::uint32_t part = 0;
        for (auto const& [shard, weight] : story.state.shares)
            part += shard.bank == Bank::Blue ? weight : 0;
        return part;
    };
    auto const half = canary();
    CHECK(half == whole / 2);
    story.tell(ShardStuck{blue(0)});
    CHECK_FALSE(story.state.shares.contains(blue(0)));
    CHECK(canary() == half);
    story.tell(ShardStuck{blue(1)});
    CHECK(canary() == half);
    story.tell(ShardStuck{green(0)});
    CHECK_FALSE(story.state.shares.contains(green(0)));
    CHECK(canary() == half);
}

TEST_CASE("packets may name each worker that has served, until it is gone", "[lifecycle]") {
    auto story = served(steered(SteeringMode::PayloadByte, 2));
    CHECK(named_shards(story.state) == std::vector{green(0), green(1)});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{3});
    CHECK(named_shards(story.state) == std::vector{blue(0), green(0), green(1)});
    story.comes_up(WorkerId{4});
    story.tell(ShardAtRest{green(0)});
    story.tell(ShardAtRest{green(1)});
    REQUIRE(story.told_to_go(WorkerId{1}));
    CHECK(named_shards(story.state) == std::vector{blue(0), green(0), blue(1), green(1)});
    story.exits(WorkerId{1}, ExitKind::Clean);
    CHECK(story.all<Steer>().back().named == std::vector{blue(0), blue(1), green(1)});
    CHECK(story.state.shares == share_equally(shards_of(Bank::Blue, 2)));
    // What came for it in its last moment may be there still.
    CHECK(story.all<WatchRest>().back() == WatchRest{{green(0)}});
}

// The bug: two restarts within one drain put the newest into the shard of the oldest, with its very number,
// and the flows of each went to the other.
TEST_CASE("nobody is put where one that leaves still reads his flows", "[lifecycle]") {
    auto policy = steered(SteeringMode::PayloadByte, 1);
    policy.drain_timeout = 10min;
    auto story = served(policy);
    story.tell(RestartWished{});
    story.comes_up(WorkerId{2});
    story.tell(ShardAtRest{green(0)});
    REQUIRE(story.told_to_go(WorkerId{1}));
    story.new_chapter();
    story.tell(RestartWished{});
    CHECK(story.said(Happening::RolloutWaits));
    CHECK(story.spawned.empty());
    CHECK(named_shards(story.state) == std::vector{blue(0), green(0)});

    SECTION("until it is gone") {
        story.exits(WorkerId{1});
        CHECK(story.said(Happening::RolloutBegan));
        CHECK(story.spawned == std::vector{WorkerId{3}});
    }
    SECTION("or its time is over") {
        story.pass(10min);
        CHECK(story.has(Kill{WorkerId{1}}));
        CHECK(story.spawned == std::vector{WorkerId{3}});
    }
    SECTION("and the one that serves keeps its own") {
        story.exits(WorkerId{2}, ExitKind::UncleanSignal);
        REQUIRE(story.spawned == std::vector{WorkerId{3}});
        CHECK(shard_of(*story.worker(WorkerId{3})) == blue(0));
    }
}

TEST_CASE("after a pause the new ones come where nobody reads", "[lifecycle]") {
    auto policy = steered(SteeringMode::PayloadByte, 1);
    policy.drain_timeout = 10min;
    policy.timeout_stop = 5s;
    auto story = served(policy);
    story.tell(PauseWished{60s});
    story.tell(ShardAtRest{green(0)});
    story.tell(ResumeWished{});
    REQUIRE(story.spawned == std::vector{WorkerId{2}});
    CHECK(shard_of(*story.worker(WorkerId{2})) == blue(0));
    story.comes_up(WorkerId{2});
    CHECK(story.state.shares == share_equally(std::vector{blue(0)}));
    CHECK(named_shards(story.state) == std::vector{blue(0), green(0)});

    // Where somebody reads everywhere, clients wait no longer for that than for a stop.
    story.tell(PauseWished{60s});
    story.tell(ShardAtRest{blue(0)});
    story.new_chapter();
    story.tell(ResumeWished{});
    CHECK(story.spawned.empty());
    story.pass(5s);
    CHECK(story.spawned == std::vector{WorkerId{3}});
}

TEST_CASE("with other modes nobody is named", "[lifecycle]") {
    auto story = served(steered(SteeringMode::Hash, 2));
    story.tell(RestartWished{});
    story.comes_up(WorkerId{3});
    for (auto const& order : story.all<Steer>())
        CHECK(order.named.empty());
}

TEST_CASE("another mode is taken over by what serves", "[lifecycle]") {
    auto story = served(steered(SteeringMode::LeastLoaded, 2));
    story.tell(ShardStuck{green(1)});
    story.policy.steering = SteeringMode::PayloadByte;
    story.tell(PolicyChanged{});
    CHECK(no_one_is_stuck(story.state));
    CHECK(story.all<WatchLoad>().back() == WatchLoad{});
    CHECK(story.all<Steer>().back() == Steer{share_equally(shards_of(Bank::Green, 2)), {green(0), green(1)}});
}

TEST_CASE("a successor knows the mode, and who was stuck", "[lifecycle]") {
    auto story = served(steered(SteeringMode::LeastLoaded, 2));
    story.tell(ShardStuck{green(1)});
    StateReader reader;
    auto const lines = to_lines(story.state);
    for (auto const line : split(lines, '\n'))
        reader.take(line);
    auto const read = std::move(reader).finish();
    REQUIRE(read);
    CHECK(*read == story.state);
}

} // namespace holdfast::lifecycle
