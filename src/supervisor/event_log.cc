// SPDX-License-Identifier: Apache-2.0
#include "supervisor/event_log.h"

#include <spdlog/spdlog.h>

namespace holdfast {

namespace {

spdlog::level::level_enum level_of(Weight weight) {
    switch (weight) {
    case Weight::Normal:
        return spdlog::level::info;
    case Weight::Warning:
        return spdlog::level::warn;
    case Weight::Failure:
        return spdlog::level::err;
    }
    return spdlog::level::info;
}

} // namespace

void EventLog::add(Event event) {
    event.number = ++last_number_;
    event.time = std::chrono::system_clock::now();
    event.at = MonotonicTime::now();
    if (event.unit.empty())
        spdlog::log(level_of(event.weight), "{}", event.text);
    else
        spdlog::log(level_of(event.weight), "{}: {}", event.unit, event.text);
    recent_.push_back(std::move(event));
    if (recent_.size() > most_events)
        recent_.pop_front();
    auto const& told = recent_.back(); // stays where it is when a follower adds another
    // A follower may end its own following, and only its own, while it is told: so it is called as a copy.
    for (auto next = followers_.begin(); next != followers_.end();) {
        auto const follower = *next++;
        follower(told);
    }
}

void EventLog::say(Weight weight, std::string_view kind, std::string unit, std::string text) {
    Event event;
    event.weight = weight;
    event.kind = kind;
    event.unit = std::move(unit);
    event.text = std::move(text);
    add(std::move(event));
}

EventLog::Following EventLog::follow(Follower follower) {
    return followers_.insert(followers_.end(), std::move(follower));
}

void EventLog::unfollow(Following following) {
    followers_.erase(following);
}

} // namespace holdfast
