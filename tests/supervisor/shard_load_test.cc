// SPDX-License-Identifier: Apache-2.0
// Whether clients of a shard are accepted, seen on real sockets; and that nothing wakes us when nobody comes.
#include "harness.h"
#include "supervisor/socket_custody.h"

#include <map>

#include <sys/socket.h>

using namespace holdfast;
using namespace holdfast::test;
using namespace std::chrono_literals;

namespace {

constexpr Shard green(std::uint16_t slot) {
    return {slot, Bank::Green};
}

/// A unit of two workers, whose shards are looked at.
struct Looked : OneUnit {
    Looked()
        : spec{unit_of("web", tcp_socket("a", 0) + "reuse_port = true\n" + service(runs, "workers = 2\n") +
                                  "[steering]\nmode = \"least_loaded\"\n")} {
        hung_up = [](int) {};
        load.watch({{green(0), green(0)}, {green(1), green(1)}}, [this](Shard shard, bool is_stuck) {
            ++told;
            stuck[shard] = is_stuck;
        });
    }
    [[nodiscard]] Listener const& listener(Shard shard) {
        return ShardCustody::listener(sockets.shards()->groups().front(), shard);
    }
    UniqueFd come_to(Shard shard) {
        sockets.shards()->steer({{shard, whole}});
        auto client = connect_to(listener(shard).port);
        REQUIRE(client.is_open());
        return client;
    }
    bool serve_one(Shard shard) {
        return UniqueFd{::accept4(listener(shard).fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open();
    }
    std::vector<ShardGroup> const& groups() {
        REQUIRE(sockets.hold(spec, {}));
        return sockets.shards()->groups();
    }
    /// How often the loop is woken in that time.
    int wakings(Duration time) {
        int count = 0;
        for (auto const end = MonotonicTime::now() + time; MonotonicTime::now() < end;)
            count += loop->run_once(end - MonotonicTime::now()) ? 1 : 0;
        return count;
    }

    UnitSpecPtr spec;
    SocketCustody sockets{shared, 1, spec};
    ShardLoad load{shared, 1, groups()};
    std::map<Shard, bool> stuck;
    int told = 0;
};

} // namespace

TEST_CASE("a shard whose client nobody accepts is stuck, and moves when somebody does", "[supervisor]") {
    Looked unit;
    auto const client = unit.come_to(green(1));
    auto const another = unit.come_to(green(1));
    REQUIRE(unit.until([&] { return unit.stuck[green(1)]; }));
    CHECK_FALSE(unit.stuck[green(0)]);
    REQUIRE(unit.serve_one(green(1)));
    unit.wakings(600ms);
    CHECK(unit.stuck[green(1)]); // the other one waits still
    REQUIRE(unit.serve_one(green(1)));
    REQUIRE(unit.until([&] { return !unit.stuck[green(1)]; }));
}

TEST_CASE("when nobody comes it falls asleep, and is not woken until somebody does", "[supervisor]") {
    Looked unit;
    REQUIRE(unit.until([&] { return unit.load.is_asleep(); }));
    auto const told = unit.told;
    CHECK(unit.wakings(400ms) == 0);
    CHECK(unit.told == told);
    CHECK(unit.shared.sampled_units == 0);
    auto const client = unit.come_to(green(0));
    REQUIRE(unit.until([&] { return !unit.load.is_asleep(); }));
    CHECK(unit.shared.sampled_units == 1);
    REQUIRE(unit.until([&] { return unit.stuck[green(0)]; }));
    REQUIRE(unit.serve_one(green(0)));
    REQUIRE(unit.until([&] { return unit.load.is_asleep(); }));
}

TEST_CASE("as long as somebody is stuck it looks on, but less and less often", "[supervisor]") {
    Looked unit;
    auto const client = unit.come_to(green(0));
    REQUIRE(unit.until([&] { return unit.stuck[green(0)]; }));
    unit.wakings(2s);
    CHECK_FALSE(unit.load.is_asleep());
    CHECK(unit.wakings(1s) <= 6);
}

TEST_CASE("who moves to another shard is judged by that one's queue", "[supervisor]") {
    // It went on looking at the queue where the worker had been a guest.
    Looked unit;
    auto const client = unit.come_to(green(1));
    REQUIRE(unit.until([&] { return unit.stuck[green(1)]; }));
    unit.load.follow([](Shard) { return green(0); });
    REQUIRE(unit.until([&] { return !unit.stuck[green(1)]; }));
    unit.load.follow([](Shard shard) { return shard; });
    REQUIRE(unit.until([&] { return unit.stuck[green(1)]; }));
}

TEST_CASE("of another group nothing is known yet", "[supervisor]") {
    // What was known of the group before counted for the one that took its place.
    Looked unit;
    auto const client = unit.come_to(green(0));
    REQUIRE(unit.until([&] { return unit.stuck[green(0)]; }));
    unit.load.start_anew();
    unit.stuck.clear();
    unit.loop->run_once(100ms); // the first look: one alone tells nothing of who waits
    CHECK_FALSE(unit.stuck.contains(green(0)));
    REQUIRE(unit.until([&] { return unit.stuck[green(0)]; }));
}

TEST_CASE("what sleeps forgets listeners that are closed, and knows new ones", "[supervisor]") {
    Looked unit;
    REQUIRE(unit.until([&] { return unit.load.is_asleep(); }));
    unit.sockets.change_shards([&] { unit.sockets.shards()->hold(unit.spec, 3); });
    unit.load.watch({{green(0), green(0)}, {green(2), green(2)}},
                    [&](Shard shard, bool is_stuck) { unit.stuck[shard] = is_stuck; });
    REQUIRE(unit.until([&] { return unit.load.is_asleep(); }));
    auto const client = unit.come_to(green(2));
    REQUIRE(unit.until([&] { return unit.stuck[green(2)]; }));
}
