// SPDX-License-Identifier: Apache-2.0
// Events are numbered, kept in a ring, and told to those who follow.
#include "harness.h"
#include "supervisor/event_log.h"

using namespace holdfast;
using namespace holdfast::test;

namespace {

struct Log : EventLog {
    void say_one(std::string text) { say(Weight::Normal, "test", "web", std::move(text)); }
};

} // namespace

TEST_CASE("events are numbered from 1 without a gap, and the last thousand are kept", "[supervisor]") {
    Log log;
    for (int i = 1; i <= 1500; ++i)
        log.say_one(std::to_string(i));
    REQUIRE(log.recent().size() == 1000);
    for (std::size_t i = 0; i < 1000; ++i) {
        REQUIRE(log.recent()[i].number == 501 + i);
        REQUIRE(log.recent()[i].text == std::to_string(501 + i));
    }
}

TEST_CASE("a follower hears every event until it ends, which it may do while it is told", "[supervisor]") {
    Log log;
    std::vector<std::string> heard;
    EventLog::Following first;
    first = log.follow([&](Event const& event) {
        heard.push_back("first " + event.text);
        if (event.text == "b")
            first.end();
    });
    auto second = log.follow([&](Event const& event) { heard.push_back("second " + event.text); });
    for (auto const* text : {"a", "b", "c"})
        log.say_one(text);
    second.end();
    log.say_one("d");
    CHECK(heard == std::vector<std::string>{"first a", "second a", "first b", "second b", "second c"});
}

TEST_CASE("a follower that adds an event does not change the one being told", "[supervisor]") {
    // Those after it were told the new event twice, and the old one never.
    Log log;
    std::vector<std::string> heard;
    auto const adding = log.follow([&](Event const& event) {
        if (event.text == "a")
            log.say_one("b");
    });
    auto const hearing = log.follow([&](Event const& event) { heard.push_back(event.text); });
    log.say_one("a");
    CHECK(heard == std::vector<std::string>{"b", "a"});
}

TEST_CASE("a follower that comes while one is told hears from the next on", "[supervisor]") {
    Log log;
    int late = 0;
    bool has_come = false;
    EventLog::Following second;
    auto const first = log.follow([&](Event const&) {
        if (!std::exchange(has_come, true))
            second = log.follow([&](Event const& event) { late += static_cast<int>(event.number); });
    });
    log.say_one("a");
    auto const after_first = late;
    log.say_one("b");
    CHECK(after_first <= 1); // told of it or not, but nothing before
    CHECK(late - after_first == 2);
}

TEST_CASE("a follower that holds its own following goes with the log", "[supervisor]") {
    // The following was ended from within the list of followers while that was being destroyed.
    auto token = std::make_shared<EventLog::Following>();
    std::weak_ptr<EventLog::Following> const seen = token;
    EventLog::Following outlives;
    {
        Log log;
        *token = log.follow([token](Event const&) {});
        outlives = log.follow([](Event const&) {});
        token.reset();
        CHECK_FALSE(seen.expired());
    }
    CHECK(seen.expired());
    outlives.end(); // harmless
}

TEST_CASE("a follower may end another's following while it is told", "[supervisor]") {
    Log log;
    int heard = 0;
    EventLog::Following second;
    auto const first = log.follow([&](Event const&) { second.end(); });
    second = log.follow([&](Event const&) { ++heard; });
    auto const third = log.follow([&](Event const&) { heard += 10; });
    log.say_one("a");
    CHECK(heard == 10);
}
