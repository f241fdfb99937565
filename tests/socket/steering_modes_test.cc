// SPDX-License-Identifier: Apache-2.0
// The program of each mode of [steering], interpreted: who gets how much, and who gets which packet.
#include "bpf_machine.h"
#include "shard_support.h"
#include "socket/shard_bind.h"

#include <cerrno>
#include <map>
#include <random>
#include <set>

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr std::array all_modes{SteeringMode::Hash, SteeringMode::Cpu, SteeringMode::Random,
                               SteeringMode::LeastLoaded, SteeringMode::PayloadByte};

/// Two banks of so many slots and the anchor, in the order in which they are bound.
std::vector<SteeredMember> members_of(std::uint16_t slots, Shares const& shares,
                                      std::vector<Shard> const& named = {}) {
    std::vector<SteeredMember> members;
    for (std::uint16_t slot = 0; slot < slots; ++slot)
        for (auto const shard : {green(slot), blue(slot)}) {
            auto const share = shares.find(shard);
            members.push_back({shard, share == shares.end() ? 0 : share->second,
                               std::ranges::find(named, shard) != named.end()});
        }
    members.push_back({});
    return members;
}

Shares canary(std::uint16_t slots, double percent) {
    return share_with_canary(shards_of(Bank::Blue, slots), shards_of(Bank::Green, slots), percent);
}

using Counts = std::map<Shard, unsigned>;

/// Where `count` flows end: of one client with port after port, of many clients, by IPv4 and by IPv6.
Counts outcome_of(BpfMachine const& machine, std::vector<SteeredMember> const& members, unsigned count,
                  bool is_one_client) {
    std::mt19937 random{7};
    Counts counts;
    for (unsigned i = 0; i < count; ++i) {
        auto const address =
            is_one_client ? 0x0a000001U : 0x0a000000U + static_cast<std::uint32_t>(random() % 50000);
        auto const port = static_cast<std::uint16_t>(32768 + (is_one_client ? 2 * i : random()) % 28000);
        auto packet = i % 2 == 0 || is_one_client ? ip4_packet(address, port, i % 5 == 0 ? 2 : 0)
                                                  : ip6_packet(0x20010db800000000U, address, port);
        packet.random = static_cast<std::uint32_t>(random());
        packet.cpu = static_cast<std::uint32_t>(random() % 64);
        packet.data.assign(random() % 20, 0);
        auto const index = machine.run(packet);
        REQUIRE(index < members.size());
        REQUIRE(members[index].shard);
        ++counts[*members[index].shard];
    }
    return counts;
}

double percent_of(Counts const& counts, Bank bank) {
    double all = 0, part = 0;
    for (auto const& [shard, count] : counts) {
        all += count;
        part += shard.bank == bank ? count : 0;
    }
    return 100 * part / all;
}

/// A datagram with `byte` at `offset` of its data.
Packet datagram(std::uint16_t offset, std::uint8_t byte, std::uint16_t port = 40000) {
    auto packet = ip4_packet(0x0a000001, port);
    packet.data.assign(offset + 1U, 0);
    packet.data[offset] = byte;
    return packet;
}

} // namespace

TEST_CASE("5/95 and 25/75 over 100,000 flows are met within half a point in every mode", "[socket]") {
    for (auto const mode : all_modes)
        for (bool const is_one_client : {true, false})
            for (double const percent : {5.0, 25.0})
                for (std::uint16_t const slots : {1, 4, 7}) {
                    INFO(to_name(mode)
                         << ", " << percent << " %, " << slots << " slots, one client: " << is_one_client);
                    auto const members = members_of(slots, canary(slots, percent));
                    BpfMachine const machine{steering_program({.mode = mode}, members)};
                    auto const counts = outcome_of(machine, members, 100000, is_one_client);
                    CHECK(percent_of(counts, Bank::Green) == Approx(percent).margin(0.5));
                }
}

TEST_CASE("within a bank each shard gets its part, and one without a share nothing", "[socket]") {
    for (auto const mode : all_modes)
        for (bool const is_one_client : {true, false}) {
            INFO(to_name(mode) << ", one client: " << is_one_client);
            auto const members = members_of(8, share_equally(shards_of(Bank::Green, 4)));
            BpfMachine const machine{steering_program({.mode = mode}, members)};
            auto const counts = outcome_of(machine, members, 100000, is_one_client);
            CHECK(counts.size() == 4);
            for (auto const& [shard, count] : counts) {
                CHECK(shard.bank == Bank::Green);
                CHECK(count == Approx(25000).margin(500));
            }
        }
}

TEST_CASE("by random every weight is met exactly, and by hash of one client's ports too", "[socket]") {
    Shares const shares{{green(0), 3277}, {blue(0), 40000}, {blue(2), whole - 43277}};
    auto const members = members_of(3, shares);
    for (auto const mode : {SteeringMode::Random, SteeringMode::Hash}) {
        BpfMachine const machine{steering_program({.mode = mode}, members)};
        Shares counts;
        for (std::uint32_t i = 0; i < whole; ++i) {
            auto packet = ip4_packet(0x7f000001, static_cast<std::uint16_t>(i));
            packet.random = 0xabcd0000U + i;
            ++counts[*members.at(machine.run(packet)).shard];
        }
        CHECK(counts == shares);
    }
}

TEST_CASE("where one shard has all, the program is one instruction, whatever the mode", "[socket]") {
    for (auto const mode : all_modes) {
        INFO(to_name(mode));
        auto const members = members_of(4, all_to(blue(2)));
        auto const program = steering_program({.mode = mode}, members);
        if (mode != SteeringMode::PayloadByte)
            CHECK(program.size() == 1);
        CHECK(members.at(BpfMachine{program}.run(ip4_packet(1, 1))).shard == blue(2));
    }
}

TEST_CASE("by hash a flow stays where it is, by IPv4 and IPv6, whatever else the packet says", "[socket]") {
    auto const members = members_of(8, share_equally(shards_of(Bank::Blue, 8)));
    BpfMachine const machine{steering_program({.mode = SteeringMode::Hash}, members)};
    std::set<std::uint32_t> all;
    for (std::uint16_t port = 1000; port < 1100; ++port)
        for (auto packet : {ip4_packet(0x0a000001, port), ip6_packet(1, 2, port)}) {
            auto const first = machine.run(packet);
            all.insert(first);
            packet.random = 99;
            packet.cpu = 3;
            packet.data = {1, 2, 3};
            packet.header.back() = 77; // checksum
            CHECK(machine.run(packet) == first);
        }
    CHECK(all.size() == 8);
}

TEST_CASE("every part of an IPv6 address counts in the hash", "[socket]") {
    auto const members = members_of(8, share_equally(shards_of(Bank::Blue, 8)));
    BpfMachine const machine{steering_program({.mode = SteeringMode::Hash}, members)};
    for (unsigned bit = 0; bit < 128; bit += 8) {
        INFO("bit " << bit);
        std::set<std::uint32_t> seen;
        for (std::uint64_t value = 0; value < 64; ++value)
            seen.insert(machine.run(bit < 64 ? ip6_packet(0, value << bit, 443)
                                             : ip6_packet(value << (bit - 64), 0, 443)));
        CHECK(seen.size() > 1);
    }
}

TEST_CASE("by cpu each processor has its slot, and a canary its part of each processor", "[socket]") {
    auto members = members_of(4, share_equally(shards_of(Bank::Green, 4)));
    BpfMachine const machine{steering_program({.mode = SteeringMode::Cpu}, members)};
    for (std::uint32_t cpu = 0; cpu < 12; ++cpu) {
        auto packet = ip4_packet(1, 1);
        packet.cpu = cpu;
        CHECK(members.at(machine.run(packet)).shard == green(static_cast<std::uint16_t>(cpu % 4)));
    }
    members = members_of(4, canary(4, 25));
    BpfMachine const both{steering_program({.mode = SteeringMode::Cpu}, members)};
    std::uint32_t canaries = 0;
    for (std::uint32_t random = 0; random < whole; ++random) {
        auto packet = ip4_packet(1, 1);
        packet.cpu = 6;
        packet.random = random;
        auto const shard = *members.at(both.run(packet)).shard;
        CHECK(shard.slot == 2);
        canaries += shard.bank == Bank::Green ? 1 : 0;
    }
    CHECK(canaries == whole / 4);
}

TEST_CASE("by cpu a slot that has no share is stood in for, and the others stay where they are", "[socket]") {
    auto const members = members_of(4, share_equally(std::vector{blue(0), blue(2), blue(3)}));
    BpfMachine const machine{steering_program({.mode = SteeringMode::Cpu}, members)};
    for (std::uint32_t cpu = 0; cpu < 4; ++cpu) {
        auto packet = ip4_packet(1, 1);
        packet.cpu = cpu;
        auto const shard = *members.at(machine.run(packet)).shard;
        CHECK(shard.bank == Bank::Blue);
        CHECK(shard.slot != 1);
        if (cpu != 1)
            CHECK(shard.slot == cpu);
    }
}

TEST_CASE("a byte names its shard, an old generation's too, whatever the weights", "[socket]") {
    std::vector<Shard> named = shards_of(Bank::Blue, 4);
    std::ranges::copy(shards_of(Bank::Green, 4), std::back_inserter(named));
    auto const members = members_of(4, share_equally(shards_of(Bank::Green, 4)), named);
    for (SteeringSpec const how :
         {SteeringSpec{.mode = SteeringMode::PayloadByte},
          SteeringSpec{.mode = SteeringMode::PayloadByte, .mask = 0xf0, .shift = 4, .offset = 1},
          SteeringSpec{.mode = SteeringMode::PayloadByte, .mask = 0x1e, .shift = 1, .offset = 1400}}) {
        BpfMachine const machine{steering_program(how, members)};
        for (auto const shard : named) {
            auto const byte = static_cast<std::uint8_t>(steering_id(shard) << how.shift);
            for (std::uint16_t port = 1; port < 100; ++port)
                CHECK(members.at(machine.run(datagram(how.offset, byte, port))).shard == shard);
            auto const others = static_cast<std::uint8_t>(byte | static_cast<std::uint8_t>(~how.mask));
            CHECK(members.at(machine.run(datagram(how.offset, others))).shard == shard);
        }
    }
}

TEST_CASE("a byte that names nobody who serves, and no byte at all, go by hash to whom has a share",
          "[socket]") {
    auto const members = members_of(4, share_equally(shards_of(Bank::Green, 4)), {blue(0), green(0)});
    SteeringSpec const how{.mode = SteeringMode::PayloadByte, .offset = 3};
    BpfMachine const machine{steering_program(how, members)};
    BpfMachine const hashing{steering_program({.mode = SteeringMode::Hash}, members)};
    for (std::uint16_t port = 1; port < 200; ++port) {
        auto const by_hash = hashing.run(datagram(0, 0, port));
        for (unsigned byte : {0, int{steering_id(blue(1))}, int{steering_id(green(1))}, 77, 255})
            CHECK(machine.run(datagram(3, static_cast<std::uint8_t>(byte), port)) == by_hash);
        for (std::size_t length = 0; length <= 3; ++length) { // one too short
            auto packet = datagram(3, static_cast<std::uint8_t>(steering_id(blue(0))), port);
            packet.data.assign(length, static_cast<std::uint8_t>(steering_id(blue(0))));
            CHECK(machine.run(packet) == by_hash);
        }
        CHECK(members.at(by_hash).shard->bank == Bank::Green);
    }
}

TEST_CASE("an id that has no room in the mask names nobody", "[socket]") {
    auto const members = members_of(4, all_to(green(0)), {blue(3), green(0)});
    SteeringSpec const how{.mode = SteeringMode::PayloadByte, .mask = 0x03};
    BpfMachine const machine{steering_program(how, members)};
    for (unsigned byte = 0; byte < 256; ++byte)
        CHECK(members.at(machine.run(datagram(0, static_cast<std::uint8_t>(byte)))).shard == green(0));
}

TEST_CASE("every shard has an id of its own, and none has 0", "[socket]") {
    std::set<std::uint16_t> ids;
    for (std::uint16_t slot = 0; slot < most_workers; ++slot)
        for (auto const bank : {Bank::Blue, Bank::Green})
            CHECK(ids.insert(steering_id({slot, bank})).second);
    CHECK(!ids.contains(0));
    CHECK(steering_id(blue(0)) == 1);
    CHECK(steering_id(green(0)) == 2);
    CHECK(steering_id(green(126)) == 254);
}

TEST_CASE("a thousand workers fit into a program in every mode, and the far ends are reached", "[socket]") {
    auto const shares = share_equally(shards_of(Bank::Green, most_workers));
    std::vector<Shard> const named = shards_of(Bank::Green, 127);
    auto const members = members_of(most_workers, shares, named);
    for (auto const mode : all_modes) {
        INFO(to_name(mode));
        BpfMachine const machine{steering_program({.mode = mode}, members)}; // checks its length
        auto const counts = outcome_of(machine, members, 20000, false);
        CHECK(percent_of(counts, Bank::Green) == 100);
        if (mode == SteeringMode::PayloadByte)
            CHECK(members.at(machine.run(datagram(0, 254))).shard == green(126));
        if (mode == SteeringMode::Cpu) {
            auto packet = ip4_packet(1, 1);
            packet.cpu = 1023;
            CHECK(members.at(machine.run(packet)).shard == green(1023));
        }
    }
}

TEST_CASE("a program that is too long is refused with advice", "[socket]") {
    std::vector<std::uint32_t> weights(most_weighted + 1, 1);
    weights.front() = whole - static_cast<std::uint32_t>(most_weighted);
    auto const group = bind_group(tcp("127.0.0.1", 0), 1);
    auto const refused = attach_program(group.members().front().listener.fd, steering_program(weights), "web",
                                        tcp("127.0.0.1", 80));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == E2BIG);
    CHECK(to_string(refused.error()).find("have fewer workers") != std::string::npos);
    CHECK(group.steering().how == SteeringSpec{});
}
