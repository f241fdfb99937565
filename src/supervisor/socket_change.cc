// SPDX-License-Identifier: Apache-2.0
// The sockets of a unit change: what is new is bound before anything else is touched, also beside a listener
// of ours that is in its way and goes; what another unit has is taken over as it is; what goes is retired
// when somebody serves the rest.
#include "socket/connection.h"
#include "socket/side_by_side.h"
#include "supervisor/addresses.h"
#include "supervisor/hangup_watch.h"
#include "supervisor/socket_custody.h"

#include <algorithm>

namespace holdfast {

/// Those of ours that are to go and are in the way of `address`.
SocketCustody::InTheWay SocketCustody::find_in_the_way(UnitSpec const& wanted, ListenAddress const& address,
                                                       Arrivals const& arrivals) {
    InTheWay found;
    if (address.is_unix() || address.is_inherited() || address.port == 0)
        return found;
    for (auto const* displaced : arrivals.displaced)
        if (may_collide(displaced->bound(), address))
            found.fds.emplace_back(displaced->fd);
    if (leaving_)
        for (auto& one : leaving_->listeners)
            if (may_collide(one.listener.bound(), address)) {
                found.fds.emplace_back(one.listener.fd);
                found.leaving.push_back(&one.listener);
            }
    auto const collides = [&](Listener const& held) {
        return !held.inherited && may_collide(held.bound(), address);
    };
    if (std::none_of(held_.begin(), held_.end(), collides))
        return found; // as nearly always: the rest is not for ten thousand of them
    auto const sockets = sockets_of(wanted);
    for (auto const& held : held_)
        if (collides(held) && !sockets.contains(identity_of(held))) {
            found.fds.emplace_back(held.fd);
            found.is_held = true;
        }
    return found;
}

Result<Listener> SocketCustody::bind(UnitSpec const& wanted, SocketSpec const& socket,
                                     ListenAddress const& address, Arrivals const& arrivals) {
    if (address.is_inherited())
        return take_up(shared_.passed, socket, address);
    auto const in_the_way = find_in_the_way(wanted, address, arrivals);
    // Who serves the old one is to have its clients until somebody serves the new one.
    auto const bind_now = [&] {
        return in_the_way.fds.empty() ? bind_listener(socket, address)
                                      : bind_beside(socket, address, in_the_way.fds, in_the_way.is_held);
    };
    auto bound = bind_now();
    if (!bound && may_be_free_now(bound.error()))
        bound = bind_now();
    if (bound)
        for (auto* leaving : in_the_way.leaving) {
            leaving->is_replaced = true;
            (void)divert(*leaving); // where that fails it is closed to clients already
        }
    if (bound && address.transport != Transport::Udp)
        if (auto const backlog = effective_backlog(socket.backlog); backlog < socket.backlog)
            shared_.events.say(Weight::Normal, "backlog-capped", wanted.name,
                               "backlog " + std::to_string(socket.backlog) + " of " + to_string(address) +
                                   " is capped to " + std::to_string(backlog) + " by net.core.somaxconn");
    return bound;
}

Result<std::vector<Listener>> SocketCustody::bind_new(UnitSpec const& wanted, Arrivals const& arrivals,
                                                      bool all_or_nothing) {
    std::vector<Listener> bound;
    std::optional<Error> problem;
    if (shards_) {
        stop_sources();
        shards_->drop_fresh(); // of a change that was refused
        watch_held();
    }
    auto const held_before = identities_of(held_);
    each_address(wanted, [&](SocketSpec const& socket, ListenAddress const& address) {
        ListenerIdentity const identity{socket.name, address};
        bool const is_shards = holds_shards(identity);
        if (!problem && (is_sharded(socket, address) ? held_before.contains(identity) : is_shards)) {
            problem =
                plain_error("`reuse_port` of " + to_string(address) + " cannot be changed while it is held",
                            socket.name, "apply without this socket first, then with it");
            return;
        }
        if (is_shards)
            return;
        if (!problem && !arrivals.coming.contains(identity) && is_sharded(socket, address)) {
            auto done = bind_shards(wanted, socket, address);
            if (!done && all_or_nothing)
                problem = std::move(done).error();
            return;
        }
        if (problem || held_before.contains(identity) || arrivals.coming.contains(identity))
            return;
        auto one = bind(wanted, socket, address, arrivals);
        if (one)
            bound.push_back(std::move(one).value());
        else if (all_or_nothing)
            problem = std::move(one).error();
    });
    if (!problem)
        return bound;
    for (auto& listener : bound)
        give_up(std::move(listener));
    if (shards_)
        shards_->drop_fresh();
    return std::move(*problem);
}

void SocketCustody::take_over(UnitSpecPtr spec, std::vector<Listener> arrived) {
    for (auto& listener : arrived)
        guard(held_.emplace_back(std::move(listener)));
    auto const sockets = sockets_of(*spec);
    for (auto& held : held_)
        if (auto const wanted = sockets.find(identity_of(held)); wanted != sockets.end() && !held.inherited)
            if (auto const changed = change_in_place(held, *wanted->second); !changed)
                shared_.events.say(Weight::Warning, "socket-unchanged", spec_->name,
                                   to_string(changed.error()));
    if (shards_) {
        shards_->keep_fresh();
        shards_->change(spec);
    }
    watch_held();
    spec_ = std::move(spec);
    end_retrying();
    tell_changed();
}

Listener const* SocketCustody::find(ListenerIdentity const& identity) const {
    auto const found = std::find_if(held_.begin(), held_.end(), [&](Listener const& listener) {
        return identity_of(listener) == identity;
    });
    return found == held_.end() ? nullptr : &*found;
}

bool SocketCustody::holds_all(UnitSpec const& spec) const {
    auto const held = identities_of(held_);
    bool is_all = true;
    each_address(spec, [&](SocketSpec const& socket, ListenAddress const& address) {
        ListenerIdentity const identity{socket.name, address};
        is_all = is_all && (held.contains(identity) || holds_shards(identity));
    });
    return is_all;
}

Listener SocketCustody::release(ListenerIdentity const& identity) {
    auto const* const found = find(identity);
    ensure(found != nullptr, "what is released is held");
    unguard(*found);
    stop_sources();
    auto const place = held_.begin() + (found - held_.data());
    Listener released = std::move(*place);
    if (spec_->service.accept) // who gets it may wait in accept(2)
        (void)make_non_blocking(released.fd, released.bound_with.non_blocking);
    held_.erase(place);
    watch_held();
    return released;
}

void SocketCustody::mark_replaced(ListenerIdentity const& identity) {
    for (auto& held : held_)
        if (identity_of(held) == identity)
            held.is_replaced = true;
}

void SocketCustody::retire_unlisted(UnitSpec const& spec, bool is_served, Duration deadline,
                                    std::function<void()> retired) {
    auto const sockets = sockets_of(spec);
    std::vector<Listener> leaving;
    std::vector<Listener> staying;
    for (auto& held : held_)
        (sockets.contains(identity_of(held)) ? staying : leaving).push_back(std::move(held));
    stop_sources();
    if (shards_)
        for (auto& listener : shards_->release_unless(
                 [&](ListenerIdentity const& identity) { return sockets.contains(identity); }))
            leaving.push_back(std::move(listener));
    held_ = std::move(staying);
    watch_held();
    tell_changed();
    // First the new ones are opened, so that there is no moment without.
    for (auto& held : held_)
        if (auto const shown = reveal(held); !shown)
            shared_.events.say(Weight::Failure, "socket-hidden", spec_->name, to_string(shown.error()));
    for (auto& listener : leaving)
        listener.is_replaced |= std::any_of(held_.begin(), held_.end(), [&](Listener const& held) {
            return may_collide(held.bound(), listener.bound());
        });
    retire(std::move(leaving), is_served, deadline, std::move(retired));
}

void SocketCustody::withdraw(UnitSpec const& serving) {
    auto const sockets = sockets_of(serving);
    auto const takes_clients_of_served = [&](Listener const& fresh) {
        return !fresh.is_hidden && !sockets.contains(identity_of(fresh)) &&
               std::any_of(held_.begin(), held_.end(), [&](Listener const& held) {
                   return sockets.contains(identity_of(held)) && may_collide(held.bound(), fresh.bound());
               });
    };
    std::vector<Listener> leaving;
    for (auto held = held_.begin(); held != held_.end();) {
        if (!takes_clients_of_served(*held)) {
            ++held;
            continue;
        }
        leaving.push_back(std::move(*held));
        held = held_.erase(held);
    }
    if (leaving.empty())
        return;
    watch_held();
    retire(std::move(leaving), false, Duration{0}, {});
}

} // namespace holdfast
