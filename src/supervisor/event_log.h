// SPDX-License-Identifier: Apache-2.0
// What happened, for people: a ring of the last events of all units, followed by those who watch, and written
// to the log. Kinds are the words of lifecycle::Happening and a few of our own.
#pragma once

#include "base/time.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace holdfast {

enum class Weight { Normal, Warning, Failure };

struct Event {
    std::uint64_t number = 0; ///< from 1, without a gap
    std::chrono::system_clock::time_point time;
    MonotonicTime at;
    std::string unit;      ///< empty: the supervisor itself
    std::string_view kind; ///< a literal
    std::string text;
    Weight weight = Weight::Normal;
    std::optional<std::uint32_t> generation;
    std::optional<std::uint32_t> worker;
    std::optional<pid_t> pid;
};

class EventLog {
public:
    using Follower = std::function<void(Event const&)>;
    using Following = std::list<Follower>::iterator;

    /// Stamps the event, keeps it, logs it, and tells the followers.
    void add(Event event);
    /// Shorthand for one that is only a sentence.
    void say(Weight weight, std::string_view kind, std::string unit, std::string text);

    [[nodiscard]] std::deque<Event> const& recent() const { return recent_; }
    [[nodiscard]] Following follow(Follower follower);
    void unfollow(Following following);

private:
    static constexpr std::size_t most_events = 1000;
    std::deque<Event> recent_;
    std::list<Follower> followers_;
    std::uint64_t last_number_ = 0;
};

} // namespace holdfast
