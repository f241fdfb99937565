// SPDX-License-Identifier: Apache-2.0
#include "supervisor/alarms.h"

namespace holdfast {

Alarms::Alarms(EventLoop& loop, std::function<void(std::uint32_t unit)> ring)
    : loop_{loop}, ring_{std::move(ring)} {}

void Alarms::move(std::uint32_t unit, MonotonicTime before, MonotonicTime at) {
    if (before == at)
        return;
    auto const first_before = first();
    if (before != MonotonicTime::never() && at != MonotonicTime::never()) {
        // Each ping of a watchdog comes here: it allocates nothing.
        auto node = due_.extract({before, unit});
        node.value() = {at, unit};
        due_.insert(std::move(node));
    } else if (before != MonotonicTime::never())
        due_.erase({before, unit});
    else
        due_.emplace(at, unit);
    if (!timer_)
        timer_ = loop_.at(first(), [this] { ring_first(); });
    else if (first() != first_before)
        timer_.rearm(first());
}

MonotonicTime Alarms::first() const {
    return due_.empty() ? MonotonicTime::never() : due_.begin()->first;
}

// One at a time: what is broken in one unit ends the call, and must not keep the alarms of others from
// ringing.
void Alarms::ring_first() {
    if (MonotonicTime::now() < first())
        return timer_.rearm(first());
    auto const unit = due_.begin()->second;
    due_.erase(due_.begin());
    timer_.rearm(first());
    ring_(unit);
}

} // namespace holdfast
