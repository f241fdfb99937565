// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shard_custody.h"

#include "supervisor/addresses.h"
#include "supervisor/pace.h"

#include <algorithm>

namespace holdfast {

namespace {

constexpr int pauses_per_listing = 5; // where it takes long, it takes a sixth of one processor's time at most

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

ShardCustody::ShardCustody(Shared& shared, std::uint32_t number, std::string unit, Change change)
    : shared_{shared}, number_{number}, unit_{std::move(unit)}, change_{std::move(change)} {}

ShardCustody::~ShardCustody() {
    for (auto const& group : groups_)
        unguard(group);
}

Outcome ShardCustody::bind(SocketSpec const& socket, ListenAddress const& address, SteeringSpec how,
                           std::uint16_t slots) {
    // Green is the bank of the first generation.
    auto group = ShardGroup::bind(socket, address, slots_ == 0 ? slots : slots_,
                                  shares_.empty() ? Bank::Green : shares_.begin()->first.bank);
    if (!group)
        return std::move(group).error();
    how = steering_for(how, address.transport);
    if (!shares_.empty() || how != SteeringSpec{})
        if (auto done = group->steer(steering_of(*group, how)); !done)
            return done;
    guard(*group);
    groups_.push_back(std::move(group).value());
    for (auto& watched : watched_)
        watched.watches.emplace_back(MonotonicTime::now());
    fresh_.push_back(identity_of(groups_.back()));
    return {};
}

void ShardCustody::adopt(ShardGroup group) {
    shares_ = group.shares();
    named_ = group.steering().named;
    slots_ = std::max(slots_, group.slots());
    guard(group);
    groups_.push_back(std::move(group));
}

void ShardCustody::each_listener(std::function<void(Listener&)> const& visit) {
    for (auto& group : groups_)
        group.each_listener(visit);
}

std::uint16_t ShardCustody::slots() const {
    std::uint16_t most = 0;
    for (auto const& group : groups_)
        most = std::max(most, group.slots());
    return most;
}

ShardGroup const* ShardCustody::find(ListenerIdentity const& identity) const {
    auto const found = std::find_if(groups_.begin(), groups_.end(),
                                    [&](ShardGroup const& group) { return identity_of(group) == identity; });
    return found == groups_.end() ? nullptr : &*found;
}

Listener const& ShardCustody::listener(ShardGroup const& group, Shard shard) {
    return group.listener(place_in(group, shard));
}

Shard ShardCustody::place_of(Shard shard) const {
    auto const fewest = std::ranges::min_element(groups_, {}, &ShardGroup::slots);
    return fewest == groups_.end() ? shard : place_in(*fewest, shard);
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
    if (load_ && !released.empty())
        load_->start_anew();
    if (growing_ && have_all_slots()) {
        growing_.reset();
        if (!groups_.empty())
            say_held();
    }
    if (!released.empty()) // a watch is of a group; what is left is seen anew
        for (auto& watched : watched_)
            watched.watches.assign(groups_.size(), RestWatch{MonotonicTime::now()});
    return released;
}

Steering ShardCustody::steering_of(ShardGroup const& group, SteeringSpec how) const {
    if (shares_.empty())
        return {group.shares(), how};
    Steering steering{{}, how};
    for (auto const& [shard, weight] : shares_)
        steering.shares[place_in(group, shard)] += weight;
    for (auto const shard : named_)
        steering.named.push_back(place_in(group, shard));
    return steering;
}

bool ShardCustody::have_all_slots() const {
    return std::ranges::all_of(groups_, [this](ShardGroup const& group) { return group.slots() >= slots_; });
}

void ShardCustody::hold(UnitSpecPtr spec, std::uint16_t slots) {
    slots_ = slots;
    if (slots == 0) // nobody serves from shards: whether the groups that are there go, or are new, others say
        return growing_.reset();
    auto const has_others = [&](ShardGroup const& group) { return group.slots() != slots; };
    auto const is_to_shrink = [&](ShardGroup const& group) { return group.slots() > slots; };
    if (shared_.sockets_changed && std::ranges::any_of(groups_, is_to_shrink)) {
        shared_.sockets_changed(number_);
        shared_.save_sockets(number_);
    }
    if (std::ranges::any_of(groups_, has_others)) {
        mending_.spec = spec;
        mend_now(); // only what is in order can be changed
    }
    auto const sockets = sockets_of(*spec);
    std::optional<Error> missing;
    for (auto& group : groups_) {
        auto const socket = sockets.find(identity_of(group));
        if (group.slots() > slots)
            shrink(group, slots);
        else if (group.slots() < slots && socket != sockets.end())
            if (auto grown = grow(group, *socket->second, slots); !grown)
                missing = std::move(grown).error();
    }
    if (have_all_slots())
        growing_.reset();
    else if (missing)
        grow_later(std::move(spec), *missing);
}

Outcome ShardCustody::grow(ShardGroup& group, SocketSpec const& socket, std::uint16_t slots) {
    unguard(group);
    auto grown = group.grow(socket, slots);
    guard(group);
    return grown;
}

void ShardCustody::grow_later(UnitSpecPtr spec, Error const& why) {
    if (!growing_) {
        growing_ = std::make_unique<Retried>();
        shared_.events.say(Weight::Failure, "shards-missing", unit_,
                           to_string(why) +
                               "; its workers share the shards that there are. This is tried again");
    }
    growing_->spec = std::move(spec);
    growing_->pace.failed(MonotonicTime::now(), why.code);
    growing_->timer = shared_.loop.at(growing_->pace.retry_at, [this] { grow_again(); });
}

void ShardCustody::grow_again() {
    shared_.loop.set_owner(number_);
    change_([this] { hold(UnitSpecPtr{growing_->spec}, slots_); });
    if (!growing_)
        say_held();
}

void ShardCustody::say_held() {
    shared_.events.say(Weight::Normal, "shards-held", unit_,
                       "the shards of all " + std::to_string(slots_) +
                           " slots are there now; a worker that shares one has its own after its restart");
}

void ShardCustody::shrink(ShardGroup& group, std::uint16_t slots) {
    std::uint32_t left = 0;
    auto const look = group.look_at_queues();
    if (look)
        for (auto const& [shard, queued] : look.value().queued)
            left += shard.slot >= slots ? queued : 0;
    unguard(group);
    auto const before = group.slots();
    auto const shrunk = group.shrink(slots);
    guard(group);
    if (!shrunk)
        return shared_.events.say(Weight::Failure, "shards-not-closed", unit_, to_string(shrunk.error()));
    auto const closed = std::to_string(2 * (before - slots)) + " shards of " + to_string(group.bound());
    if (look && left == 0)
        shared_.events.say(Weight::Normal, "shards-closed", unit_,
                           closed + " are closed, nobody was waiting in them");
    else
        shared_.events.say(Weight::Warning, "shards-closed", unit_,
                           closed + " are closed with " +
                               (look ? std::to_string(left) : std::string{"an unknown number of"}) +
                               " connections still waiting in them, which are reset");
}

void ShardCustody::steer(Shares const& shares, std::vector<Shard> const& named) {
    if (shares.empty())
        return;
    shares_ = shares;
    named_ = named;
    for (auto& group : groups_)
        if (auto const done = group.steer(steering_of(group, group.steering().how)); !done)
            shared_.events.say(Weight::Failure, "not-steered", unit_, to_string(done.error()));
}

void ShardCustody::change(UnitSpecPtr const& spec) {
    auto const sockets = sockets_of(*spec);
    for (auto& group : groups_)
        if (auto const socket = sockets.find(identity_of(group)); socket != sockets.end())
            if (auto const changed = group.change(*socket->second); !changed)
                shared_.events.say(Weight::Warning, "socket-unchanged", unit_, to_string(changed.error()));
    for (auto& group : groups_) {
        auto const how = steering_for(spec->steering, group.members().front().listener.wanted.transport);
        if (how == group.steering().how)
            continue;
        if (auto const done = group.steer(steering_of(group, how)); !done)
            shared_.events.say(Weight::Failure, "not-steered", unit_, to_string(done.error()));
    }
    if (mending_.spec)
        mending_.spec = spec;
    if (!growing_)
        return;
    growing_->spec = spec;
    growing_->timer.rearm(growing_->pace.retry_at); // it had nothing to try where this lists a socket again
}

void ShardCustody::guard(ShardGroup const& group) {
    if (load_)
        load_->look_soon();
    if (shared_.sockets_changed)
        shared_.sockets_changed(number_);
    for (auto const& member : group.members())
        if (member.listener.wanted.transport == Transport::Tcp)
            (void)shared_.hangups->add(member.listener.fd, number_).has_value(); // its worker's end tells too
}

void ShardCustody::unguard(ShardGroup const& group) {
    for (auto const& member : group.members()) {
        shared_.arrivals->forget(member.listener.fd);
        if (member.listener.wanted.transport == Transport::Tcp)
            shared_.hangups->remove(member.listener.fd);
    }
}

void ShardCustody::mend(UnitSpecPtr spec) {
    mending_.spec = std::move(spec);
    auto const due = mending_.pace.due();
    if (MonotonicTime::now() >= due)
        return mend_now();
    for (auto& group : groups_)
        (void)group.avoid_shut_down().has_value(); // what fails is told by the mending
    mend_at(due);
}

void ShardCustody::mend_now() {
    std::optional<Error> broken;
    for (auto& group : groups_)
        if (auto mended = mend(group); !mended)
            broken = std::move(mended).error();
    if (!broken)
        return mending_.pace.succeeded();
    if (mending_.pace.failed(MonotonicTime::now(), broken->code))
        shared_.events.say(Weight::Failure, "socket-broken", unit_,
                           to_string(*broken) + "; this is tried again");
    mend_at(mending_.pace.retry_at);
}

Outcome ShardCustody::mend(ShardGroup& group) {
    auto const sockets = sockets_of(*mending_.spec);
    auto const socket = sockets.find(identity_of(group));
    auto const mended = group.mend(socket == sockets.end() ? SOMAXCONN : socket->second->backlog);
    if (mended && !*mended)
        return {};
    unguard(group);
    if (mended || group.are_listening()) // else what is shut down would be told of at once
        guard(group);
    if (!mended)
        return mended.error();
    mending_.pace.mended(MonotonicTime::now());
    shared_.events.say(Weight::Warning, "socket-mended", unit_,
                       "a shard of " + to_string(group.bound()) +
                           " had been shut down by a worker; it listens again");
    if (slots_ != 0 && group.slots() > slots_) // that was refused meanwhile
        shrink(group, slots_);
    return {};
}

void ShardCustody::mend_at(MonotonicTime time) {
    if (mending_.timer)
        return mending_.timer.rearm(time);
    mending_.timer = shared_.loop.at(time, [this] {
        shared_.loop.set_owner(number_);
        change_([this] { mend(mending_.spec); });
    });
}

// ---- rest ----

bool ShardCustody::Watched::is_at_rest(std::vector<ShardGroup> const& groups) const {
    for (std::size_t i = 0; i < groups.size(); ++i)
        if (!watches[i].rest_of(place_in(groups[i], hosted.host)).is_at_rest())
            return false;
    return true;
}

void ShardCustody::watch_rest(std::vector<Hosted> const& shards, AtRest at_rest) {
    at_rest_ = std::move(at_rest);
    auto const now = MonotonicTime::now();
    std::vector<Watched> watched;
    for (auto const& one : shards) {
        auto const known = std::find_if(watched_.begin(), watched_.end(), [&](Watched const& other) {
            return other.hosted.shard == one.shard;
        });
        watched.push_back(known != watched_.end()
                              ? std::move(*known)
                              : Watched{one, std::vector<RestWatch>(groups_.size(), RestWatch{now})});
    }
    watched_ = std::move(watched);
    if (watched_.empty()) {
        timer_ = {};
        return;
    }
    pause_ = pace::first_at_rest;
    auto first = MonotonicTime::never(); // no look before tells that anything is at rest
    for (auto const& one : watched_)
        for (auto const& watch : one.watches)
            first = std::min(first, watch.settled_at());
    timer_ = shared_.loop.at(std::max(first, now + pause_), [this] { look(); });
}

void ShardCustody::watch_load(std::vector<Hosted> const& shards, ShardLoad::Judged judged) {
    if (shards.empty())
        return load_.reset();
    if (!load_)
        load_ = std::make_unique<ShardLoad>(shared_, number_, groups_);
    load_->watch(shards, std::move(judged));
}

void ShardCustody::follow_load(std::function<Shard(Shard)> const& host_of) {
    if (load_)
        load_->follow(host_of);
}

std::uint32_t ShardCustody::queued_in(Shard shard) const {
    auto const watched = std::find_if(watched_.begin(), watched_.end(),
                                      [&](Watched const& one) { return one.hosted.shard == shard; });
    auto const host = watched == watched_.end() ? shard : watched->hosted.host;
    std::uint32_t queued = 0;
    for (auto const& group : groups_)
        if (auto const waiting = group.queued_in(place_in(group, host)))
            queued += *waiting;
    return queued;
}

bool ShardCustody::may_be_at_rest() const {
    std::vector<Result<GroupLook>> looks;
    for (auto const& group : groups_)
        looks.push_back(group.look_at_queues());
    return std::ranges::any_of(watched_, [&](Watched const& watched) {
        for (std::size_t i = 0; i < groups_.size(); ++i) {
            if (!looks[i])
                return false;
            auto const queued = looks[i]->queued.find(place_in(groups_[i], watched.hosted.host));
            if (queued != looks[i]->queued.end() && queued->second > 0)
                return false;
        }
        return true;
    });
}

/// The queues first: the rest is worth its price only when nobody waits there.
void ShardCustody::look() {
    shared_.loop.set_owner(number_);
    if (listing_)
        return; // its end brings the next look
    if (!may_be_at_rest())
        return look_again({});
    std::vector<std::pair<ListenAddress, ShardGroup::RequestCounter>> wanted;
    for (auto const& group : groups_)
        if (group.is_tcp())
            wanted.emplace_back(group.bound(), group.request_counter());
    auto const list = [wanted = std::move(wanted)] {
        std::vector<Listed> lists;
        for (auto const& [address, count] : wanted) {
            lists.push_back({address, count(), std::vector<std::uint64_t>{}});
            if (!lists.back().requests)
                lists.back().handshakes = ShardGroup::list_handshakes(address);
        }
        return lists;
    };
    listing_ = find_aside(shared_.loop, list, [this, began = MonotonicTime::now()](auto const& lists) {
        shared_.loop.set_owner(number_);
        judge(lists, began);
        look_again(MonotonicTime::now() - began);
    });
}

void ShardCustody::judge(std::vector<Listed> const& lists, MonotonicTime looked_at) {
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        auto seen = groups_[i].look_at_queues();
        if (!seen)
            continue; // a deadline ends it
        if (groups_[i].is_tcp()) {
            auto const list = std::ranges::find(lists, groups_[i].bound(), &Listed::address);
            if (list == lists.end() || !list->handshakes) // it came meanwhile, or could not be looked at
                continue;
            seen.value().handshakes = *list->handshakes;
            seen.value().requests = list->requests;
        }
        for (auto& watched : watched_)
            watched.watches[i].see(*seen, looked_at);
    }
    for (auto const& watched : watched_)
        if (watched.is_at_rest(groups_))
            at_rest_(watched.hosted.shard);
}

void ShardCustody::look_again(Duration taken) {
    if (!timer_)
        return;
    timer_.rearm(MonotonicTime::now() + std::max(pause_, taken * pauses_per_listing));
    pause_ = std::min(pause_ * 2, pace::longest_at_rest);
}

} // namespace holdfast
