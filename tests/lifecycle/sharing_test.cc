// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "lifecycle/story.h"

#include <algorithm>

namespace holdfast::lifecycle {

namespace {

using namespace std::chrono_literals;

Policy sharded(std::uint16_t workers, Strategy strategy = Strategy::Overlap) {
    Policy policy;
    policy.type = ServiceType::Notify;
    policy.workers = workers;
    policy.strategy = strategy;
    policy.is_sharded = true;
    return policy;
}

Shares equally(std::vector<Shard> const& shards) {
    std::vector<Shard> sorted = shards;
    std::sort(sorted.begin(), sorted.end());
    return share_equally(sorted);
}

} // namespace

TEST_CASE("the ready workers of a sharded unit share equally, in the bank of their generation",
          "[lifecycle]") {
    auto const story = served(sharded(2));
    CHECK(story.state.shares == equally({{0, Bank::Green}, {1, Bank::Green}}));
}

TEST_CASE(
    "a new generation is in the other bank and takes all over in one step, before the old is told to go",
    "[lifecycle]") {
    auto story = served(sharded(2));
    story.tell(RestartWished{});
    story.comes_up(WorkerId{3});
    CHECK(story.all<Steer>().empty());
    story.comes_up(WorkerId{4});
    CHECK(story.all<Steer>() == std::vector{Steer{equally({{0, Bank::Blue}, {1, Bank::Blue}})}});
    CHECK(std::holds_alternative<Steer>(story.orders.front()));
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    story.tell(ShardAtRest{{0, Bank::Green}});
    CHECK(story.told_to_go(WorkerId{1}));
}

TEST_CASE("a worker that dies gets nothing while another serves, and its share again when it is back",
          "[lifecycle]") {
    auto story = served(sharded(2));
    story.exits(WorkerId{2}, ExitKind::UncleanSignal);
    CHECK(story.state.shares == equally({{0, Bank::Green}}));
    story.comes_up(WorkerId{3});
    CHECK(story.state.shares == equally({{0, Bank::Green}, {1, Bank::Green}}));
}

TEST_CASE("while nobody serves clients wait where the next generation will look", "[lifecycle]") {
    auto story = served(sharded(1));
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    CHECK(story.all<Steer>().empty());
    story.comes_up(WorkerId{2});
    story.tell(StopWished{});
    story.exits(WorkerId{2});
    story.tell(StartWished{});
    story.comes_up(story.spawned.back());
    CHECK(bank_of(static_cast<std::uint32_t>(story.state.last_generation)) == Bank::Green);
    CHECK(story.all<Steer>().empty());
}

TEST_CASE("with replace the new generation is in the bank in which clients wait", "[lifecycle]") {
    auto story = served(sharded(1, Strategy::Replace));
    story.tell(RestartWished{});
    story.exits(WorkerId{1});
    story.comes_up(WorkerId{2});
    CHECK(bank_of(static_cast<std::uint32_t>(story.state.last_generation)) == Bank::Green);
    CHECK(story.all<Steer>().empty());
}

TEST_CASE("slot by slot, each worker takes its share when it is ready", "[lifecycle]") {
    auto story = served(sharded(2, Strategy::Rolling));
    story.tell(RestartWished{});
    auto const first = story.spawned.back();
    auto const slot = static_cast<std::uint16_t>(story.worker(first)->slot);
    auto const rest = static_cast<std::uint16_t>(1 - slot);
    story.comes_up(first);
    CHECK(story.state.shares == equally({{slot, Bank::Blue}, {rest, Bank::Green}}));
}

TEST_CASE("a unit without shards is never steered, and its generations are counted one by one",
          "[lifecycle]") {
    auto policy = sharded(1, Strategy::Replace);
    policy.is_sharded = false;
    auto story = served(policy);
    story.tell(RestartWished{});
    CHECK(story.state.last_generation == GenerationId{2});
    CHECK(story.state.shares.empty());
}

} // namespace holdfast::lifecycle
