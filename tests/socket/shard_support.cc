// SPDX-License-Identifier: Apache-2.0
#include "shard_support.h"

#include "catch.h"

#include <sys/socket.h>

namespace holdfast::test {

namespace {

bool is_udp(ShardGroup const& group) {
    return group.bound().transport == Transport::Udp;
}

/// Ends with a reset, so that no port is left in TIME_WAIT.
void end_at_once(UniqueFd& connection) {
    linger const none{1, 0};
    ::setsockopt(connection.raw(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
    connection.reset();
}

} // namespace

Shares all_to(Shard shard) {
    return share_equally(std::vector{shard});
}

SocketSpec shard_spec(ListenAddress const& address) {
    auto spec = spec_of(address);
    spec.non_blocking = true;
    return spec;
}

ShardGroup bind_group(ListenAddress const& address, std::uint16_t slots, Bank serving) {
    auto group = ShardGroup::bind(shard_spec(address), address, slots, serving);
    if (!group)
        FAIL(to_string(group.error()));
    return *std::move(group);
}

ListenAddress target_of(ShardGroup const& group) {
    auto address = group.bound();
    if (address.host.empty() || address.host == "0.0.0.0")
        address.host = "127.0.0.1";
    if (address.host == "::")
        address.host = "::1";
    return address;
}

GroupLook look_at(ShardGroup const& group) {
    std::vector<std::uint64_t> handshakes;
    if (group.is_tcp()) {
        auto listed = ShardGroup::list_handshakes(group.bound());
        if (!listed)
            FAIL(to_string(listed.error()));
        handshakes = *std::move(listed);
    }
    auto look = group.look_at_queues();
    if (!look)
        FAIL(to_string(look.error()));
    look->handshakes = std::move(handshakes);
    return *std::move(look);
}

GroupLook count_at(ShardGroup const& group) {
    auto requests = group.request_counter()();
    auto look = group.look_at_queues();
    if (!look || !requests)
        FAIL("the requests cannot be counted");
    look->requests = std::move(requests);
    return *std::move(look);
}

std::string told(Outcome const& outcome) {
    return outcome ? "ok" : to_string(outcome.error());
}

UniqueFd take_from(ShardGroup const& group, Shard shard) {
    FdRef const listener = group.listener(shard).fd;
    if (!is_udp(group))
        return UniqueFd{::accept4(listener.raw(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    char byte = 0;
    bool const has_one = ::recv(listener.raw(), &byte, 1, MSG_DONTWAIT) == 1;
    return has_one ? UniqueFd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)} : UniqueFd{};
}

std::map<Shard, int> hits(ShardGroup const& group, int count) {
    std::map<Shard, int> found;
    int missing = count;
    while (missing > 0) {
        int const batch = std::min(missing, 100);
        std::vector<UniqueFd> clients;
        for (int i = 0; i < batch; ++i) {
            clients.push_back(connect_to(target_of(group)));
            REQUIRE(clients.back().is_open());
            if (is_udp(group))
                REQUIRE(::send(clients.back().raw(), "x", 1, 0) == 1);
        }
        int left = batch;
        bool const are_found = eventually([&] {
            for (ShardMember const& member : group.members())
                for (UniqueFd taken; member.shard; end_at_once(taken)) {
                    taken = take_from(group, *member.shard);
                    if (!taken.is_open())
                        break;
                    ++found[*member.shard];
                    --left;
                }
            return left == 0;
        });
        REQUIRE(are_found);
        for (UniqueFd& client : clients)
            end_at_once(client);
        missing -= batch;
    }
    return found;
}

bool leads_to_each(ShardGroup& group) {
    for (ShardMember const& member : group.members()) {
        if (!member.shard)
            continue;
        Shard const shard = *member.shard;
        if (!group.steer(all_to(shard)) || hits(group, 3) != std::map<Shard, int>{{shard, 3}})
            return false;
    }
    return true;
}

} // namespace holdfast::test
