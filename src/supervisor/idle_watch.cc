// SPDX-License-Identifier: Apache-2.0
#include "supervisor/idle_watch.h"

#include "socket/queue_snapshot.h"
#include "supervisor/arrival_watch.h"
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
constexpr Duration longest_listing = 10s; // in a thread of its own

} // namespace

Duration pause_between_looks(Duration idle_stop, Duration taken) {
    return std::max(std::clamp<Duration>(idle_stop / looks_per_stop, shortest, longest),
                    taken * pace::per_look);
}

IdleWatch::IdleWatch(UnitRunner& unit) : unit_{unit} {
    ++unit_.shared_.idle_watches;
    // Over a death it goes on: the core knows since when nobody is there, and who came meanwhile is seen now.
    is_told_ = unit_.state_.idle_since != MonotonicTime::never();
    timer_ = unit_.shared_.loop.at(MonotonicTime::now(), [this] { look(); });
}

IdleWatch::~IdleWatch() {
    unit_.shared_.arrivals->remove(unit_.number_);
    --unit_.shared_.idle_watches;
}

void IdleWatch::look() {
    unit_.shared_.loop.set_owner(unit_.number_);
    // Watched first: who comes after the look is heard of, who came before it is seen.
    auto& arrivals = *unit_.shared_.arrivals;
    arrivals.remove(unit_.number_);
    unit_.sockets_.each_with_clients(
        [&](Listener const& listener) { arrivals.add(listener.fd, unit_.number_); });
    if (is_anybody_waiting())
        return hear();
    auto const list = [open = OpenConnections{unit_.served_addresses()}] {
        return open.is_any_open(MonotonicTime::now() + longest_listing);
    };
    listing_ = find_aside(unit_.shared_.loop, list, [this, began = MonotonicTime::now()](bool is_anybody) {
        unit_.shared_.loop.set_owner(unit_.number_);
        judge(is_anybody, MonotonicTime::now() - began);
    });
}

void IdleWatch::judge(bool is_anybody, Duration taken) {
    taken_ = taken;
    if (is_anybody)
        return hear();
    is_sure_ = true;
    if (!std::exchange(is_told_, true))
        unit_.happen(IdleBegan{});
}

void IdleWatch::hear() {
    if (std::exchange(is_told_, false))
        unit_.happen(IdleEnded{});
    look_later();
}

void IdleWatch::look_later() {
    is_told_ = is_sure_ = false;
    listing_ = {};
    unit_.shared_.arrivals->remove(unit_.number_);
    timer_.rearm(MonotonicTime::now() + std::max(pause_between_looks(unit_.policy().idle_stop, taken_),
                                                 pace::per_unit * unit_.shared_.idle_watches));
}

bool IdleWatch::is_nobody_there_still() {
    unit_.shared_.arrivals->catch_up();
    return is_sure_ && !is_anybody_waiting();
}

bool IdleWatch::is_anybody_waiting() const {
    QueueSnapshot queues;
    bool is_anybody = false;
    unit_.sockets_.each_with_clients([&](Listener const& listener) {
        auto const queue = queues.queue_of(listener);
        is_anybody = is_anybody || !queue || queue->waiting > 0;
    });
    return is_anybody;
}

} // namespace holdfast
