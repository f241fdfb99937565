// SPDX-License-Identifier: Apache-2.0
// The half of ShardGroup that looks at what the kernel has, and mends what is not as it should be.
#include "socket/handshakes.h"
#include "socket/inspect.h"
#include "socket/listener_requests.h"
#include "socket/shard_bind.h"
#include "socket/shard_group.h"

#include <algorithm>
#include <cerrno>
#include <iterator>

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

Result<std::vector<std::uint64_t>> ShardGroup::list_handshakes(ListenAddress const& bound) {
    auto const handshakes = list_handshakes_at(bound);
    if (!handshakes)
        return handshakes.error();
    std::vector<std::uint64_t> cookies;
    for (InetSocket const& handshake : *handshakes)
        cookies.push_back(handshake.cookie);
    return cookies;
}

ShardGroup::RequestCounter ShardGroup::request_counter() const {
    std::map<Shard, std::uint32_t> inodes;
    for (ShardMember const& member : members_)
        if (member.shard)
            inodes[*member.shard] = inode_of(member.listener);
    auto const where = kernel_address_of(anchor());
    bool const is_ipv6 = where && where->family() == AF_INET6;
    return [inodes = std::move(inodes), is_ipv6]() -> std::optional<std::map<Shard, std::uint32_t>> {
        std::vector<std::uint32_t> listeners;
        for (auto const& [shard, inode] : inodes)
            listeners.push_back(inode);
        auto const counted = count_requests(listeners, is_ipv6);
        if (!counted || counted->size() < listeners.size())
            return std::nullopt;
        std::map<Shard, std::uint32_t> requests;
        for (auto const& [shard, inode] : inodes)
            requests[shard] = counted->at(inode);
        return requests;
    };
}

Result<GroupLook> ShardGroup::look_at_queues() const {
    GroupLook look;
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

Result<std::uint32_t> ShardGroup::queued_in(Shard shard) const {
    auto const& held = listener(shard);
    if (is_tcp() && !is_listening(held.fd))
        return std::uint32_t{0};
    auto const queue = inspect_queue(held.fd, held.wanted.transport);
    if (!queue)
        return queue.error();
    return queue->waiting;
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
    uncertain_.clear();
    return {};
}

std::vector<std::size_t> ShardGroup::find_dead() const {
    std::vector<std::size_t> dead;
    for (std::size_t place = 0; is_tcp() && place < members_.size(); ++place)
        if (!is_listening(members_[place].listener.fd))
            dead.push_back(place);
    return dead;
}

/// Each dead one's place was taken by one of the last, nobody knows by which. Whoever is before the new end
/// and alive is where it was, and the dead ones will be behind it, in the order in which they listen again.
void ShardGroup::move_to_end(std::vector<std::size_t> const& dead) {
    auto const is_dead = [&](std::size_t place) { return std::ranges::binary_search(dead, place); };
    auto const end = members_.size() - dead.size();
    std::vector<std::size_t> moved;
    std::vector<std::size_t> order(end, members_.size());
    for (std::size_t place = 0; place < members_.size(); ++place) {
        if (is_dead(place))
            continue;
        if (place < end && !is_uncertain(members_[place]))
            order[place] = place;
        else
            moved.push_back(place);
    }
    uncertain_.clear();
    if (moved.size() > 1) // one alone has the one place that is left
        for (std::size_t const place : moved)
            uncertain_.push_back(members_[place].shard);
    std::ranges::copy(dead, std::back_inserter(order));
    auto next = moved.begin();
    std::vector<ShardMember> placed;
    for (std::size_t const place : order)
        placed.push_back(std::move(members_[place == members_.size() ? *next++ : place]));
    members_ = std::move(placed);
}

bool ShardGroup::is_uncertain(ShardMember const& member) const {
    return std::ranges::find(uncertain_, member.shard) != uncertain_.end();
}

/// Of the last `dead` ones no place is known. False where that leaves nobody who has a share.
Result<bool> ShardGroup::attach_to_certain(std::size_t dead) {
    std::vector<Shard> excluded;
    for (std::size_t place = 0; place < members_.size(); ++place)
        if (members_[place].shard && (place >= members_.size() - dead || is_uncertain(members_[place])))
            excluded.push_back(*members_[place].shard);
    auto const certain = without(steering_, excluded);
    if (certain.shares.empty())
        return false;
    if (auto done = attach(certain); !done)
        return std::move(done).error();
    return true;
}

Outcome ShardGroup::steer_unsorted() {
    auto const dead = find_dead();
    move_to_end(dead);
    auto const attached = attach_to_certain(dead.size());
    if (!attached)
        return attached.error();
    if (!*attached)
        return system_error(EAGAIN, "steer the shards of " + to_string(bound()), anchor().name,
                            "they have been shut down by workers; it is done when they are mended");
    return {};
}

Outcome ShardGroup::avoid_shut_down() {
    if (find_dead().empty())
        return {};
    is_unsorted_ = true;
    return steer_unsorted();
}

Outcome ShardGroup::require_order() const {
    if (!is_unsorted_ && find_dead().empty())
        return {};
    return system_error(EAGAIN, "have other shards of " + to_string(bound()), anchor().name,
                        "a worker has shut one down, and it is not mended yet");
}

/// What listens again is at the end, unless one more was shut down meanwhile: then less is certain.
Outcome ShardGroup::listen_again_from(std::size_t first, int backlog) {
    auto const where = kernel_address_of(anchor());
    if (!where)
        return where.error();
    Outcome done;
    std::size_t end = first;
    while (end < members_.size() && (done = listen_again(members_[end].listener, *where, backlog)))
        ++end;
    auto more = find_dead();
    std::erase_if(more, [&](std::size_t place) { return place >= end; });
    auto const certain_end = first - std::min(first, more.size());
    for (std::size_t place = 0; !more.empty() && place < end; ++place)
        if ((place >= certain_end || std::ranges::binary_search(more, place)) &&
            !is_uncertain(members_[place]))
            uncertain_.push_back(members_[place].shard);
    return done;
}

/// Where it was never learnt (others had joined then, say) it may follow from who was shut down.
Outcome ShardGroup::find_order() {
    if (!order_.client_ports().empty() || !uncertain_.empty())
        return sort_as_kernel();
    auto const strangers = count_strangers();
    if (!strangers)
        return strangers.error();
    return *strangers == 0 ? Outcome{} : sort_as_kernel();
}

Result<bool> ShardGroup::mend(int backlog) {
    auto const dead = find_dead();
    if (dead.empty() && !is_unsorted_)
        return false;
    is_unsorted_ = true;
    move_to_end(dead);
    if (auto done = attach_to_certain(dead.size()); !done)
        return std::move(done).error();
    if (auto done = listen_again_from(members_.size() - dead.size(), backlog); !done)
        return std::move(done).error();
    if (auto done = find_order(); !done) {
        // A unit's only shard has the clients again. What fails here is told by the next call.
        (void)attach_to_certain(0).has_value();
        return std::move(done).error();
    }
    if (auto done = attach(steering_); !done)
        return std::move(done).error();
    is_unsorted_ = false;
    if (order_.client_ports().empty())
        learn_order();
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
