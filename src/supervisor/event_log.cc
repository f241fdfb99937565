// SPDX-License-Identifier: Apache-2.0
#include "supervisor/event_log.h"

namespace holdfast {

void EventLog::add(Event event) {
    event.number = ++last_number_;
    event.time = std::chrono::system_clock::now();
    event.at = MonotonicTime::now();
    log_line(event.weight, event.unit.empty() ? event.text : event.unit + ": " + event.text);
    recent_.push_back(std::move(event));
    if (recent_.size() > most_events)
        recent_.pop_front();
    auto const& told = recent_.back(); // stays where it is when a follower adds another
    // A follower may end any following while it is told, also its own: so it is called as a copy, and the
    // next is looked for afterwards.
    for (auto next = followers_->begin(); next != followers_->end();) {
        auto const [number, follower] = *next;
        follower(told);
        next = followers_->upper_bound(number);
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
    followers_->emplace(++last_follower_, std::move(follower));
    return {followers_, last_follower_};
}

EventLog::Following& EventLog::Following::operator=(Following&& other) noexcept {
    if (this != &other) {
        end();
        followers_ = std::move(other.followers_);
        number_ = std::exchange(other.number_, 0);
    }
    return *this;
}

void EventLog::Following::end() {
    auto const followers = std::exchange(followers_, {}).lock();
    // Taken out first and destroyed afterwards: the follower may own what else follows.
    if (followers)
        auto const taken = followers->extract(std::exchange(number_, 0));
}

} // namespace holdfast
