// SPDX-License-Identifier: Apache-2.0
// The programs in the kernel: what it makes of them is what the machine of these tests makes of them.
#include "bpf_machine.h"
#include "shard_support.h"

#include <map>

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::vector<SteeredMember> members_of(ShardGroup const& group) {
    std::vector<SteeredMember> members;
    for (auto const& [shard, listener] : group.members()) {
        auto const share = shard ? group.shares().find(*shard) : group.shares().end();
        auto const& named = group.steering().named;
        members.push_back({shard, share == group.shares().end() ? 0 : share->second,
                           shard && std::ranges::find(named, *shard) != named.end()});
    }
    return members;
}

/// Its packets as a program sees them.
Packet packet_of(FdRef client) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    REQUIRE(::getsockname(client.raw(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
    if (address.ss_family == AF_INET) {
        auto const& ip4 = reinterpret_cast<sockaddr_in const&>(address);
        return ip4_packet(ntohl(ip4.sin_addr.s_addr), ntohs(ip4.sin_port));
    }
    auto const& ip6 = reinterpret_cast<sockaddr_in6 const&>(address);
    std::uint64_t parts[2] = {0, 0};
    for (int i = 0; i < 16; ++i)
        parts[i / 8] = parts[i / 8] << 8 | ip6.sin6_addr.s6_addr[i];
    return ip6_packet(parts[0], parts[1], ntohs(ip6.sin6_port));
}

/// Where the one client that waits in the group is.
std::optional<Shard> take_one(ShardGroup const& group) {
    std::optional<Shard> found;
    (void)eventually([&] {
        for (ShardMember const& member : group.members())
            if (member.shard && take_from(group, *member.shard).is_open())
                found = member.shard;
        return found.has_value();
    });
    return found;
}

UniqueFd client_of(ShardGroup const& group, std::vector<std::uint8_t> const& data = {1}) {
    auto client = connect_to(target_of(group));
    REQUIRE(client.is_open());
    if (!group.is_tcp())
        REQUIRE(::send(client.raw(), data.data(), data.size(), 0) == static_cast<ssize_t>(data.size()));
    return client;
}

void check_flows(ShardGroup const& group) {
    BpfMachine const machine{steering_program(group.steering().how, members_of(group))};
    std::map<Shard, int> seen;
    for (int i = 0; i < 100; ++i) {
        auto const client = client_of(group);
        auto const expected = group.members().at(machine.run(packet_of(client))).shard;
        REQUIRE(take_one(group) == expected);
        ++seen[*expected];
    }
    CHECK(seen.size() == group.shares().size());
}

} // namespace

TEST_CASE("by hash a flow goes where its address and port say, over TCP and UDP, IPv4 and IPv6", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), udp("127.0.0.1"), tcp("::1"), udp("::1"), udp("")}) {
        INFO(to_string(address));
        auto group = bind_group(address, 3);
        REQUIRE(group.steer({share_with_canary(shards_of(Bank::Blue, 3), shards_of(Bank::Green, 1), 20),
                             {.mode = SteeringMode::Hash}}));
        check_flows(group);
        REQUIRE(group.steer({share_equally(shards_of(Bank::Green, 3)), {.mode = SteeringMode::LeastLoaded}}));
        check_flows(group);
    }
}

TEST_CASE("the datagrams of a flow stay together by hash, and not by random", "[socket]") {
    auto group = bind_group(udp("127.0.0.1"), 4);
    for (auto const mode : {SteeringMode::Hash, SteeringMode::Random}) {
        REQUIRE(group.steer({share_equally(shards_of(Bank::Blue, 4)), {.mode = mode}}));
        auto const client = client_of(group);
        std::map<Shard, int> seen{{*take_one(group), 1}};
        for (int i = 0; i < 100; ++i) {
            REQUIRE(::send(client.raw(), "x", 1, 0) == 1);
            ++seen[*take_one(group)];
        }
        CHECK(seen.size() == (mode == SteeringMode::Hash ? 1 : 4));
    }
}

TEST_CASE("by cpu a packet goes to the slot of the processor that got it", "[socket]") {
    cpu_set_t before;
    REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
    for (auto const& address : {tcp("127.0.0.1"), udp("127.0.0.1")}) {
        auto group = bind_group(address, 2);
        REQUIRE(group.steer({share_equally(shards_of(Bank::Green, 2)), {.mode = SteeringMode::Cpu}}));
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (!CPU_ISSET(cpu, &before))
                continue;
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0); // what is sent to lo is received here
            for (int i = 0; i < 10; ++i) {
                auto const client = client_of(group);
                CHECK(take_one(group) == green(static_cast<std::uint16_t>(cpu % 2)));
            }
        }
        REQUIRE(::sched_setaffinity(0, sizeof before, &before) == 0);
    }
}

TEST_CASE("a byte of a datagram names its shard; what names nobody, or is too short, goes by hash",
          "[socket]") {
    for (auto const& address : {udp("127.0.0.1"), udp("::1")}) {
        auto group = bind_group(address, 4);
        SteeringSpec const how{.mode = SteeringMode::PayloadByte, .mask = 0xf0, .shift = 4, .offset = 1400};
        REQUIRE(group.steer({share_equally(shards_of(Bank::Green, 4)), how, {blue(0), blue(3), green(2)}}));
        std::vector<std::uint8_t> data(1401, 0);
        for (auto const shard : {blue(0), blue(3), green(2)})
            for (int i = 0; i < 5; ++i) {
                data.back() = static_cast<std::uint8_t>(steering_id(shard) << 4 | 5);
                auto const client = client_of(group, data);
                CHECK(take_one(group) == shard);
            }
        BpfMachine const machine{steering_program(how, members_of(group))};
        data.back() = static_cast<std::uint8_t>(steering_id(blue(1)) << 4);
        for (auto const length : {std::size_t{1}, std::size_t{1400}, std::size_t{1401}}) {
            auto const client =
                client_of(group, {data.end() - static_cast<std::ptrdiff_t>(length), data.end()});
            auto const expected = group.members().at(machine.run(packet_of(client))).shard;
            REQUIRE(expected);
            CHECK(expected->bank == Bank::Green);
            CHECK(take_one(group) == expected);
        }
        auto const empty = connect_to(target_of(group));
        REQUIRE(::send(empty.raw(), "", 0, 0) == 0);
        auto const look = group.look_at_queues();
        REQUIRE(look); // it is somewhere, and has no byte that could be read
    }
}

TEST_CASE("a mode is changed in one step, and another program is no reason for a lost connection",
          "[socket]") {
    auto group = bind_group(tcp("127.0.0.1"), 4);
    for (int round = 0; round < 5; ++round)
        for (auto const& row : enum_table(SteeringMode{})) {
            REQUIRE(group.steer({share_equally(shards_of(Bank::Blue, 4)), {.mode = row.value}}));
            for (auto const& [shard, count] : hits(group, 20))
                CHECK(shard.bank == Bank::Blue);
        }
}

TEST_CASE("a group that is adopted is steered as it is told, from its first moment", "[socket]") {
    auto group = bind_group(udp("127.0.0.1"), 2);
    SteeringSpec const how{.mode = SteeringMode::PayloadByte};
    REQUIRE(group.steer({all_to(green(0)), how, {blue(1)}}));
    std::vector<ShardMember> members;
    std::vector<std::optional<Shard>> places;
    for (auto const& member : group.members())
        places.push_back(member.shard);
    auto const steering = group.steering();
    auto listeners = std::move(group).release();
    for (std::size_t i = 0; i < listeners.size(); ++i)
        members.push_back({places[i], std::move(listeners[i])});
    auto const adopted = ShardGroup::adopt(std::move(members), steering);
    REQUIRE(adopted);
    CHECK(adopted->steering() == steering);
    auto const client = client_of(*adopted, {static_cast<std::uint8_t>(steering_id(blue(1)))});
    CHECK(take_one(*adopted) == blue(1));
}
