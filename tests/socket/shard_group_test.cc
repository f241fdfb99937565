// SPDX-License-Identifier: Apache-2.0
// Groups of shards on the real kernel: who gets new clients, and that growing and shrinking change nothing
// for the others.
#include "base/ensure.h"
#include "catch.h"
#include "shard_support.h"
#include "socket/inspect.h"

#include <cerrno>
#include <cmath>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::vector<ListenAddress> const every_kind{tcp("127.0.0.1"), tcp("::1"), tcp("0.0.0.0"), tcp(""),
                                            udp("127.0.0.1"), udp("::1"), udp("")};

} // namespace

TEST_CASE("a group has a shard for every slot in both banks, all at one port", "[socket]") {
    for (auto const& address : every_kind) {
        auto const group = bind_group(address, 3);
        CHECK(group.slots() == 3);
        CHECK(group.members().size() == 7);
        CHECK(group.bound().port != 0);
        for (ShardMember const& member : group.members()) {
            CHECK(member.listener.port == group.bound().port);
            CHECK(member.listener.name == "web");
            CHECK((::fcntl(member.listener.fd.raw(), F_GETFD) & FD_CLOEXEC) != 0);
            CHECK((::fcntl(member.listener.fd.raw(), F_GETFL) & O_NONBLOCK) != 0);
            CHECK(option_of(member.listener.fd, SOL_SOCKET, SO_REUSEPORT) == 1);
            // For UDP it would let others share the port who do not say SO_REUSEPORT.
            CHECK(option_of(member.listener.fd, SOL_SOCKET, SO_REUSEADDR) ==
                  (address.transport == Transport::Tcp ? 1 : 0));
        }
        CHECK(*group.count_strangers() == 0);
    }
}

TEST_CASE("a group without non_blocking leaves its shards blocking for the workers", "[socket]") {
    auto const address = tcp("127.0.0.1");
    auto const group = ShardGroup::bind(spec_of(address), address, 1, Bank::Blue);
    REQUIRE(group);
    CHECK((::fcntl(group->listener(blue(0)).fd.raw(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("at first the serving bank shares all", "[socket]") {
    Bank const serving = GENERATE(Bank::Blue, Bank::Green);
    for (auto const& address : every_kind) {
        auto const group = bind_group(address, 2, serving);
        auto const found = hits(group, 100);
        CHECK(found.size() == 2);
        for (auto const& [shard, count] : found)
            CHECK(shard.bank == serving);
    }
}

TEST_CASE("each shard can be steered to, before and after growing and shrinking", "[socket]") {
    for (auto const& address : every_kind) {
        auto group = bind_group(address, 2);
        CHECK(leads_to_each(group));
        REQUIRE(told(group.grow(shard_spec(address), 5)) == "ok");
        CHECK(group.members().size() == 11);
        CHECK(leads_to_each(group));
        REQUIRE(told(group.steer(all_to(green(2)))) == "ok");
        REQUIRE(told(group.shrink(3)) == "ok");
        CHECK(group.members().size() == 7);
        CHECK(leads_to_each(group));
        REQUIRE(told(group.steer(all_to(blue(0)))) == "ok");
        REQUIRE(told(group.shrink(1)) == "ok");
        REQUIRE(told(group.grow(shard_spec(address), 4)) == "ok");
        CHECK(leads_to_each(group));
        CHECK(*group.count_strangers() == 0);
    }
}

TEST_CASE("growing and shrinking do not move a client", "[socket]") {
    auto const address = tcp("127.0.0.1");
    auto group = bind_group(address, 3);
    REQUIRE(group.steer(all_to(green(2))));
    REQUIRE(group.grow(shard_spec(address), 20));
    CHECK(hits(group, 50) == std::map<Shard, int>{{green(2), 50}});
    REQUIRE(group.shrink(3));
    CHECK(hits(group, 50) == std::map<Shard, int>{{green(2), 50}});
}

TEST_CASE("the kernel shares out as the weights say", "[socket]") {
    auto const address = GENERATE(tcp("127.0.0.1"), udp("127.0.0.1"));
    auto group = bind_group(address, 4);
    auto const shares = share_with_canary(shards_of(Bank::Blue, 4), shards_of(Bank::Green, 2), 10);
    REQUIRE(group.steer(shares));
    int const count = 4000;
    auto const found = hits(group, count);
    CHECK(found.size() == shares.size());
    for (auto const& [shard, weight] : shares) {
        double const part = static_cast<double>(weight) / whole;
        // Six standard deviations: once in 5 * 10^8 runs.
        double const deviation = std::sqrt(count * part * (1 - part));
        INFO(to_name(shard.bank) << shard.slot);
        CHECK(found.at(shard) == Approx(count * part).margin(6 * deviation));
    }
}

TEST_CASE("256 slots of two banks can be steered at once", "[socket]") {
    auto group = bind_group(tcp("127.0.0.1"), 256);
    auto const shares = share_with_canary(shards_of(Bank::Blue, 256), shards_of(Bank::Green, 256), 50);
    REQUIRE(told(group.steer(shares)) == "ok");
    int const green_hits = [&] {
        int sum = 0;
        for (auto const& [shard, count] : hits(group, 600))
            sum += shard.bank == Bank::Green ? count : 0;
        return sum;
    }();
    CHECK(green_hits == Approx(300).margin(6 * std::sqrt(150)));
    REQUIRE(told(group.steer(all_to(green(255)))) == "ok");
    CHECK(hits(group, 5) == std::map<Shard, int>{{green(255), 5}});
    REQUIRE(told(group.steer(all_to(blue(0)))) == "ok");
    REQUIRE(told(group.shrink(1)) == "ok");
    CHECK(hits(group, 5) == std::map<Shard, int>{{blue(0), 5}});
}

TEST_CASE("a shard that a worker still holds is out of the group when it is closed", "[socket]") {
    auto const address = tcp("127.0.0.1");
    auto group = bind_group(address, 3);
    std::vector<UniqueFd> workers;
    for (ShardMember const& member : group.members())
        workers.emplace_back(::fcntl(member.listener.fd.raw(), F_DUPFD_CLOEXEC, 0));
    REQUIRE(group.shrink(3));
    REQUIRE(group.steer(all_to(blue(0))));
    REQUIRE(group.shrink(1));
    REQUIRE(group.grow(shard_spec(address), 4));
    CHECK(leads_to_each(group));
    CHECK(*group.count_strangers() == 0);
}

TEST_CASE("a UDP shard that a worker still holds after it was closed is a stranger, and nothing is added",
          "[socket]") {
    auto const address = udp("127.0.0.1");
    auto group = bind_group(address, 2);
    UniqueFd worker{::fcntl(group.listener(blue(1)).fd.raw(), F_DUPFD_CLOEXEC, 0)};
    REQUIRE(group.steer(all_to(blue(0))));
    REQUIRE(group.shrink(1));
    CHECK(*group.count_strangers() == 1);
    auto const refused = group.grow(shard_spec(address), 2);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EADDRINUSE);
    worker.reset();
    REQUIRE(told(group.grow(shard_spec(address), 2)) == "ok");
    CHECK(leads_to_each(group));
}

TEST_CASE("what is steered to has to be ours, and what is closed has no share", "[socket]") {
    auto group = bind_group(tcp("127.0.0.1"), 2);
    CHECK_THROWS_AS(group.steer(all_to(blue(2))), BrokenPromise);
    CHECK_THROWS_AS(group.steer({}), BrokenPromise);
    CHECK_THROWS_AS(group.shrink(1), BrokenPromise);
    CHECK_THROWS_AS(group.shrink(0), BrokenPromise);
    CHECK(hits(group, 20).size() == 2);
}

TEST_CASE("a group that is closed can be bound again at once, connections of the old one or not",
          "[socket]") {
    ListenAddress address = tcp("127.0.0.1");
    std::optional<ShardGroup> group = bind_group(address, 2);
    REQUIRE(group->steer(all_to(blue(0))));
    address.port = group->bound().port;
    auto const client = connect_to(address);
    UniqueFd served;
    REQUIRE(eventually([&] {
        served = take_from(*group, blue(0));
        return served.is_open();
    }));
    group.reset();
    auto again = bind_group(address, 2);
    CHECK(again.bound().port == address.port);
    CHECK(leads_to_each(again));
}

TEST_CASE("a group turns clients away as a listener does", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), tcp("")}) {
        auto group = bind_group(address, 2);
        REQUIRE(group.steer(all_to(blue(1))));
        auto const early = connect_to(target_of(group));
        REQUIRE(told(group.turn_clients_away()) == "ok");
        auto const late = connect_to(target_of(group), true);
        REQUIRE(eventually([&] { return look_at(group).queued.at(blue(1)) == 1; }));
        CHECK(take_from(group, blue(1)).is_open());
        for (auto const& [shard, queued] : look_at(group).queued)
            CHECK(queued == 0);
    }
}

TEST_CASE("a change of the backlog reaches every shard", "[socket]") {
    auto const address = tcp("127.0.0.1");
    auto group = bind_group(address, 2);
    auto spec = shard_spec(address);
    spec.backlog = 17;
    REQUIRE(told(group.change(spec)) == "ok");
    for (ShardMember const& member : group.members())
        CHECK(inspect_queue(member.listener.fd, Transport::Tcp)->limit == 17);
    CHECK(leads_to_each(group));
}
