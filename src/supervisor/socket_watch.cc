// SPDX-License-Identifier: Apache-2.0
// The watch for the first client on the listeners of a unit that nobody serves.
#include "supervisor/socket_watch.h"

#include "socket/connection.h"
#include "supervisor/socket_custody.h"

#include <algorithm>
#include <utility>

#include <sys/epoll.h>

namespace holdfast {

namespace {

constexpr Duration retry_pause = std::chrono::seconds{1};

constexpr std::uint32_t events_of(bool rests) {
    return rests ? 0U : std::uint32_t{EPOLLIN};
}

} // namespace

void SocketCustody::watch(std::function<void()> on_traffic) {
    watching_ = std::make_unique<Watching>();
    watching_->on_traffic = std::move(on_traffic);
    watch_held();
}

void SocketCustody::watch_limited(std::function<void()> on_traffic) {
    watch(std::move(on_traffic));
    watching_->is_limited = true;
    if (polls_)
        watch_held();
}

void SocketCustody::watch_each(std::function<void(Listener const&)> on_client) {
    watching_ = std::make_unique<Watching>();
    watching_->on_client = std::move(on_client);
    watch_held();
}

bool SocketCustody::is_watching_each() const {
    return watching_ && watching_->on_client;
}

void SocketCustody::rest(bool rests) {
    if (!is_watching_each() || watching_->is_resting == rests)
        return;
    watching_->is_resting = rests;
    if (!rests && watching_->sources.empty())
        return watch_held();
    for (auto& source : watching_->sources)
        source.set_events(events_of(rests));
}

void SocketCustody::restore_blocking() {
    for (auto const& held : held_)
        (void)make_non_blocking(held.fd, held.bound_with.non_blocking); // fcntl(2) has no reason to fail
}

void SocketCustody::unwatch() {
    watching_.reset();
}

void SocketCustody::stop_sources() {
    if (watching_)
        watching_->sources.clear();
}

void SocketCustody::watch_held() {
    if (!watching_)
        return;
    stop_sources();
    auto const now = MonotonicTime::now();
    bool const is_limited = watching_->is_limited && polls_ != nullptr;
    auto again_at = is_limited ? polls_->next_end(now) : MonotonicTime::never();
    bool const is_told_before = std::exchange(watching_->is_short, false);
    auto const watch_one = [&](Listener const& listener) {
        if (is_limited && polls_->left_alone_until(listener.fd.raw(), now))
            return;
        if (watching_->on_client) // accept(2) is not to wait for the next one where who was there has gone
            (void)make_non_blocking(listener.fd, true);
        auto source = shared_.loop.try_watch(
            listener.fd, events_of(watching_->is_resting),
            [this, fd = listener.fd.raw()](std::uint32_t) {
                if (watching_->is_resting) // it was shut down, which epoll(7) tells again and again
                    return stop_sources();
                watching_->on_client ? hear_each(fd) : hear_first(fd);
            },
            Priority::Clients);
        if (source)
            return watching_->sources.push_back(std::move(source).value());
        if (!is_told_before && !watching_->is_short)
            shared_.events.say(Weight::Failure, "socket-not-watched", spec_->name,
                               to_string(source.error()) + "; its clients wait, and this is tried again");
        watching_->is_short = true;
        again_at = std::min(again_at, now + retry_pause);
    };
    each_with_clients(watch_one);
    if (watching_->on_client) // nobody else accepts from these
        each_leaving([&](LeavingListener const& leaving) { watch_one(leaving.listener); });
    if (again_at != MonotonicTime::never())
        watching_->again = shared_.loop.at(again_at, [this] { watch_held(); });
}

void SocketCustody::hear_each(int listener) {
    auto const on_client = watching_->on_client; // it may end the watch
    Listener const* found = nullptr;
    for (auto const& held : held_)
        if (held.fd.raw() == listener)
            found = &held;
    each_leaving([&](LeavingListener const& leaving) {
        if (leaving.listener.fd.raw() == listener)
            found = &leaving.listener;
    });
    if (found != nullptr)
        on_client(*found);
}

/// Level-triggered: it would ring until somebody accepts.
void SocketCustody::hear_first(int listener) {
    auto const* const socket = watching_->is_limited ? spec_of(listener) : nullptr;
    if (socket != nullptr && !polls_)
        polls_ = std::make_unique<PollLimit>();
    auto const now = MonotonicTime::now();
    auto const until = socket != nullptr ? polls_->count(listener, *socket, now) : std::nullopt;
    if (!until) {
        auto const ended = std::move(watching_);
        return ended->on_traffic();
    }
    shared_.events.say(Weight::Warning, "poll-limit-hit", spec_->name,
                       socket->name + " has started it " + std::to_string(socket->poll_limit_burst) +
                           " times in " + to_string(socket->poll_limit_interval) +
                           " (poll_limit_burst): its clients wait, and it is listened to again in " +
                           to_short_string(*until - now));
    watch_held();
}

SocketSpec const* SocketCustody::spec_of(int listener) const {
    std::string const* name = nullptr;
    each_with_clients([&](Listener const& one) {
        if (one.fd.raw() == listener)
            name = &one.name;
    });
    auto const found = std::ranges::find_if(
        spec_->sockets, [&](SocketSpec const& socket) { return name != nullptr && socket.name == *name; });
    return found == spec_->sockets.end() ? nullptr : &*found;
}

std::optional<MonotonicTime> SocketCustody::left_alone_until(Listener const& listener) const {
    return polls_ && watching_ && watching_->is_limited
               ? polls_->left_alone_until(listener.fd.raw(), MonotonicTime::now())
               : std::nullopt;
}

} // namespace holdfast
