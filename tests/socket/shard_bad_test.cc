// SPDX-License-Identifier: Apache-2.0
// Each way in which the world refuses a group of shards: words that say what to do, and nothing left behind.
#include "catch.h"
#include "shard_support.h"
#include "socket/shard_bind.h"
#include "support/descriptors.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

Result<ShardGroup> try_bind(ListenAddress const& address, std::uint16_t slots = 2) {
    return ShardGroup::bind(shard_spec(address), address, slots, Bank::Blue);
}

/// "EACCES: the advice", or "bound".
std::string outcome_of(ListenAddress const& address) {
    auto const group = try_bind(address);
    return group ? "bound" : std::string{errno_name(group.error().code)} + ": " + group.error().advice;
}

/// A socket of somebody else that joins the group of `address`.
Result<UniqueFd> join(ListenAddress const& address) {
    SocketSpec const spec = shard_spec(address);
    auto listener = bind_next_shard({spec, address, *to_kernel(address)});
    if (!listener)
        return std::move(listener).error();
    if (auto done = open_shard({spec, address, *to_kernel(address)}, *listener); !done)
        return std::move(done).error();
    return std::move(listener->fd);
}

} // namespace

TEST_CASE("a port that a listener or a group has is refused to a second group", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), tcp(""), udp("127.0.0.1"), udp("::1")}) {
        auto const plain = bind_one(spec_of(address));
        CHECK_THAT(outcome_of(plain.bound()), ContainsSubstring("EADDRINUSE"));
        // It would have joined: the same user, and SO_REUSEPORT on both sides.
        auto group = bind_group(address, 2);
        CHECK_THAT(outcome_of(group.bound()), ContainsSubstring("EADDRINUSE"));
        CHECK(hits(group, 50).size() == 2);
    }
}

TEST_CASE("a port of another process with SO_REUSEPORT is refused", "[socket]") {
    auto const group = bind_group(tcp("127.0.0.1"), 1);
    auto const answer = in_child([&]() -> std::string { return outcome_of(group.bound()); });
    // The advice is bind_listener()'s: who it is, or the command that tells.
    CHECK_THAT(answer, ContainsSubstring("EADDRINUSE: "));
    CHECK_THAT(answer, ContainsSubstring(std::to_string(group.bound().port)));
}

TEST_CASE("another user cannot join a group", "[socket]") {
    if (::geteuid() != 0) {
        WARN("skipped: only root can be another user");
        return;
    }
    auto const group = bind_group(tcp("127.0.0.1"), 2);
    auto const answer = in_child([&]() -> std::string {
        if (!become_nobody())
            return "skipped: cannot become nobody";
        auto const joined = join(group.bound());
        return joined ? "joined" : std::string{errno_name(joined.error().code)};
    });
    if (!is_skipped(answer))
        CHECK(answer == "EADDRINUSE");
}

TEST_CASE("an ordinary user can bind and steer a group", "[socket]") {
    auto const answer = in_child([&]() -> std::string {
        if (::geteuid() == 0 && !become_nobody())
            return "skipped: cannot become nobody";
        auto group = try_bind(tcp("127.0.0.1"));
        if (!group)
            return to_string(group.error());
        return leads_to_each(*group) ? "steered" : "not steered";
    });
    if (!is_skipped(answer))
        CHECK(answer == "steered");
}

TEST_CASE("a process of the same user that joins a group gets nothing, and nothing is added beside it",
          "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), udp("127.0.0.1")}) {
        auto group = bind_group(address, 3);
        auto stranger = join(group.bound());
        REQUIRE(stranger);
        CHECK(*group.count_strangers() == 1);
        CHECK(leads_to_each(group));
        auto const refused = group.grow(shard_spec(address), 4);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == EADDRINUSE);
        CHECK_THAT(refused.error().advice, ContainsSubstring("another process of this user"));
        CHECK(group.slots() == 3);
        REQUIRE(group.steer(all_to(green(1))));
        REQUIRE(told(group.shrink(2)) == "ok");
        CHECK(leads_to_each(group));
        stranger->reset();
        REQUIRE(told(group.grow(shard_spec(address), 4)) == "ok");
        CHECK(leads_to_each(group));
    }
}

TEST_CASE("two groups with port 0 never meet at one port", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), udp("127.0.0.1"), udp("")}) {
        std::vector<ShardGroup> groups;
        std::vector<std::uint16_t> ports;
        for (int i = 0; i < 200; ++i) {
            groups.push_back(bind_group(address, 1));
            ports.push_back(groups.back().bound().port);
        }
        std::sort(ports.begin(), ports.end());
        CHECK(std::adjacent_find(ports.begin(), ports.end()) == ports.end());
    }
}

TEST_CASE("a group for which the descriptors do not suffice leaves nothing open", "[socket]") {
    auto const before = open_descriptors();
    {
        FewerDescriptors const fewer{4};
        auto const group = try_bind(tcp("127.0.0.1"), 4);
        REQUIRE_FALSE(group);
        CHECK(group.error().code == EMFILE);
        CHECK(group.error().where == "web");
        CHECK_THAT(group.error().advice, ContainsSubstring("raise its limit"));
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("a group that cannot grow for lack of descriptors stays as it was", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), udp("127.0.0.1")}) {
        auto group = bind_group(address, 2);
        REQUIRE(group.steer(all_to(green(1))));
        auto const before = open_descriptors();
        {
            // One more for the question who else is there.
            FewerDescriptors const fewer{3};
            auto const refused = group.grow(shard_spec(address), 8);
            REQUIRE_FALSE(refused);
            CHECK(refused.error().code == EMFILE);
        }
        CHECK(open_descriptors() == before);
        CHECK(group.slots() == 2);
        CHECK(hits(group, 20) == std::map<Shard, int>{{green(1), 20}});
        CHECK(leads_to_each(group));
        REQUIRE(told(group.grow(shard_spec(address), 8)) == "ok");
        CHECK(leads_to_each(group));
    }
}

TEST_CASE("a group at an address or port that we may not have is refused as a listener is", "[socket]") {
    CHECK_THAT(outcome_of(tcp("198.51.100.7", 8080)), ContainsSubstring("EADDRNOTAVAIL: no interface has"));
    auto const answer = in_own_network([]() -> std::string {
        // Who is not root has all rights in a namespace of its own.
        if (::geteuid() != 0 || !become_nobody())
            return "skipped: only root can become a user without rights";
        return outcome_of(tcp("127.0.0.1", 80));
    });
    if (!is_skipped(answer))
        CHECK_THAT(answer, ContainsSubstring("EACCES: ports below 1024 need a right"));
}

TEST_CASE("a bare port without IPv6 is a group of IPv4", "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        UniqueFd const setting{::open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY | O_CLOEXEC)};
        if (!setting.is_open() || ::write(setting.raw(), "1", 1) != 1)
            return "skipped: IPv6 cannot be switched off";
        auto group = try_bind(tcp(""));
        if (!group)
            return to_string(group.error());
        return leads_to_each(*group) && group->grow(shard_spec(tcp("")), 3) && leads_to_each(*group)
                   ? "steered"
                   : "not steered";
    });
    if (!is_skipped(answer))
        CHECK(answer == "steered");
}

TEST_CASE("a socket that cannot be steered says so", "[socket]") {
    constexpr int mptcp = 262;
    UniqueFd const socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, mptcp)};
    if (!socket.is_open()) {
        WARN("skipped: this kernel has no MPTCP");
        return;
    }
    int const on = 1;
    REQUIRE(::setsockopt(socket.raw(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
    auto const refused =
        attach_program(socket, steering_program(std::vector{whole}), "web", tcp("127.0.0.1", 80));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EOPNOTSUPP);
    CHECK_THAT(to_string(refused.error()), ContainsSubstring("cannot be steered"));
}
