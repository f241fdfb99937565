// SPDX-License-Identifier: Apache-2.0
// The shards of a unit: bound, handed out, steered, grown, looked at until they are at rest, closed, and
// mended.
#include "harness.h"
#include "socket/inspect.h"
#include "supervisor/socket_custody.h"
#include "support/descriptors.h"

#include <algorithm>
#include <set>

#include <fcntl.h>
#include <sys/socket.h>

using namespace holdfast;
using namespace holdfast::test;
using namespace std::chrono_literals;

namespace {

constexpr Shard green(std::uint16_t slot) {
    return {slot, Bank::Green};
}
constexpr Shard blue(std::uint16_t slot) {
    return {slot, Bank::Blue};
}
Shares all_to(Shard shard) {
    return {{shard, whole}};
}

std::string sharded_socket(std::string const& name) {
    return tcp_socket(name, 0) + "reuse_port = true\n";
}

/// A unit of two workers with a sharded socket, or more, held.
struct Sharded : OneUnit {
    explicit Sharded(std::string const& more = "")
        : spec{unit_of("web", sharded_socket("a") + more + service(runs, "workers = 2\n"))} {
        hung_up = [this](int fd) {
            ++told_of;
            sockets.hear_hangup(fd, {});
        };
        REQUIRE(sockets.hold(spec, {}));
    }
    [[nodiscard]] ShardCustody& shards() { return *sockets.shards(); }
    [[nodiscard]] Listener const& listener(Shard shard) {
        return ShardCustody::listener(*shards().find({"a", spec->sockets.front().listen.front()}), shard);
    }
    [[nodiscard]] std::uint16_t port() { return listener(green(0)).port; }
    /// So many clients, each answered by the shard that it landed in: nobody accepts, so they stay queued.
    std::vector<UniqueFd> clients(int count) {
        std::vector<UniqueFd> connected;
        for (int i = 0; i < count; ++i) {
            connected.push_back(connect_to(port()));
            REQUIRE(connected.back().is_open());
        }
        return connected;
    }
    bool serve_one(Shard shard) {
        return UniqueFd{::accept4(listener(shard).fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open();
    }
    /// The shard, until it is not mended at once any more. Returns how often.
    std::size_t shut_down_until_it_waits(Shard shard) {
        std::size_t times = 0;
        REQUIRE(until([&] {
            if (told("socket-mended").size() == times && times <= mended_at_once + 1) {
                ::shutdown(listener(shard).fd.raw(), SHUT_RDWR);
                ++times;
            }
            return told_of > mended_at_once + 1;
        }));
        return times;
    }
    void watch(std::vector<ShardCustody::Hosted> const& watched) {
        shards().watch_rest(watched, [this](Shard shard) { rested.insert(shard); });
    }
    [[nodiscard]] std::vector<Event> told(std::string const& kind) const {
        std::vector<Event> found;
        for (auto const& event : shared.events.recent())
            if (event.kind == kind)
                found.push_back(event);
        return found;
    }

    UnitSpecPtr spec;
    SocketCustody sockets{shared, 1, spec};
    std::set<Shard> rested;
    int told_of = 0;
};

UniqueFd share(Listener const& listener) {
    return UniqueFd{::fcntl(listener.fd.raw(), F_DUPFD_CLOEXEC, 0)};
}

} // namespace

TEST_CASE("a sharded socket is bound once for each slot in both banks, and each worker is handed its own",
          "[supervisor]") {
    Sharded unit;
    CHECK(unit.shards().slots() == 2);
    std::set<int> handed;
    for (Shard const shard : {green(0), green(1), blue(0), blue(1)}) {
        auto const listeners = unit.sockets.hand_out(*unit.spec, shard);
        REQUIRE(listeners.size() == 1);
        CHECK(listeners.front().port == unit.port());
        handed.insert(listeners.front().listener.fd.raw());
    }
    CHECK(handed.size() == 4);
}

TEST_CASE("clients land where they are steered", "[supervisor]") {
    Sharded unit;
    unit.shards().steer(all_to(blue(1)));
    auto const clients = unit.clients(5);
    CHECK(unit.shards().queued_in(blue(1)) == 5);
    CHECK(unit.shards().queued_in(green(0)) + unit.shards().queued_in(green(1)) == 0);
}

TEST_CASE("a shard is at rest when all who waited in it are served, and not before", "[supervisor]") {
    Sharded unit;
    unit.shards().steer(all_to(green(0)));
    auto const clients = unit.clients(2);
    unit.shards().steer(all_to(blue(0)));
    unit.watch({{green(0), green(0)}, {green(1), green(1)}});
    REQUIRE(unit.until([&] { return unit.rested.contains(green(1)); }));
    CHECK_FALSE(unit.rested.contains(green(0)));
    REQUIRE(unit.serve_one(green(0)));
    REQUIRE(unit.serve_one(green(0)));
    REQUIRE(unit.until([&] { return unit.rested.contains(green(0)); }));
}

TEST_CASE("shards of further slots are bound beside those in use, and those too many are closed",
          "[supervisor]") {
    Sharded unit;
    unit.shards().steer(all_to(green(0)));
    auto const clients = unit.clients(3);
    unit.shards().hold(unit.spec, 4);
    CHECK(unit.shards().slots() == 4);
    unit.shards().steer(all_to(blue(3)));
    auto const more = unit.clients(2);
    CHECK(unit.shards().queued_in(blue(3)) == 2);
    unit.shards().steer(all_to(blue(0)));
    REQUIRE(unit.serve_one(blue(3)));
    REQUIRE(unit.serve_one(blue(3)));
    unit.shards().hold(unit.spec, 1);
    CHECK(unit.shards().slots() == 1);
    CHECK(unit.shards().queued_in(green(0)) == 3);
    CHECK(unit.told("shards-closed").back().weight == Weight::Normal);
    auto const last = unit.clients(2);
    CHECK(unit.shards().queued_in(blue(0)) == 2);
}

TEST_CASE("who is started for a shard that could not be made is a guest in another one, and stays there",
          "[supervisor]") {
    Sharded unit;
    {
        FewerDescriptors const full{0};
        unit.shards().hold(unit.spec, 4);
    }
    REQUIRE(unit.shards().slots() == 2);
    CHECK(unit.shards().place_of(blue(2)) == blue(0));
    auto const guest = unit.shards().place_of(green(3));
    CHECK(guest == green(1));
    unit.shards().steer(all_to(guest));
    REQUIRE(unit.until([&] { return unit.told("shards-held").size() == 1; }));
    CHECK(unit.shards().slots() == 4);
    CHECK(unit.shards().place_of(green(3)) == green(3)); // the next one has its own
    auto const clients = unit.clients(2);
    CHECK(unit.shards().queued_in(green(1)) == 2);
    auto const asked_late = unit.sockets.hand_out(*unit.spec, guest);
    REQUIRE(asked_late.size() == 1);
    CHECK(asked_late.front().listener.fd == FdRef{unit.listener(green(1)).fd});
}

TEST_CASE("that shards are missing is told once, however often and why they cannot be made", "[supervisor]") {
    Sharded unit;
    {
        FewerDescriptors const full{0};
        unit.shards().hold(unit.spec, 4);
        auto const end = MonotonicTime::now() + 4 * first_mending_retry;
        unit.until([&] { return MonotonicTime::now() > end; });
    }
    auto stranger = join_group(unit.port()); // another reason
    unit.shards().hold(unit.spec, 5);
    CHECK(unit.shards().slots() == 2);
    CHECK(unit.told("shards-missing").size() == 1);
    stranger.reset();
    REQUIRE(unit.until([&] { return unit.told("shards-held").size() == 1; }));
    CHECK(unit.shards().slots() == 5);
    CHECK(unit.told("shards-missing").size() == 1);
}

TEST_CASE("a guest is one at each address, until all of them have its shard or those without are given up",
          "[supervisor]") {
    Sharded unit{sharded_socket("b")};
    auto const other = unit.spec->sockets.back().listen.front();
    auto stranger = join_group(unit.shards().find({"b", other})->bound().port);
    unit.shards().hold(unit.spec, 4);
    CHECK(unit.shards().slots() == 4); // at the first one
    CHECK(unit.shards().find({"b", other})->slots() == 2);
    CHECK(unit.shards().place_of(green(3)) == green(1));
    unit.until([&] { return unit.told("shards-held").size() == 1; }, 4 * first_mending_retry);
    CHECK(unit.told("shards-held").empty());
    SECTION("those are given up") {
        auto const less = unit_of("web", sharded_socket("a") + service(runs, "workers = 4\n"));
        unit.sockets.take_over(less, {});
        CHECK(unit.shards().place_of(green(3)) == green(1)); // an old worker may still be in both
        unit.sockets.retire_unlisted(*less, false, 0s, {});
    }
    SECTION("they can be made") {
        stranger.reset();
    }
    REQUIRE(unit.until([&] { return unit.told("shards-held").size() == 1; }));
    CHECK(unit.shards().place_of(green(3)) == green(3));
    CHECK(unit.told("shards-missing").size() == 1);
}

TEST_CASE("shards that come later are made as the unit says by then", "[supervisor]") {
    Sharded unit;
    auto stranger = join_group(unit.port());
    unit.shards().hold(unit.spec, 4);
    REQUIRE(unit.shards().slots() == 2);
    auto const changed = unit_of(
        "web", "[[socket]]\nname = \"a\"\nlisten = \"127.0.0.1:0\"\nreuse_port = true\nbacklog = 7\n" +
                   service(runs));
    unit.sockets.take_over(changed, {});
    stranger.reset();
    REQUIRE(unit.until([&] { return unit.shards().slots() == 4; }));
    for (Shard const shard : {green(0), green(3)}) {
        auto const queue = inspect_queue(unit.listener(shard).fd, Transport::Tcp);
        REQUIRE(queue);
        CHECK(queue->limit == 7);
    }
}

TEST_CASE("a smaller pool ends the wait for shards that it does not need", "[supervisor]") {
    Sharded unit;
    auto const stranger = join_group(unit.port());
    unit.shards().steer(all_to(green(0)));
    unit.shards().hold(unit.spec, 4);
    REQUIRE(unit.told("shards-missing").size() == 1);
    unit.shards().hold(unit.spec, 1);
    CHECK(unit.shards().slots() == 1);
    CHECK(unit.shards().place_of(green(3)) == green(0));
    unit.until([&] { return unit.told("shards-missing").size() == 2; }, 4 * first_mending_retry);
    CHECK(unit.told("shards-missing").size() == 1);
    CHECK(unit.told("shards-held").empty());
    auto const clients = unit.clients(2);
    CHECK(unit.shards().queued_in(green(0)) == 2);
}

TEST_CASE("a shard whose worker is a guest is at rest when its host is, also after its own has come",
          "[supervisor]") {
    Sharded unit;
    auto stranger = join_group(unit.port());
    unit.shards().hold(unit.spec, 4);
    unit.shards().steer(all_to(green(1)));
    auto const clients = unit.clients(1);
    unit.shards().steer(all_to(blue(0)));
    unit.watch({{green(1), green(1)}, {green(2), green(0)}, {green(3), unit.shards().place_of(green(3))}});
    stranger.reset();
    REQUIRE(unit.until([&] { return unit.shards().slots() == 4; }));
    // Watched as before, though the next worker would be elsewhere.
    unit.watch({{green(1), green(1)}, {green(2), green(2)}, {green(3), unit.shards().place_of(green(3))}});
    REQUIRE(unit.until([&] { return unit.rested.contains(green(2)); }));
    CHECK(unit.rested == std::set{green(2)});
    CHECK(unit.shards().queued_in(green(3)) == 1);
    REQUIRE(unit.serve_one(green(1)));
    REQUIRE(unit.until([&] { return unit.rested == std::set{green(1), green(2), green(3)}; }));
}

TEST_CASE("a shard that is closed with somebody in it is told of", "[supervisor]") {
    Sharded unit;
    unit.shards().steer(all_to(green(1)));
    auto const clients = unit.clients(2);
    unit.shards().steer(all_to(green(0)));
    unit.shards().hold(unit.spec, 1);
    REQUIRE(unit.told("shards-closed").size() == 1);
    CHECK(unit.told("shards-closed").front().weight == Weight::Warning);
    CHECK(unit.told("shards-closed").front().text.find("2 connections") != std::string::npos);
}

TEST_CASE("a shard that a worker shuts down listens again, and its clients land in it as before",
          "[supervisor]") {
    Sharded unit;
    unit.shards().steer(all_to(green(1)));
    REQUIRE(::shutdown(share(unit.listener(green(1))).raw(), SHUT_RDWR) == 0);
    REQUIRE(unit.until([&] { return unit.told("socket-mended").size() == 1; }));
    auto const clients = unit.clients(3);
    CHECK(unit.shards().queued_in(green(1)) == 3);
}

TEST_CASE("a shard that is shut down again and again is mended at a pace", "[supervisor]") {
    Sharded unit;
    auto const shut_down = unit.shut_down_until_it_waits(green(1));
    auto const before = MonotonicTime::now();
    auto const times_told = unit.told_of;
    REQUIRE(unit.until([&] { return unit.told("socket-mended").size() == shut_down; }));
    CHECK(MonotonicTime::now() - before > mending_period / 4); // it had to wait for its turn,
    CHECK(unit.told_of == times_told);                         // and nothing rang meanwhile
}

TEST_CASE("while a shard waits to be mended its clients go to the others that have a share", "[supervisor]") {
    // Bug: the program went on as if nobody had moved, and clients went to shards that nobody serves.
    Sharded unit;
    unit.shards().steer(share_equally(shards_of(Bank::Green, 2)));
    auto const shut_down = unit.shut_down_until_it_waits(green(1));
    auto const clients = unit.clients(20);
    CHECK(unit.shards().queued_in(green(0)) == 20);
    unit.shards().steer(all_to(blue(1)));
    auto const more = unit.clients(5);
    CHECK(unit.shards().queued_in(blue(1)) == 5);
    REQUIRE(unit.until([&] { return unit.told("socket-mended").size() == shut_down; }));
    auto const last = unit.clients(5);
    CHECK(unit.shards().queued_in(blue(1)) == 10);
}

TEST_CASE("shards that listen again where nobody knows are looked for until they are found", "[supervisor]") {
    // Bug: they counted as mended then, in a wrong order, and nobody heard of the next one that was shut
    // down.
    Sharded unit;
    unit.shards().steer(all_to(green(1)));
    {
        FewerDescriptors const full{0};
        for (Shard const shard : {blue(0), green(1)})
            REQUIRE(::shutdown(unit.listener(shard).fd.raw(), SHUT_RDWR) == 0);
        REQUIRE(unit.until([&] { return unit.told("socket-broken").size() == 1; }));
        auto const before = unit.told_of;
        REQUIRE(::shutdown(unit.listener(green(0)).fd.raw(), SHUT_RDWR) == 0);
        REQUIRE(unit.until([&] { return unit.told_of > before; }));
    }
    REQUIRE(unit.until([&] { return unit.told("socket-mended").size() == 1; }));
    CHECK(unit.told("socket-broken").size() == 1);
    auto const clients = unit.clients(2);
    CHECK(unit.shards().queued_in(green(1)) == 2);
    for (Shard const shard : {blue(0), blue(1), green(0)}) {
        unit.shards().steer(all_to(shard));
        auto const more = unit.clients(2);
        CHECK(unit.shards().queued_in(shard) == 2);
    }
}

TEST_CASE("shards that are too many are closed when a group whose order is not known is mended",
          "[supervisor]") {
    Sharded unit;
    unit.shards().steer(all_to(green(0)));
    {
        FewerDescriptors const full{0};
        REQUIRE(::shutdown(unit.listener(blue(0)).fd.raw(), SHUT_RDWR) == 0);
        REQUIRE(unit.until([&] { return unit.told("socket-broken").size() == 1; }));
        unit.shards().hold(unit.spec, 1);
        CHECK(unit.shards().slots() == 2);
        CHECK(unit.told("shards-not-closed").size() == 1);
    }
    REQUIRE(unit.until([&] { return unit.told("shards-closed").size() == 1; }));
    CHECK(unit.shards().slots() == 1);
    CHECK(unit.told("socket-mended").size() == 1);
    auto const clients = unit.clients(2);
    CHECK(unit.shards().queued_in(green(0)) == 2);
    unit.shards().steer(all_to(blue(0)));
    auto const more = unit.clients(2);
    CHECK(unit.shards().queued_in(blue(0)) == 2);
}

TEST_CASE("another mode is taken over in place, with the shares as they are", "[supervisor]") {
    Sharded unit{"[[socket]]\nname = \"u\"\nlisten = \"udp://127.0.0.1:0\"\nreuse_port = true\n"};
    auto const modes = [&] {
        std::vector<SteeringMode> found;
        for (auto const& group : unit.shards().groups())
            found.push_back(group.steering().how.mode);
        return found;
    };
    CHECK(modes() == std::vector{SteeringMode::Hash, SteeringMode::Hash});
    unit.shards().steer(all_to(blue(1)), {blue(1), green(0)});
    auto changed = *unit.spec;
    changed.steering = {.mode = SteeringMode::PayloadByte, .offset = 1};
    unit.shards().change(std::make_shared<UnitSpec const>(changed));
    // A TCP connection needs no byte to stay with its worker.
    CHECK(modes() == std::vector{SteeringMode::Hash, SteeringMode::PayloadByte});
    for (auto const& group : unit.shards().groups()) {
        CHECK(group.shares() == all_to(blue(1)));
        CHECK(group.steering().named == std::vector{blue(1), green(0)});
    }
    auto const clients = unit.clients(3);
    CHECK(unit.shards().queued_in(blue(1)) == 3);
    unit.shards().steer(all_to(green(1)));
    CHECK(modes() == std::vector{SteeringMode::Hash, SteeringMode::PayloadByte});
}
