// SPDX-License-Identifier: Apache-2.0
#include "supervisor/socket_custody.h"

#include "socket/retire.h"

#include <algorithm>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace holdfast {

using namespace std::chrono_literals;

namespace {

constexpr Duration first_retry = 1s;
constexpr Duration longest_retry = 30s;
constexpr Duration leaving_look = 10ms;

/// Calls `visit(SocketSpec, ListenAddress)` for every address of the unit, in order.
template <class Visit>
void each_address(UnitSpec const& spec, Visit visit) {
    for (auto const& socket : spec.sockets)
        for (auto const& address : socket.listen)
            visit(socket, address);
}

SocketSpec const* find_socket(UnitSpec const& spec, ListenAddress const& wanted) {
    SocketSpec const* found = nullptr;
    each_address(spec, [&](SocketSpec const& socket, ListenAddress const& address) {
        if (address == wanted)
            found = &socket;
    });
    return found;
}

} // namespace

/// Listeners that are no longer wanted and still have clients in them.
struct SocketCustody::Leaving {
    std::vector<Listener> listeners;
    std::vector<std::function<void()>> retired;
    MonotonicTime deadline;
    EventSource timer;
};

/// Some sockets are not held: when they are tried next, and who waits for them.
struct SocketCustody::Retrying {
    Duration delay = first_retry;
    std::function<void()> all_held;
    EventSource timer;
};

struct SocketCustody::Watching {
    std::function<void()> on_traffic;
    std::vector<EventSource> sources;
};

SocketCustody::SocketCustody(EventLoop& loop, EventLog& events, UnitSpecPtr spec)
    : loop_{loop}, events_{events}, spec_{std::move(spec)} {}

SocketCustody::~SocketCustody() = default;

Result<Listener> SocketCustody::bind(SocketSpec const& socket, ListenAddress const& address) {
    auto bound = bind_listener(socket, address);
    if (bound && address.transport != Transport::Udp)
        if (auto const backlog = effective_backlog(socket.backlog); backlog < socket.backlog)
            events_.say(Weight::Normal, "backlog-capped", spec_->name,
                        "backlog " + std::to_string(socket.backlog) + " of " + to_string(address) +
                            " is capped to " + std::to_string(backlog) + " by net.core.somaxconn");
    return bound;
}

bool SocketCustody::hold(UnitSpecPtr spec, std::function<void()> all_held) {
    spec_ = std::move(spec);
    auto const failed_before = std::exchange(failed_, {});
    each_address(*spec_, [&](SocketSpec const& socket, ListenAddress const& address) {
        auto const is_it = [&](auto const& other) { return other.address == address; };
        if (std::any_of(held_.begin(), held_.end(),
                        [&](Listener const& held) { return held.wanted == address; }))
            return;
        auto bound = bind(socket, address);
        if (bound) {
            held_.push_back(std::move(bound).value());
            return;
        }
        failed_.push_back({socket.name, address, std::move(bound).error()});
        auto const known = std::find_if(failed_before.begin(), failed_before.end(), is_it);
        if (known == failed_before.end() || known->error.code != failed_.back().error.code)
            events_.say(Weight::Failure, "socket-failed", spec_->name,
                        "socket " + to_string(failed_.back().error));
    });
    watch_held();
    if (failed_.empty()) {
        retrying_.reset();
        return true;
    }
    if (!retrying_) {
        retrying_ = std::make_unique<Retrying>();
        retrying_->timer = loop_.at(MonotonicTime::now() + retrying_->delay, [this] { try_again(); });
    }
    retrying_->all_held = std::move(all_held);
    return false;
}

void SocketCustody::try_again() {
    auto const then = retrying_->all_held;
    if (!hold(spec_, then)) {
        retrying_->delay = std::min(retrying_->delay * 2, longest_retry);
        return retrying_->timer.rearm(MonotonicTime::now() + retrying_->delay);
    }
    events_.say(Weight::Normal, "sockets-held", spec_->name, "all sockets are held now");
    if (then)
        then();
}

Outcome SocketCustody::change(UnitSpecPtr spec, bool is_served, Duration deadline,
                              std::function<void()> retired) {
    std::vector<Listener> added;
    std::optional<Error> problem;
    // What is new is bound before anything else is touched, so that a refusal changes nothing.
    each_address(*spec, [&](SocketSpec const& socket, ListenAddress const& address) {
        if (problem || std::any_of(held_.begin(), held_.end(),
                                   [&](Listener const& held) { return held.wanted == address; }))
            return;
        auto bound = bind(socket, address);
        if (bound)
            added.push_back(std::move(bound).value());
        else
            problem = std::move(bound).error();
    });
    if (problem) {
        for (auto& listener : added)
            give_up(std::move(listener));
        return std::move(*problem);
    }
    auto leaving = drop_unlisted(*spec);
    std::move(added.begin(), added.end(), std::back_inserter(held_));
    watch_held();
    spec_ = std::move(spec);
    failed_.clear();
    retrying_.reset();
    retire(std::move(leaving), is_served, deadline, std::move(retired));
    return {};
}

std::vector<Listener> SocketCustody::drop_unlisted(UnitSpec const& spec) {
    std::vector<Listener> leaving;
    std::vector<Listener> staying;
    for (auto& held : held_) {
        auto const* const wanted = find_socket(spec, held.wanted);
        if (wanted == nullptr) {
            leaving.push_back(std::move(held));
            continue;
        }
        if (auto const changed = change_in_place(held, *wanted); !changed)
            events_.say(Weight::Warning, "socket-unchanged", spec_->name, to_string(changed.error()));
        staying.push_back(std::move(held));
    }
    held_ = std::move(staying);
    watch_held();
    return leaving;
}

void SocketCustody::forget_unlisted(UnitSpec const& spec) {
    retire(drop_unlisted(spec), false, Duration{0}, {});
}

void SocketCustody::retire_all(bool is_served, Duration deadline, std::function<void()> retired) {
    retrying_.reset();
    failed_.clear();
    unwatch();
    retire(std::exchange(held_, {}), is_served, deadline, std::move(retired));
}

void SocketCustody::retire(std::vector<Listener> leaving, bool is_served, Duration deadline,
                           std::function<void()> retired) {
    if (leaving.empty() && !leaving_) {
        if (retired)
            loop_.post(std::move(retired)); // never from within the call, so that the caller is done first
        return;
    }
    if (!leaving_)
        leaving_ = std::make_unique<Leaving>();
    for (auto& listener : leaving) {
        if (auto const closed = turn_clients_away(listener); !closed)
            events_.say(Weight::Warning, "socket-open", spec_->name, to_string(closed.error()));
        leaving_->listeners.push_back(std::move(listener));
    }
    if (retired)
        leaving_->retired.push_back(std::move(retired));
    // Where nobody accepts, waiting empties no queue.
    leaving_->deadline = MonotonicTime::now() + (is_served ? deadline : Duration{0});
    leaving_->timer = loop_.at(MonotonicTime::now(), [this] { look_at_leaving(); });
}

void SocketCustody::look_at_leaving() {
    auto const now = MonotonicTime::now();
    auto& listeners = leaving_->listeners;
    for (auto listener = listeners.begin(); listener != listeners.end();) {
        auto const waiting = count_waiting(*listener);
        bool const is_empty = waiting && *waiting == 0;
        if (!is_empty && now < leaving_->deadline) {
            ++listener;
            continue;
        }
        auto const address = to_string(listener->bound());
        if (is_empty)
            events_.say(Weight::Normal, "socket-closed", spec_->name,
                        address + " is closed, nobody was waiting in it");
        else
            events_.say(Weight::Warning, "socket-closed", spec_->name,
                        address + " is closed with " +
                            (waiting ? std::to_string(*waiting) : "an unknown number of") +
                            " connections still waiting in it, which are reset");
        give_up(std::move(*listener));
        listener = listeners.erase(listener);
    }
    if (!listeners.empty()) {
        leaving_->timer.rearm(now + leaving_look);
        return;
    }
    auto const leaving = std::move(leaving_);
    for (auto const& retired : leaving->retired)
        retired();
}

void SocketCustody::give_up_all() {
    unwatch();
    retrying_.reset();
    if (leaving_)
        std::move(leaving_->listeners.begin(), leaving_->listeners.end(), std::back_inserter(held_));
    leaving_.reset();
    for (auto& listener : held_)
        give_up(std::move(listener));
    held_.clear();
}

void SocketCustody::mend() {
    // A unix socket that is mended is another one, so nothing is watched meanwhile.
    auto on_traffic = watching_ ? std::move(watching_->on_traffic) : std::function<void()>{};
    unwatch();
    for (auto& held : held_) {
        auto const* const socket = find_socket(*spec_, held.wanted);
        auto const mended = keep_listening(held, socket != nullptr ? socket->backlog : SOMAXCONN);
        if (!mended)
            events_.say(Weight::Failure, "socket-broken", spec_->name, to_string(mended.error()));
        else if (*mended)
            events_.say(Weight::Warning, "socket-mended", spec_->name,
                        to_string(held.bound()) + " had been shut down by a worker; it listens again");
    }
    if (on_traffic)
        watch(std::move(on_traffic));
}

std::vector<HeldListener> SocketCustody::hand_out(UnitSpec const& spec) const {
    std::vector<HeldListener> handed;
    each_address(spec, [&](SocketSpec const& socket, ListenAddress const& address) {
        for (auto const& held : held_)
            if (held.wanted == address)
                handed.push_back({{socket.name, held.fd}, held.port});
    });
    return handed;
}

void SocketCustody::watch(std::function<void()> on_traffic) {
    watching_ = std::make_unique<Watching>();
    watching_->on_traffic = std::move(on_traffic);
    watch_held();
}

void SocketCustody::unwatch() {
    watching_.reset();
}

void SocketCustody::watch_held() {
    if (!watching_)
        return;
    watching_->sources.clear();
    for (auto const& held : held_)
        watching_->sources.push_back(loop_.watch(
            held.fd, EPOLLIN,
            [this](std::uint32_t) {
                // Level-triggered: it would ring until somebody accepts.
                auto const ended = std::move(watching_);
                ended->on_traffic();
            },
            Priority::Clients));
}

} // namespace holdfast
