// SPDX-License-Identifier: Apache-2.0
// The half of ShardGroup that looks at what the kernel has, and mends what is not as it should be.
#include "socket/handshakes.h"
#include "socket/inspect.h"
#include "socket/shard_bind.h"
#include "socket/shard_group.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>
#include <sys/stat.h>

namespace holdfast {

namespace {

std::uint32_t inode_of(Listener const& listener) {
    struct stat status {};
    return ::fstat(listener.fd.raw(), &status) < 0 ? 0 : static_cast<std::uint32_t>(status.st_ino);
}

std::vector<std::uint32_t> inodes_of(std::vector<ShardMember> const& members) {
    std::vector<std::uint32_t> inodes;
    for (ShardMember const& member : members)
        inodes.push_back(inode_of(member.listener));
    return inodes;
}

/// listen(2) on a TCP socket that was shut down.
Outcome listen_again(Listener const& listener, KernelAddress const& where, int backlog) {
    // A port that the kernel chose is lost with the listening state. EINVAL: it is still bound.
    if ((::bind(listener.fd.raw(), where.get(), where.length) < 0 && errno != EINVAL) ||
        ::listen(listener.fd.raw(), backlog) < 0)
        return system_error(errno, "listen again on a shard of " + to_string(listener.bound()), listener.name,
                            "a worker had shut it down");
    return {};
}

} // namespace

Result<GroupLook> ShardGroup::look() const {
    GroupLook look;
    if (is_tcp()) {
        auto const handshakes = list_handshakes_at(bound());
        if (!handshakes)
            return handshakes.error();
        for (InetSocket const& handshake : *handshakes)
            look.handshakes.push_back(handshake.cookie);
    }
    for (ShardMember const& member : members_) {
        if (is_tcp() && member.shard && !is_listening(member.listener.fd)) {
            look.shut_down.push_back(*member.shard);
            continue;
        }
        auto const queue = inspect_queue(member.listener.fd, member.listener.wanted.transport);
        if (!queue)
            return queue.error();
        (member.shard ? look.queued[*member.shard] : look.astray) = queue->waiting;
    }
    return look;
}

void ShardGroup::learn_order() {
    order_ = {};
    if (!is_tcp())
        return;
    // Without it mend() says that it cannot do its work; nothing else needs it.
    if (auto const where = kernel_address_of(anchor()))
        (void)order_.learn(*where, inodes_of(members_)).has_value();
}

Outcome ShardGroup::sort_as_kernel() {
    auto const order = order_.read();
    if (!order)
        return order.error();
    auto const now = inodes_of(members_);
    if (!std::is_permutation(order->begin(), order->end(), now.begin(), now.end()))
        return system_error(EADDRINUSE, "find the shards of " + to_string(bound()) + " in the kernel's order",
                            anchor().name, "another process of this user may listen on the port");
    std::vector<ShardMember> sorted;
    for (std::uint32_t const inode : *order)
        sorted.push_back(std::move(
            members_[static_cast<std::size_t>(std::find(now.begin(), now.end(), inode) - now.begin())]));
    members_ = std::move(sorted);
    return {};
}

/// Each dead one's place was taken by one of the last, nobody knows by which. Whoever is before the new end
/// and alive is where it was, and stays there when the dead ones come back at the end.
Outcome ShardGroup::attach_to_certain(std::vector<std::size_t> const& dead) {
    std::vector<Shard> uncertain;
    for (std::size_t place = 0; place < members_.size(); ++place) {
        bool const is_dead = std::find(dead.begin(), dead.end(), place) != dead.end();
        if (members_[place].shard && (is_dead || place >= members_.size() - dead.size()))
            uncertain.push_back(*members_[place].shard);
    }
    auto const certain = without(shares_, uncertain);
    return certain.empty() ? Outcome{} : attach(certain);
}

Result<bool> ShardGroup::mend(int backlog) {
    std::vector<std::size_t> dead;
    for (std::size_t place = 0; is_tcp() && place < members_.size(); ++place)
        if (!is_listening(members_[place].listener.fd))
            dead.push_back(place);
    if (dead.empty())
        return false;
    if (auto done = attach_to_certain(dead); !done)
        return std::move(done).error();
    auto const where = kernel_address_of(anchor());
    if (!where)
        return where.error();
    for (std::size_t const place : dead)
        if (auto done = listen_again(members_[place].listener, *where, backlog); !done)
            return std::move(done).error();
    if (auto done = sort_as_kernel(); !done)
        return std::move(done).error();
    if (auto done = attach(shares_); !done)
        return std::move(done).error();
    return true;
}

Result<std::uint32_t> ShardGroup::count_strangers() const {
    auto const where = kernel_address_of(anchor());
    if (!where)
        return where.error();
    auto const sockets = list_inet_sockets(where->family(), is_tcp() ? IPPROTO_TCP : IPPROTO_UDP,
                                           port_of(*where), InetStates::Listening);
    if (!sockets)
        return sockets.error();
    auto const own = inodes_of(members_);
    auto const place = std::find_if(sockets->begin(), sockets->end(),
                                    [&](auto const& socket) { return socket.inode == inode_of(anchor()); });
    if (place == sockets->end())
        return plain_error("the kernel's list lacks a socket of ours", anchor().name);
    return static_cast<std::uint32_t>(
        std::count_if(sockets->begin(), sockets->end(), [&](auto const& socket) {
            return socket.is_listening == place->is_listening &&
                   IN6_ARE_ADDR_EQUAL(&socket.host, &place->host) &&
                   std::find(own.begin(), own.end(), socket.inode) == own.end();
        }));
}

} // namespace holdfast
