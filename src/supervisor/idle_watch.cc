// SPDX-License-Identifier: Apache-2.0
#include "supervisor/idle_watch.h"

#include "socket/queue_snapshot.h"
#include "supervisor/pace.h"
#include "supervisor/unit_runner.h"

#include <algorithm>

namespace holdfast {

using namespace lifecycle;
using namespace std::chrono_literals;

namespace {

constexpr int looks_per_stop = 10; // it ends a tenth of idle_stop late at most
constexpr Duration shortest = 20ms;
constexpr Duration longest = 1min;
constexpr Duration longest_listing = 50ms;

} // namespace

Duration pause_between_looks(Duration idle_stop, Duration taken) {
    return std::max(std::clamp<Duration>(idle_stop / looks_per_stop, shortest, longest),
                    taken * pace::per_look);
}

IdleWatch::IdleWatch(UnitRunner& unit) : unit_{unit} {
    // Over a death it goes on: the core knows since when nobody is there, and who came meanwhile is seen now.
    is_told_ = unit_.state_.idle_since != MonotonicTime::never();
    timer_ = unit_.shared_.loop.at(MonotonicTime::now(), [this] { look(); });
}

IdleWatch::~IdleWatch() {
    unit_.sockets_.unwatch();
}

void IdleWatch::look() {
    unit_.shared_.loop.set_owner(unit_.number_);
    // Watched first: who comes after the look is noticed, who came before it is seen.
    unit_.sockets_.watch([this] { hear(); });
    auto const began = MonotonicTime::now();
    bool const is_nobody = is_nobody_there(unit_);
    taken_ = MonotonicTime::now() - began;
    if (!is_nobody)
        return hear();
    if (!std::exchange(is_told_, true))
        unit_.happen(IdleBegan{});
}

void IdleWatch::hear() {
    unit_.shared_.loop.set_owner(unit_.number_);
    if (std::exchange(is_told_, false))
        unit_.happen(IdleEnded{});
    look_later();
}

void IdleWatch::look_later() {
    is_told_ = false;
    unit_.sockets_.unwatch();
    timer_.rearm(MonotonicTime::now() + pause_between_looks(unit_.policy().idle_stop, taken_));
}

bool IdleWatch::is_nobody_there(UnitRunner& unit) {
    QueueSnapshot queues;
    bool is_anybody = false;
    auto const see = [&](Listener const& listener) {
        auto const queue = queues.queue_of(listener);
        is_anybody = is_anybody || !queue || queue->waiting > 0;
    };
    for (auto const& held : unit.sockets_.held())
        see(held);
    if (auto const* const shards = unit.sockets_.shards())
        shards->each_member([&](ShardMember const& member) {
            if (member.shard)
                see(member.listener);
        });
    return !is_anybody &&
           !OpenConnections{unit.served_addresses()}.is_any_open(MonotonicTime::now() + longest_listing);
}

} // namespace holdfast
