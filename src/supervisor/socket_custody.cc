// SPDX-License-Identifier: Apache-2.0
#include "supervisor/socket_custody.h"

#include "socket/connection.h"
#include "socket/retire.h"
#include "supervisor/addresses.h"
#include "supervisor/hangup_watch.h"
#include "supervisor/keeping.h"
#include "supervisor/pace.h"
#include "supervisor/policy.h"
#include "supervisor/socket_watch.h"

#include <algorithm>

#include <sys/socket.h>

namespace holdfast {

using namespace std::chrono_literals;

namespace {

constexpr Duration first_retry = 1s;
constexpr Duration longest_retry = 30s;

} // namespace

/// Some sockets are not held: when they are tried next, and who waits for them.
struct SocketCustody::Retrying {
    Duration delay = first_retry;
    std::function<void()> all_held;
    EventSource timer;
};

SocketCustody::SocketCustody(Shared& shared, std::uint32_t number, UnitSpecPtr spec)
    : shared_{shared}, spec_{std::move(spec)}, number_{number} {}

SocketCustody::~SocketCustody() {
    for (auto const& held : held_)
        unguard(held);
}

bool SocketCustody::hold(UnitSpecPtr spec, std::function<void()> all_held) {
    spec_ = std::move(spec);
    auto const failed_before = std::exchange(failed_, {});
    auto const held_before = identities_of(held_);
    each_address(*spec_, [&](SocketSpec const& socket, ListenAddress const& address) {
        auto const is_it = [&](FailedSocket const& other) {
            return other.address == address && other.name == socket.name;
        };
        if (held_before.contains({socket.name, address}) || holds_shards({socket.name, address}))
            return;
        auto bound = hold_one(socket, address);
        if (bound)
            return;
        failed_.push_back({socket.name, address, std::move(bound).error()});
        auto const known = std::find_if(failed_before.begin(), failed_before.end(), is_it);
        if (known == failed_before.end() || known->error.code != failed_.back().error.code)
            shared_.events.say(Weight::Failure, "socket-failed", spec_->name,
                               "socket " + to_string(failed_.back().error));
    });
    if (shards_)
        shards_->keep_fresh();
    watch_held();
    if (failed_.empty()) {
        retrying_.reset();
        return true;
    }
    if (!retrying_) {
        retrying_ = std::make_unique<Retrying>();
        retrying_->timer = shared_.loop.at(MonotonicTime::now() + retrying_->delay, [this] { try_again(); });
    }
    retrying_->all_held = std::move(all_held);
    return false;
}

Outcome SocketCustody::hold_one(SocketSpec const& socket, ListenAddress const& address) {
    if (is_sharded(socket, address))
        return bind_shards(*spec_, socket, address);
    auto bound = bind(*spec_, socket, address, {});
    if (!bound)
        return std::move(bound).error();
    guard(held_.emplace_back(std::move(bound).value()));
    return {};
}

Outcome SocketCustody::bind_shards(UnitSpec const& spec, SocketSpec const& socket,
                                   ListenAddress const& address) {
    make_shards();
    auto bound = shards_->bind(socket, address, spec.steering, pool_size(spec.service));
    if (!bound && may_be_free_now(bound.error()))
        bound = shards_->bind(socket, address, spec.steering, pool_size(spec.service));
    return bound;
}

bool SocketCustody::may_be_free_now(Error const& error) const {
    return error.code == EADDRINUSE && shared_.keeping && shared_.keeping->has_let_go();
}

void SocketCustody::change_shards(std::function<void()> const& change) {
    stop_sources();
    change();
    watch_held();
}

void SocketCustody::end_retrying() {
    failed_.clear();
    retrying_.reset();
}

void SocketCustody::try_again() {
    auto const then = retrying_->all_held;
    if (!hold(spec_, then)) {
        retrying_->delay = std::min(retrying_->delay * 2, longest_retry);
        return retrying_->timer.rearm(MonotonicTime::now() + retrying_->delay);
    }
    shared_.events.say(Weight::Normal, "sockets-held", spec_->name, "all sockets are held now");
    if (then)
        then();
}

void SocketCustody::retire_all(bool is_served, Duration deadline, std::function<void()> retired) {
    end_retrying();
    if (watching_ && watching_->on_client && is_served)
        stop_sources(); // who waits in them is still accepted
    else
        unwatch();
    auto leaving = std::exchange(held_, {});
    if (shards_)
        for (auto& listener : shards_->release_unless([](auto const&) { return false; }))
            leaving.push_back(std::move(listener));
    retire(std::move(leaving), is_served, deadline, std::move(retired));
}

void SocketCustody::retire(std::vector<Listener> leaving, bool is_served, Duration deadline,
                           std::function<void()> retired) {
    for (auto const& listener : leaving)
        unguard(listener);
    // Who passed one to us goes on holding it, and nobody is turned away.
    auto const at_once = std::ranges::stable_partition(
        leaving, [is_served](Listener const& listener) { return is_served && !listener.inherited; });
    for (auto& listener : at_once)
        close(std::move(listener));
    leaving.erase(at_once.begin(), at_once.end());
    if (leaving.empty() && !leaving_) {
        if (retired)
            shared_.loop.post(
                std::move(retired)); // never from within the call, so that the caller is done first
        return;
    }
    if (!leaving_)
        leaving_ = std::make_unique<Leaving>();
    for (auto& listener : leaving) {
        if (auto const closed = turn_clients_away(listener); !closed)
            shared_.events.say(Weight::Warning, "socket-open", spec_->name, to_string(closed.error()));
        leaving_->listeners.push_back({std::move(listener), MonotonicTime::now() + deadline});
    }
    if (retired)
        leaving_->retired.push_back(std::move(retired));
    watch_held();
    look_at_leaving_soon();
    tell_changed();
}

void SocketCustody::look_at_leaving_soon() {
    leaving_->pause = pace::first_at_rest;
    leaving_->timer = shared_.loop.at(MonotonicTime::now(), [this] { look_at_leaving(); });
}

void SocketCustody::close(Listener listener) {
    if (listener.inherited) {
        shared_.events.say(Weight::Normal, "socket-closed", spec_->name,
                           to_string(*listener.inherited) + " is no longer used; who passed it holds it");
        return tell_changed();
    }
    auto const waiting = count_waiting(listener);
    auto const address = to_string(listener.bound());
    if (waiting && *waiting == 0)
        shared_.events.say(Weight::Normal, "socket-closed", spec_->name,
                           address + " is closed, nobody was waiting in it");
    else
        shared_.events.say(Weight::Warning, "socket-closed", spec_->name,
                           address + " is closed with " +
                               (waiting ? std::to_string(*waiting) : "an unknown number of") +
                               " connections still waiting in it, which are reset");
    give_up(std::move(listener));
    tell_changed();
}

void SocketCustody::tell_changed() const {
    if (shared_.sockets_changed)
        shared_.sockets_changed(number_);
}

void SocketCustody::each_leaving(std::function<void(LeavingListener const&)> const& visit) const {
    if (leaving_)
        for (auto const& one : leaving_->listeners)
            visit(one);
}

void SocketCustody::each_listener(std::function<void(Listener&)> const& visit) {
    for (auto& held : held_)
        visit(held);
    if (leaving_)
        for (auto& one : leaving_->listeners)
            visit(one.listener);
    if (shards_)
        shards_->each_listener(visit);
}

void SocketCustody::adopt(UnitSpecPtr spec, std::vector<Listener> listeners, std::vector<ShardGroup> groups,
                          std::vector<LeavingListener> leaving, std::function<void()> retired) {
    spec_ = std::move(spec);
    if (!leaving.empty()) {
        leaving_ = std::make_unique<Leaving>();
        leaving_->listeners = std::move(leaving);
        leaving_->retired.push_back(std::move(retired));
        look_at_leaving_soon();
    }
    for (auto& listener : listeners)
        guard(held_.emplace_back(std::move(listener)));
    if (groups.empty())
        return;
    make_shards();
    for (auto& group : groups)
        shards_->adopt(std::move(group));
}

void SocketCustody::make_shards() {
    if (!shards_)
        shards_ = std::make_unique<ShardCustody>(
            shared_, number_, spec_->name,
            [this](std::function<void()> const& change) { change_shards(change); });
}

void SocketCustody::look_at_leaving() {
    auto const now = MonotonicTime::now();
    auto& listeners = leaving_->listeners;
    stop_sources();
    for (auto one = listeners.begin(); one != listeners.end();) {
        auto const waiting = count_waiting(one->listener);
        bool const is_empty = waiting && *waiting == 0;
        if (!is_empty && now < one->deadline) {
            ++one;
            continue;
        }
        close(std::move(one->listener));
        one = listeners.erase(one);
    }
    watch_held();
    if (!listeners.empty()) {
        leaving_->timer.rearm(now + leaving_->pause);
        leaving_->pause = std::min(leaving_->pause * 2, pace::longest_at_rest);
        return;
    }
    auto const leaving = std::move(leaving_);
    for (auto const& retired : leaving->retired)
        retired();
}

void SocketCustody::give_up_all() {
    unwatch();
    retrying_.reset();
    if (auto const leaving = std::move(leaving_))
        for (auto& one : leaving->listeners)
            give_up(std::move(one.listener));
    mending_.reset();
    for (auto& listener : held_) {
        unguard(listener);
        give_up(std::move(listener));
    }
    held_.clear();
    shards_.reset();
}

void SocketCustody::leave_all() {
    each_listener([](Listener& listener) { listener.path_inode = 0; });
    give_up_all();
}

std::vector<HeldListener> SocketCustody::hand_out(UnitSpec const& spec, std::optional<Shard> place) const {
    std::unordered_map<ListenerIdentity, Listener const*, IdentityHash> listeners;
    for (auto const& held : held_)
        listeners.emplace(identity_of(held), &held);
    if (leaving_)
        for (auto const& one : leaving_->listeners)
            listeners.emplace(identity_of(one.listener), &one.listener);
    std::vector<HeldListener> handed;
    each_address(spec, [&](SocketSpec const& socket, ListenAddress const& address) {
        auto const* const group = shards_ ? shards_->find({socket.name, address}) : nullptr;
        if (group != nullptr && place) {
            auto const& shard = ShardCustody::listener(*group, *place);
            handed.push_back({{socket.name, shard.fd}, shard.port});
        } else if (group != nullptr)
            for (auto const& [shard, weight] : group->shares())
                handed.push_back({{socket.name, group->listener(shard).fd}, group->listener(shard).port});
        else if (auto const found = listeners.find({socket.name, address}); found != listeners.end())
            handed.push_back({{socket.name, found->second->fd}, found->second->port});
    });
    return handed;
}

} // namespace holdfast
