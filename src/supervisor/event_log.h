// SPDX-License-Identifier: Apache-2.0
// What happened, for people: a ring of the last events of all units, followed by those who watch, and written
// to the log. Kinds are the words of lifecycle::Happening and a few of our own.
#pragma once

#include "base/time.h"
#include "supervisor/log.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sys/types.h>

namespace holdfast {

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
    class Following;

    /// Stamps the event, keeps it, logs it, and tells the followers.
    void add(Event event);
    /// Shorthand for one that is only a sentence.
    void say(Weight weight, std::string_view kind, std::string unit, std::string text);

    [[nodiscard]] std::deque<Event> const& recent() const { return recent_; }
    /// `follower` hears every further event until what is returned goes.
    [[nodiscard]] Following follow(Follower follower);
    [[nodiscard]] std::size_t followers() const { return followers_->size(); }

private:
    using Followers = std::map<std::uint64_t, Follower>; ///< in the order in which they came
    static constexpr std::size_t most_events = 1000;
    std::deque<Event> recent_;
    std::shared_ptr<Followers> followers_ = std::make_shared<Followers>();
    std::uint64_t last_number_ = 0;
    std::uint64_t last_follower_ = 0;
};

/// That somebody follows: ends with this. May outlive the log, and be held by the very follower.
class EventLog::Following {
public:
    Following() = default;
    Following(Following&& other) noexcept
        : followers_{std::move(other.followers_)}, number_{std::exchange(other.number_, 0)} {}
    Following& operator=(Following&& other) noexcept;
    ~Following() { end(); }
    void end();

private:
    friend class EventLog;
    Following(std::weak_ptr<Followers> followers, std::uint64_t number)
        : followers_{std::move(followers)}, number_{number} {}
    std::weak_ptr<Followers> followers_;
    std::uint64_t number_ = 0;
};

} // namespace holdfast
