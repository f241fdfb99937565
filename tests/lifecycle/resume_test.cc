// SPDX-License-Identifier: Apache-2.0
// What a successor makes of single workers. That nothing else is otherwise after a death is tests/sim's.
#include "catch.h"
#include "lifecycle/levels.h"
#include "lifecycle/resume.h"
#include "lifecycle/sharing.h"
#include "lifecycle/step.h"

#include <algorithm>

using namespace holdfast;
using namespace holdfast::lifecycle;

namespace {

constexpr MonotonicTime now{std::chrono::hours{1}};

struct Unit {
    Policy policy{.spec = SpecId{1}, .type = ServiceType::Notify};
    UnitState state;
    Orders take(Fact const& fact) { return step(state, policy, fact, now); }
    Resumed resume(std::vector<FoundWorker> const& found) const { return lifecycle::resume(state, found); }
};

template <class T>
std::vector<T> those(auto const& all) {
    std::vector<T> some;
    for (auto const& one : all)
        if (auto const* const it = std::get_if<T>(&one))
            some.push_back(*it);
    return some;
}

} // namespace

TEST_CASE("a worker whose process was not made yet is made, the same one", "[lifecycle]") {
    Unit unit;
    auto const first = those<Spawn>(unit.take(StartWished{}));
    CHECK(those<Spawn>(unit.resume({}).orders) == first);
    auto const resumed = unit.resume({{WorkerId{1}, false}});
    CHECK(those<Spawn>(resumed.orders).empty());
    CHECK(resumed.facts == std::vector<Fact>{Forked{WorkerId{1}}});
}

TEST_CASE("a worker that is gone has ended uncleanly, as far as anybody can know", "[lifecycle]") {
    Unit unit;
    (void)unit.take(StartWished{});
    (void)unit.take(Forked{WorkerId{1}});
    (void)unit.take(ReadySaid{WorkerId{1}});
    auto const resumed = unit.resume({});
    CHECK(resumed.facts == std::vector<Fact>{Exited{WorkerId{1}, ExitKind::UncleanCode}});
    CHECK(those<Spawn>(resumed.orders).empty());
}

TEST_CASE("one that was never made and is to go need not be made", "[lifecycle]") {
    Unit unit;
    (void)unit.take(StartWished{});
    (void)unit.take(StopWished{});
    auto const resumed = unit.resume({});
    CHECK(resumed.facts == std::vector<Fact>{Exited{WorkerId{1}, ExitKind::Clean}});
    CHECK(those<Spawn>(resumed.orders).empty());
}

TEST_CASE("who was to be told to go is told once", "[lifecycle]") {
    Unit unit;
    (void)unit.take(StartWished{});
    (void)unit.take(Forked{WorkerId{1}});
    (void)unit.take(ReadySaid{WorkerId{1}});
    REQUIRE(those<Drain>(unit.take(StopWished{})).size() == 1);
    CHECK(those<Drain>(unit.resume({{WorkerId{1}, false}}).orders).size() == 1);
    CHECK(those<Drain>(unit.resume({{WorkerId{1}, true}}).orders).empty());
    CHECK(those<Arm>(unit.resume({{WorkerId{1}, true}}).orders).size() == 1);
}

TEST_CASE("strangers are left alone", "[lifecycle]") {
    Unit unit;
    auto const resumed = unit.resume({{WorkerId{7}, false}});
    CHECK(resumed.orders.empty());
    CHECK(resumed.facts.empty());
}

namespace {

constexpr GenerationId first{1};
constexpr GenerationId second{2};
constexpr Bank own = bank_of(1);
constexpr Bank next = bank_of(2);

Policy pool_of(std::uint16_t workers, bool is_sharded = false) {
    return {.spec = SpecId{1}, .workers = workers, .type = ServiceType::Notify, .is_sharded = is_sharded};
}

std::vector<FoundWorker> all_of(UnitState const& state) {
    std::vector<FoundWorker> found;
    for (auto const& worker : state.workers)
        found.push_back({worker.id});
    return found;
}

std::vector<WorkerId> ready_in(UnitState const& state) {
    std::vector<WorkerId> ready;
    for (auto const& worker : state.workers)
        if (worker.phase == WorkerPhase::Ready)
            ready.push_back(worker.id);
    return ready;
}

} // namespace

TEST_CASE("after a state that was lost, what is left of a pool serves, and the rest of it comes back",
          "[lifecycle]") {
    Unit unit{pool_of(3), rebuilt({{WorkerId{4}, second, SpecId{1}, Slot{0}, next}}, {}, pool_of(3), now)};
    std::vector<Slot> spawned;
    for (auto const& armed : those<Arm>(unit.resume(all_of(unit.state)).orders))
        for (auto const& order : those<Spawn>(unit.take(TimerExpired{armed.timer})))
            spawned.push_back(order.slot);
    CHECK(spawned == std::vector{Slot{1}, Slot{2}});

    auto never_again = pool_of(3);
    never_again.restart = RestartWhen::No;
    CHECK(rebuilt({{WorkerId{4}, second, SpecId{1}, Slot{0}, next}}, {}, never_again, now).refills.empty());
}

TEST_CASE("after a state that was lost, whoever was told to go goes, and a stop stays a stop",
          "[lifecycle]") {
    std::vector<LeftWorker> left{{WorkerId{1}, first, SpecId{1}, Slot{0}, own},
                                 {WorkerId{2}, first, SpecId{1}, Slot{1}, own}};
    for (auto& worker : left)
        worker.is_told = true;
    auto const stopped = rebuilt(left, {}, pool_of(4), now);
    CHECK(stopped.goal == Goal::Down);
    CHECK(stopped.refills.empty());

    left[1].is_told = false;
    Unit unit{pool_of(2), rebuilt(left, {}, pool_of(2), now)};
    CHECK(ready_in(unit.state) == std::vector{WorkerId{2}});
    CHECK(those<Drain>(unit.resume({{WorkerId{1}, true}, {WorkerId{2}}}).orders).empty());
    CHECK(unit.state.refills.size() == 1);
}

TEST_CASE("after a state that was lost, the oldest generation serves that is whole", "[lifecycle]") {
    std::vector<LeftWorker> left{{WorkerId{1}, first, SpecId{1}, Slot{0}, own},
                                 {WorkerId{2}, first, SpecId{1}, Slot{1}, own},
                                 {WorkerId{3}, second, SpecId{2}, Slot{0}, next}};
    Unit unit{pool_of(2), rebuilt(left, {}, pool_of(2), now)};
    CHECK(ready_in(unit.state) == std::vector{WorkerId{1}, WorkerId{2}});
    CHECK(those<Drain>(unit.resume(all_of(unit.state)).orders) == std::vector{Drain{WorkerId{3}}});
    CHECK(unit.state.generations.back().policy.spec == SpecId{2});

    left.push_back({WorkerId{4}, second, SpecId{2}, Slot{1}, next}); // it may be coming up, or on probation
    CHECK(ready_in(rebuilt(left, {}, pool_of(2), now)) == std::vector{WorkerId{1}, WorkerId{2}});
    left[0].is_told = true; // it has taken over
    CHECK(ready_in(rebuilt(left, {}, pool_of(2), now)) == std::vector{WorkerId{3}, WorkerId{4}});
    left[2].has_ended = true;
    left[3].has_ended = true;
    CHECK(ready_in(rebuilt(left, {}, pool_of(2), now)) == std::vector{WorkerId{2}});
    left[1].has_ended = true; // whoever it was, it is to come again
    CHECK(rebuilt(left, {}, pool_of(2), now).goal == Goal::Up);
    left.back().is_dead = true;
    CHECK(rebuilt({left.back()}, {}, pool_of(2), now).goal == Goal::Down);
}

TEST_CASE("after a state that was lost, the generation serves that has the shares", "[lifecycle]") {
    auto const policy = pool_of(1, true);
    std::vector<LeftWorker> const left{{WorkerId{1}, first, SpecId{1}, Slot{0}, own},
                                       {WorkerId{2}, second, SpecId{2}, Slot{0}, next}};
    auto const serving = [&](Bank bank) {
        LeftShards const shards{share_equally(std::vector<Shard>{{0, bank}}), 1};
        return ready_in(rebuilt(left, shards, policy, now));
    };
    CHECK(serving(own) == std::vector{WorkerId{1}});
    CHECK(serving(next) == std::vector{WorkerId{2}});
}

TEST_CASE("after a state that was lost, who was lent to a shard is none of the pool", "[lifecycle]") {
    auto const policy = pool_of(2, true);
    LeftShards const shards{share_equally(std::vector<Shard>{{0, next}, {1, next}}), 2};
    Unit unit{policy, rebuilt({{WorkerId{3}, second, SpecId{1}, Slot{0}, next},
                               {WorkerId{4}, second, SpecId{1}, Slot{1}, next},
                               {WorkerId{5}, second, SpecId{1}, Slot{1}, own}},
                              shards, policy, now)};
    CHECK(ready_in(unit.state) == std::vector{WorkerId{3}, WorkerId{4}});
    auto const resumed = unit.resume(all_of(unit.state));
    CHECK(those<Drain>(resumed.orders).empty()); // somebody may wait for it
    CHECK(those<WatchRest>(resumed.orders).front().shards == std::vector<Shard>{{0, own}, {1, own}});
    CHECK(those<Drain>(unit.take(ShardAtRest{{1, own}})) == std::vector{Drain{WorkerId{5}}});
}

TEST_CASE("after a state that was lost, nobody is forgotten in a shard that no slot has any more",
          "[lifecycle]") {
    auto const policy = pool_of(1, true);
    LeftShards const shards{share_equally(std::vector<Shard>{{0, own}, {1, own}, {2, own}}), 3};
    Unit unit{policy, rebuilt({{WorkerId{1}, first, SpecId{1}, Slot{0}, own}}, shards, policy, now)};
    auto const resumed = unit.resume(all_of(unit.state));
    auto const held = those<HoldShards>(resumed.orders);
    REQUIRE(held.size() == 1);
    CHECK(held.front().slots == 3);
    CHECK(those<Steer>(resumed.orders).front().shares == share_equally(std::vector<Shard>{{0, own}}));
    CHECK(those<WatchRest>(resumed.orders).front().shards.size() == 5);
    for (auto const shard : {Shard{0, next}, Shard{1, next}, Shard{2, next}, Shard{2, own}})
        CHECK(those<Spawn>(unit.take(ShardAtRest{shard})).empty());
    auto const lent =
        those<Spawn>(step(unit.state, policy, TimerExpired{timer_of(RestlessShard{.shard = {1, own}})},
                          now + std::chrono::seconds{1}));
    REQUIRE(lent.size() == 1);
    CHECK(shard_of(lent.front()) == Shard{1, own});
    (void)unit.take(Forked{lent.front().worker});
    (void)unit.take(Exited{lent.front().worker, ExitKind::Clean});
    auto const last = unit.take(ShardAtRest{{1, own}});
    REQUIRE(those<HoldShards>(last).size() == 1);
    CHECK(those<HoldShards>(last).front().slots == 1);
}
