// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "harness.h"
#include "supervisor/alarms.h"

#include <vector>

namespace holdfast {

using namespace test;
using namespace std::chrono_literals;

namespace {

constexpr auto none = MonotonicTime::never();

struct Ringing : Turning {
    std::vector<std::uint32_t> rung;
    Alarms alarms{*loop, [this](std::uint32_t unit) { rung.push_back(unit); }};
};

} // namespace

TEST_CASE("alarms ring in the order of their times, each once", "[supervisor]") {
    Ringing ringing;
    auto const now = MonotonicTime::now();
    ringing.alarms.move(1, none, now + 30ms);
    ringing.alarms.move(2, none, now + 10ms);
    ringing.alarms.move(3, none, now + 10ms);
    REQUIRE(ringing.until([&] { return ringing.rung.size() == 3; }));
    CHECK(ringing.rung == std::vector<std::uint32_t>{2, 3, 1});
    CHECK(MonotonicTime::now() >= now + 30ms);
    ringing.settle();
    CHECK(ringing.rung.size() == 3);
}

TEST_CASE("an alarm that is moved rings at its new time, one that is cleared not at all", "[supervisor]") {
    Ringing ringing;
    auto const now = MonotonicTime::now();
    ringing.alarms.move(1, none, now + 1h);
    ringing.alarms.move(2, none, now + 5ms);
    ringing.alarms.move(1, now + 1h, now + 20ms);
    ringing.alarms.move(2, now + 5ms, none);
    REQUIRE(ringing.until([&] { return !ringing.rung.empty(); }));
    CHECK(ringing.rung == std::vector<std::uint32_t>{1});
    CHECK(MonotonicTime::now() >= now + 20ms);
}

TEST_CASE("an alarm that breaks leaves the others their time", "[supervisor]") {
    Turning turning;
    int broken = 0;
    std::vector<std::uint32_t> rung;
    turning.loop->on_broken([&](std::uint64_t, std::string_view) { ++broken; });
    Alarms alarms{*turning.loop, [&](std::uint32_t unit) {
                      if (unit == 1)
                          throw std::runtime_error{"broken"};
                      rung.push_back(unit);
                  }};
    auto const now = MonotonicTime::now();
    alarms.move(1, none, now);
    alarms.move(2, none, now);
    REQUIRE(turning.until([&] { return !rung.empty(); }));
    CHECK(broken == 1);
    CHECK(rung == std::vector<std::uint32_t>{2});
}

} // namespace holdfast
