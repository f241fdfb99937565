// SPDX-License-Identifier: Apache-2.0
// What a successor makes of single workers. That nothing else is otherwise after a death is tests/sim's.
#include "catch.h"
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

TEST_CASE("after a state that was lost, what is left of a pool serves, and the rest of it comes back",
          "[lifecycle]") {
    Policy const policy{.spec = SpecId{1}, .workers = 3, .type = ServiceType::Notify};
    Unit unit{policy, rebuilt({{WorkerId{4}, GenerationId{2}, Slot{0}, bank_of(2)}}, {}, policy, now)};
    std::vector<TimerKey> armed;
    for (auto const& timer : those<Arm>(unit.resume({{WorkerId{4}, false}}).orders))
        armed.push_back(timer.timer);
    REQUIRE(armed.size() == 2);
    std::vector<Slot> spawned;
    for (auto const key : armed)
        for (auto const& order : those<Spawn>(unit.take(TimerExpired{key})))
            spawned.push_back(order.slot);
    CHECK(spawned == std::vector{Slot{1}, Slot{2}});
}

TEST_CASE("after a state that was lost, nobody is forgotten in a shard that no slot has any more",
          "[lifecycle]") {
    Policy const policy{.spec = SpecId{1}, .type = ServiceType::Notify, .is_sharded = true};
    auto const bank = bank_of(1);
    std::vector<Shard> const left{{0, bank}};
    std::vector<Shard> const lost{{1, bank}, {2, bank}};
    auto const shares = share_equally(std::vector<Shard>{{0, bank}, {1, bank}, {2, bank}});
    Unit unit{policy, rebuilt({{WorkerId{1}, GenerationId{1}, Slot{0}, bank}}, shares, policy, now)};
    auto const resumed = unit.resume({{WorkerId{1}, false}});
    auto const held = those<HoldShards>(resumed.orders);
    REQUIRE(held.size() == 1);
    CHECK(held.front().slots == 3);
    CHECK(those<Steer>(resumed.orders).front().shares == share_equally(left));
    CHECK(those<WatchRest>(resumed.orders).front().shards == lost);
    auto const lent = those<Spawn>(unit.take(TimerExpired{those<Arm>(resumed.orders).front().timer}));
    REQUIRE(lent.size() == 2);
    for (auto const& one : lent) {
        (void)unit.take(Forked{one.worker});
        (void)unit.take(Exited{one.worker, ExitKind::Clean});
    }
    (void)unit.take(ShardAtRest{{1, bank}});
    auto const last = unit.take(ShardAtRest{{2, bank}});
    REQUIRE(those<HoldShards>(last).size() == 1);
    CHECK(those<HoldShards>(last).front().slots == 1);
}
