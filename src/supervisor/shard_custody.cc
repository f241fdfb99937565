// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shard_custody.h"

#include "supervisor/addresses.h"

#include <algorithm>

namespace holdfast {

using namespace std::chrono_literals;

namespace {

constexpr Duration first_look = 5ms; // at a queue that is being emptied; then less and less often
constexpr Duration longest_look = 200ms;

ListenerIdentity identity_of(ShardGroup const& group) {
    return identity_of(group.members().front().listener);
}

} // namespace

bool is_sharded(UnitSpec const& spec) {
    bool is_any = false;
    each_address(spec, [&](SocketSpec const& socket, ListenAddress const& address) {
        is_any = is_any || is_sharded(socket, address);
    });
    return is_any;
}

ShardCustody::ShardCustody(Shared& shared, std::uint32_t number, std::string unit)
    : shared_{shared}, number_{number}, unit_{std::move(unit)} {}

ShardCustody::~ShardCustody() {
    for (auto const& group : groups_)
        unguard(group);
}

Outcome ShardCustody::bind(SocketSpec const& socket, ListenAddress const& address, std::uint16_t slots) {
    std::uint16_t most = slots;
    for (auto const& group : groups_)
        most = std::max(most, group.slots());
    // Green is the bank of the first generation.
    auto group =
        ShardGroup::bind(socket, address, most, shares_.empty() ? Bank::Green : shares_.begin()->first.bank);
    if (!group)
        return std::move(group).error();
    if (!shares_.empty())
        if (auto done = group->steer(fitted(shares_, *group)); !done)
            return done;
    guard(*group);
    groups_.push_back(std::move(group).value());
    fresh_.push_back(identity_of(groups_.back()));
    return {};
}

ShardGroup const* ShardCustody::find(ListenerIdentity const& identity) const {
    auto const found = std::find_if(groups_.begin(), groups_.end(),
                                    [&](ShardGroup const& group) { return identity_of(group) == identity; });
    return found == groups_.end() ? nullptr : &*found;
}

Listener const& ShardCustody::listener(ShardGroup const& group, Shard shard) {
    return group.listener({static_cast<std::uint16_t>(shard.slot % group.slots()), shard.bank});
}

void ShardCustody::drop_fresh() {
    auto const fresh = std::exchange(fresh_, {});
    for (auto& listener : release_unless([&](ListenerIdentity const& identity) {
             return std::find(fresh.begin(), fresh.end(), identity) == fresh.end();
         }))
        give_up(std::move(listener));
}

std::vector<Listener>
ShardCustody::release_unless(std::function<bool(ListenerIdentity const&)> const& is_listed) {
    std::vector<Listener> released;
    std::vector<ShardGroup> staying;
    for (auto& group : groups_) {
        if (is_listed(identity_of(group))) {
            staying.push_back(std::move(group));
            continue;
        }
        unguard(group);
        for (auto& listener : std::move(group).release())
            released.push_back(std::move(listener));
    }
    groups_ = std::move(staying);
    if (!released.empty()) // a watch is of a group; what is left is seen anew
        for (auto& waiting : waiting_)
            waiting.watches.assign(groups_.size(), RestWatch{MonotonicTime::now()});
    return released;
}

Shares ShardCustody::fitted(Shares const& shares, ShardGroup const& group) {
    Shares fitted;
    for (auto const& [shard, weight] : shares)
        fitted[{static_cast<std::uint16_t>(shard.slot % group.slots()), shard.bank}] += weight;
    return fitted;
}

void ShardCustody::grow(UnitSpec const& spec, std::uint16_t slots) {
    auto const sockets = sockets_of(spec);
    for (auto& group : groups_) {
        auto const socket = sockets.find(identity_of(group));
        if (group.slots() >= slots || socket == sockets.end())
            continue;
        unguard(group);
        if (auto const grown = group.grow(*socket->second, slots); !grown)
            shared_.events.say(Weight::Failure, "shards-missing", unit_,
                               to_string(grown.error()) + "; its workers share the " +
                                   std::to_string(group.slots()) + " that there are");
        guard(group);
    }
}

void ShardCustody::steer(Shares const& shares) {
    if (shares.empty())
        return;
    for (auto& group : groups_)
        if (auto const done = group.steer(fitted(shares, group)); !done)
            shared_.events.say(Weight::Failure, "not-steered", unit_, to_string(done.error()));
    auto const now = MonotonicTime::now();
    for (auto const& [shard, weight] : shares_)
        if (!shares.contains(shard))
            steered_away_[shard] = now;
    for (auto const& [shard, weight] : shares)
        steered_away_.erase(shard);
    shares_ = shares;
}

void ShardCustody::change(UnitSpec const& spec) {
    auto const sockets = sockets_of(spec);
    for (auto& group : groups_)
        if (auto const socket = sockets.find(identity_of(group)); socket != sockets.end())
            if (auto const changed = group.change(*socket->second); !changed)
                shared_.events.say(Weight::Warning, "socket-unchanged", unit_, to_string(changed.error()));
}

void ShardCustody::guard(ShardGroup const& group) {
    for (auto const& member : group.members())
        if (member.listener.wanted.transport == Transport::Tcp)
            (void)shared_.hangups->add(member.listener.fd, number_).has_value(); // its worker's end tells too
}

void ShardCustody::unguard(ShardGroup const& group) {
    for (auto const& member : group.members())
        if (member.listener.wanted.transport == Transport::Tcp)
            shared_.hangups->remove(member.listener.fd);
}

void ShardCustody::mend(UnitSpec const& spec) {
    auto const sockets = sockets_of(spec);
    for (auto& group : groups_) {
        auto const socket = sockets.find(identity_of(group));
        auto const mended = group.mend(socket == sockets.end() ? SOMAXCONN : socket->second->backlog);
        if (mended && !*mended)
            continue;
        unguard(group);
        guard(group);
        if (mended)
            shared_.events.say(Weight::Warning, "socket-mended", unit_,
                               "a shard of " + to_string(group.bound()) +
                                   " had been shut down by a worker; it listens again");
        else
            shared_.events.say(Weight::Failure, "socket-broken", unit_, to_string(mended.error()));
    }
}

// ---- rest ----

bool ShardCustody::is_at_rest_or(Shard shard, MonotonicTime deadline,
                                 std::function<void(std::uint32_t)> rested) {
    auto const away = steered_away_.find(shard);
    if (away == steered_away_.end() || groups_.empty())
        return true;
    waiting_.push_back({shard, deadline, std::move(rested),
                        std::vector<RestWatch>(groups_.size(), RestWatch{away->second})});
    pause_ = first_look;
    timer_ = shared_.loop.at(MonotonicTime::now() + pause_, [this] { look(); });
    return false;
}

void ShardCustody::look() {
    shared_.loop.set_owner(number_);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        auto const now = MonotonicTime::now();
        auto const seen = groups_[i].look();
        if (seen) // else the deadline ends it
            for (auto& waiting : waiting_)
                waiting.watches[i].see(*seen, now);
    }
    auto const now = MonotonicTime::now();
    std::vector<std::pair<std::function<void(std::uint32_t)>, std::uint32_t>> ended;
    std::erase_if(waiting_, [&](Waiting& waiting) {
        bool is_at_rest = true;
        std::uint32_t left = 0;
        for (auto const& watch : waiting.watches) {
            auto const rest =
                watch.rest_of({static_cast<std::uint16_t>(waiting.shard.slot), waiting.shard.bank});
            is_at_rest = is_at_rest && rest.is_at_rest();
            left += rest.queued;
        }
        bool const is_served = shares_.contains(waiting.shard);
        if (is_at_rest)
            steered_away_.erase(waiting.shard);
        if (!is_at_rest && !is_served && now < waiting.deadline)
            return false;
        ended.emplace_back(std::move(waiting.rested), is_served ? 0 : left);
        return true;
    });
    if (!waiting_.empty()) {
        timer_.rearm(now + pause_);
        pause_ = std::min(pause_ * 2, longest_look);
    }
    for (auto const& [rested, left] : ended)
        rested(left);
}

} // namespace holdfast
