// SPDX-License-Identifier: Apache-2.0
#include "socket/shard_group.h"

#include "base/ensure.h"
#include "socket/bind_error.h"
#include "socket/retire.h"
#include "socket/shard_bind.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>

#include <sys/socket.h>

namespace holdfast {

namespace {

/// The shards of slots [from, to), slot by slot, `first` before the other bank.
std::vector<Shard> new_shards(std::uint16_t from, std::uint16_t to, Bank first) {
    std::vector<Shard> shards;
    for (std::uint16_t slot = from; slot < to; ++slot) {
        shards.push_back({slot, first});
        shards.push_back({slot, other(first)});
    }
    return shards;
}

/// The same with an anchor after them.
std::vector<std::optional<Shard>> with_anchor(std::vector<Shard> const& shards) {
    std::vector<std::optional<Shard>> places{shards.begin(), shards.end()};
    places.emplace_back();
    return places;
}

Outcome bind_members(ShardRecipe const& recipe, std::vector<std::optional<Shard>> const& places,
                     std::vector<ShardMember>& members) {
    for (auto const& place : places) {
        auto listener = bind_next_shard(recipe);
        if (!listener)
            return std::move(listener).error();
        members.push_back({place, *std::move(listener)});
    }
    return {};
}

Outcome open_all(ShardRecipe const& recipe, std::vector<ShardMember> const& members) {
    for (ShardMember const& member : members)
        if (auto done = open_shard(recipe, member.listener); !done)
            return done;
    return {};
}

bool means_no_ipv6(int code) {
    return code == EAFNOSUPPORT || code == EADDRNOTAVAIL;
}

/// The first shard; an empty host is 0.0.0.0 where there is no IPv6.
Result<Listener> bind_first(ShardRecipe& recipe) {
    auto first = bind_first_shard(recipe);
    if (first || !recipe.address.host.empty() || !means_no_ipv6(first.error().code))
        return first;
    recipe.where = any_ipv4(recipe.address.port);
    return bind_first_shard(recipe);
}

/// Why these are not the members of one group, two banks and an anchor; empty if they are.
std::string what_is_missing(std::vector<ShardMember> const& members) {
    std::set<std::optional<Shard>> seen;
    for (ShardMember const& member : members) {
        if (!seen.insert(member.shard).second)
            return "one is there twice";
        if (member.listener.bound() != members.front().listener.bound())
            return "they are bound to different addresses";
    }
    // Each once, so if none is of a later slot, none is missing.
    bool const are_all = std::all_of(seen.begin(), seen.end(), [&](auto const& shard) {
        return !shard || shard->slot < members.size() / 2;
    });
    if (members.size() < 3 || members.size() % 2 == 0 || !seen.contains(std::nullopt) || !are_all)
        return "one is missing";
    return {};
}

} // namespace

Result<ShardGroup> ShardGroup::bind(SocketSpec const& socket, ListenAddress const& address,
                                    std::uint16_t slots, Bank serving) {
    ensure(slots > 0 && !address.is_unix(), "a group has a slot and a port");
    auto const where = to_kernel(address);
    if (!where)
        return complete_bind_error(where.error(), socket, address);
    ShardRecipe recipe{socket, address, *where};
    auto first = bind_first(recipe);
    if (!first)
        return std::move(first).error();
    ShardGroup group;
    auto shards = new_shards(0, slots, serving);
    group.members_.push_back({shards.front(), *std::move(first)});
    shards.erase(shards.begin());
    if (auto done = bind_members(recipe, with_anchor(shards), group.members_); !done)
        return std::move(done).error();
    // A TCP group begins here: its first member has the program that gives everything to it. It is one that
    // serves, so what comes before the others are there is served too.
    if (auto done = open_all(recipe, group.members_); !done)
        return std::move(done).error();
    group.slots_ = slots;
    if (auto done = group.steer(share_equally(shards_of(serving, slots))); !done)
        return std::move(done).error();
    group.learn_order();
    return group;
}

Result<ShardGroup> ShardGroup::adopt(std::vector<ShardMember> members, Steering const& steering,
                                     std::vector<std::uint16_t> order_ports) {
    if (auto const why = what_is_missing(members); !why.empty())
        return system_error(EINVAL, "adopt the shards of a socket",
                            members.empty() ? std::string{} : members.front().listener.name, why);
    ShardGroup group;
    group.slots_ = static_cast<std::uint16_t>(members.size() / 2);
    group.members_ = std::move(members);
    auto const where = kernel_address_of(group.anchor());
    if (!where)
        return where.error();
    if (order_ports.size() == group.members_.size()) {
        group.order_ = OrderProbe{*where, std::move(order_ports)};
        // Where it cannot be read (a shard is shut down, say), what was saved has to do until it is mended.
        group.is_unsorted_ = !group.sort_as_kernel();
    }
    // To steer by one that does not listen would give it a group of its own, and it could never come back.
    group.is_unsorted_ = group.is_unsorted_ || !group.are_listening();
    if (auto done = group.steer(steering); !done && !group.is_unsorted_)
        return std::move(done).error();
    if (group.order_.client_ports().empty())
        group.learn_order();
    return group;
}

bool ShardGroup::is_tcp() const {
    return members_.front().listener.wanted.transport == Transport::Tcp;
}

std::vector<ShardMember>::iterator ShardGroup::find_anchor() {
    auto const found =
        std::find_if(members_.begin(), members_.end(), [](auto const& member) { return !member.shard; });
    ensure(found != members_.end(), "a group has an anchor");
    return found;
}

Listener const& ShardGroup::anchor() const {
    return const_cast<ShardGroup*>(this)->find_anchor()->listener;
}

Listener const& ShardGroup::listener(Shard shard) const {
    auto const found = std::find_if(members_.begin(), members_.end(),
                                    [&](auto const& member) { return member.shard == shard; });
    ensure(found != members_.end(), "a shard of this group");
    return found->listener;
}

/// One that is in the kernel's group: the anchor, which no worker can shut down; but we may have died when it
/// was about to be another one.
Listener const& ShardGroup::any_member() const {
    auto const listens = [](ShardMember const& member) { return is_listening(member.listener.fd); };
    if (is_tcp() && !is_listening(anchor().fd))
        if (auto const one = std::find_if(members_.begin(), members_.end(), listens); one != members_.end())
            return one->listener;
    return anchor();
}

Outcome ShardGroup::attach(Steering const& steering) {
    auto const& shares = steering.shares;
    ensure(is_whole(shares), "the shares add up to the whole");
    std::vector<SteeredMember> members;
    std::size_t known = 0;
    for (auto const& [shard, listener] : members_) {
        auto const share = shard ? shares.find(*shard) : shares.end();
        bool const is_named = shard && std::ranges::find(steering.named, *shard) != steering.named.end();
        members.push_back({shard, share == shares.end() ? 0 : share->second, is_named});
        known += share == shares.end() ? 0 : 1;
    }
    ensure(known == shares.size(), "every share is that of a shard of this group");
    return attach_program(any_member().fd, steering_program(steering.how, members), anchor().name, bound());
}

Outcome ShardGroup::steer(Steering const& steering) {
    if (is_unsorted_) {
        steering_ = steering;
        return steer_unsorted();
    }
    auto done = attach(steering);
    if (done)
        steering_ = steering;
    return done;
}

Outcome ShardGroup::grow(SocketSpec const& socket, std::uint16_t slots) {
    ensure(slots > slots_, "a group grows");
    if (auto done = require_order(); !done)
        return done;
    auto const strangers = count_strangers();
    if (!strangers)
        return strangers.error();
    if (*strangers > 0)
        return system_error(EADDRINUSE, "add shards to " + to_string(bound()), socket.name,
                            "another process of this user listens on the port with SO_REUSEPORT, and would "
                            "get what is meant for them: stop it; see who it is with: ss -ltnp");
    auto where = kernel_address_of(anchor());
    if (!where)
        return std::move(where).error();
    ListenAddress const wanted = members_.front().listener.wanted;
    ShardRecipe const recipe{socket, wanted, *where};
    auto const shards = new_shards(slots_, slots, Bank::Blue);
    std::vector<ShardMember> added;
    if (auto done = bind_members(recipe,
                                 is_tcp() ? with_anchor(shards)
                                          : std::vector<std::optional<Shard>>{shards.begin(), shards.end()},
                                 added);
        !done)
        return done;
    if (auto done = open_all(recipe, added); !done)
        return done;
    if (is_tcp()) {
        // The last of the new ones is the new anchor: it takes the place of the old one, in the order too.
        auto const old = find_anchor();
        ::shutdown(old->listener.fd.raw(), SHUT_RDWR);
        *old = std::move(added.back());
        added.pop_back();
    }
    std::move(added.begin(), added.end(), std::back_inserter(members_));
    slots_ = slots;
    learn_order();
    return {};
}

Outcome ShardGroup::shrink(std::uint16_t slots) {
    ensure(slots > 0 && slots <= slots_, "a group keeps a slot");
    auto const leaves = [&](Shard shard) { return shard.slot >= slots; };
    ensure(std::ranges::none_of(shares(), [&](auto const& row) { return leaves(row.first); }),
           "what is closed has no share");
    std::erase_if(steering_.named, leaves); // nor anybody to serve it
    if (auto done = require_order(); !done)
        return done;
    for (;;) {
        auto const leaving = std::find_if(members_.rbegin(), members_.rend(), [&](auto const& member) {
            return member.shard && leaves(*member.shard);
        });
        if (leaving == members_.rend())
            break;
        if (auto done = close_at(static_cast<std::size_t>(members_.rend() - leaving) - 1); !done)
            return done;
    }
    slots_ = slots;
    learn_order();
    return {};
}

Outcome ShardGroup::close_at(std::size_t place) {
    auto const& last = members_.back().shard;
    // Who leaves is the last, or has only those behind it that no program names. Not so after a mending: then
    // the last one has to be taken out of the program while it is moved. (If nobody else serves, it is moved
    // with all that it has: in that instant the kernel chooses by hash.)
    bool const is_moved = last && (shares().contains(*last) ||
                                   std::ranges::find(steering_.named, *last) != steering_.named.end());
    if (is_moved) {
        auto const meanwhile = without(steering_, std::vector{*last});
        if (!meanwhile.shares.empty())
            if (auto done = attach(meanwhile); !done)
                return done;
    }
    // Whoever else holds it (a worker; a child of ours before its exec) does not hold it in the group.
    ::shutdown(members_[place].listener.fd.raw(), SHUT_RDWR);
    if (place + 1 < members_.size())
        members_[place] = std::move(members_.back());
    members_.pop_back();
    return is_moved ? attach(steering_) : Outcome{};
}

Outcome ShardGroup::change(SocketSpec const& socket) {
    for (ShardMember& member : members_)
        if (auto done = change_in_place(member.listener, socket); !done)
            return done;
    return {};
}

std::vector<Listener> ShardGroup::release() && {
    std::vector<Listener> listeners;
    for (ShardMember& member : members_)
        listeners.push_back(std::move(member.listener));
    members_.clear();
    return listeners;
}

Outcome ShardGroup::turn_clients_away() {
    for (ShardMember& member : members_)
        if (auto done = holdfast::turn_clients_away(member.listener); !done)
            return done;
    return {};
}

} // namespace holdfast
