// SPDX-License-Identifier: Apache-2.0
// A worker has ended a listener for all who share it, by shutdown(2). It is made to listen again at once; a
// worker that does it again and again, or a mending that fails, is met at a pace that costs nothing.
#include "socket/retire.h"
#include "supervisor/arrival_watch.h"
#include "supervisor/hangup_watch.h"
#include "supervisor/mending.h"
#include "supervisor/socket_custody.h"

#include <algorithm>

#include <sys/socket.h>

namespace holdfast {

namespace {

int backlog_of(UnitSpec const& spec, Listener const& listener) {
    for (auto const& socket : spec.sockets)
        if (socket.name == listener.name)
            for (auto const& address : socket.listen)
                if (address == listener.wanted)
                    return socket.backlog;
    return SOMAXCONN;
}

} // namespace

void SocketCustody::guard(Listener const& listener) {
    tell_changed();
    if (listener.wanted.transport == Transport::Udp || listener.inherited)
        return;
    if (auto const watched = shared_.hangups->add(listener.fd, number_); !watched)
        shared_.events.say(
            Weight::Warning, "socket-unwatched", spec_->name,
            to_string(listener.bound()) +
                ": a worker that shuts it down is noticed only when it ends: " + to_string(watched.error()));
}

void SocketCustody::unguard(Listener const& listener) {
    tell_changed();
    shared_.arrivals->forget(listener.fd);
    if (polls_)
        polls_->forget(listener.fd.raw());
    if (listener.wanted.transport != Transport::Udp && !listener.inherited)
        shared_.hangups->remove(listener.fd);
}

void SocketCustody::hear_hangup(int fd, Renewed renewed) {
    bool const is_held = std::any_of(held_.begin(), held_.end(),
                                     [fd](Listener const& listener) { return listener.fd.raw() == fd; });
    if (!is_held) {
        stop_sources();
        if (shards_) // or it was on its way out
            shards_->mend(spec_);
        return watch_held();
    }
    auto& hurt = hurt_of(fd);
    mending_->renewed = std::move(renewed);
    hurt.due = std::max(MonotonicTime::now(), hurt.pace.due());
    mend_due();
}

SocketCustody::Hurt& SocketCustody::hurt_of(int fd) {
    if (!mending_)
        mending_ = std::make_unique<Mending>();
    auto& all = mending_->hurt;
    auto const known = std::find_if(all.begin(), all.end(), [fd](Hurt const& hurt) { return hurt.fd == fd; });
    if (known != all.end())
        return *known;
    all.push_back({fd});
    return all.back();
}

void SocketCustody::mend_due() {
    auto const now = MonotonicTime::now();
    auto const is_due = [&](Listener const& listener) {
        auto const& all = mending_->hurt;
        return std::any_of(all.begin(), all.end(),
                           [&](Hurt const& hurt) { return hurt.fd == listener.fd.raw() && hurt.due <= now; });
    };
    stop_sources();
    for (auto& held : held_)
        if (is_due(held))
            mend(held, mending_->renewed);
    watch_held();
    arm_mending();
}

void SocketCustody::mend(Renewed const& renewed) {
    stop_sources();
    for (auto& held : held_)
        mend(held, renewed);
    if (shards_)
        shards_->mend(spec_);
    watch_held();
    if (mending_)
        arm_mending();
}

void SocketCustody::mend(Listener& listener, Renewed const& renewed) {
    if (listener.wanted.transport == Transport::Udp || listener.inherited)
        return;
    int const fd = listener.fd.raw();
    if (auto const listens = is_listening(listener); !mending_ && listens && *listens)
        return;        // as nearly always
    unguard(listener); // a unix socket that is mended is another one
    auto mended = keep_listening(listener, backlog_of(*spec_, listener));
    if (!mended && listener.wanted.is_abstract() && std::exchange(listener.kept, 0) != 0) {
        tell_changed(); // while the keeper holds the old one, its name is taken
        shared_.save_sockets(number_);
        if (may_be_free_now(mended.error()))
            mended = keep_listening(listener, backlog_of(*spec_, listener));
    }
    auto& hurt = hurt_of(fd);
    auto const now = MonotonicTime::now();
    hurt.fd = listener.fd.raw();
    if (!mended) {
        bool const is_news = hurt.pace.failed(now, mended.error().code);
        hurt.due = hurt.pace.retry_at;
        if (is_news)
            shared_.events.say(Weight::Failure, "socket-broken", spec_->name,
                               to_string(mended.error()) + "; this is tried again");
        return;
    }
    hurt.due = MonotonicTime::never();
    hurt.pace.succeeded();
    guard(listener);
    if (!*mended)
        return;
    hurt.pace.mended(now);
    shared_.events.say(Weight::Warning, "socket-mended", spec_->name,
                       to_string(listener.bound()) + " had been shut down by a worker; it listens again");
    if (listener.wanted.is_unix())
        listener.kept = 0;
    if (listener.wanted.is_unix() && renewed)
        renewed(listener);
}

/// What listens again and has not been shut down for a while is forgotten; the next try is for the earliest.
void SocketCustody::arm_mending() {
    auto const now = MonotonicTime::now();
    auto const is_held = [this](int fd) {
        return std::any_of(held_.begin(), held_.end(),
                           [fd](Listener const& listener) { return listener.fd.raw() == fd; });
    };
    auto& all = mending_->hurt;
    std::erase_if(all, [&](Hurt const& hurt) {
        return (hurt.due == MonotonicTime::never() && hurt.pace.paid_until <= now) || !is_held(hurt.fd);
    });
    auto next = MonotonicTime::never();
    for (auto const& hurt : all)
        next = std::min(next, hurt.due);
    if (mending_->timer)
        mending_->timer.rearm(next);
    else if (next != MonotonicTime::never())
        mending_->timer = shared_.loop.at(next, [this] {
            shared_.loop.set_owner(number_);
            mend_due();
        });
}

} // namespace holdfast
