// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"
#include "catch.h"

using namespace holdfast;
using namespace std::chrono_literals;

TEST_CASE("durations are read as systemd.time(7) writes them", "[base]") {
    auto const [text, expected] =
        GENERATE(table<std::string, Duration>({{"90s", 90s},
                                               {"90", 90s},
                                               {"1min 30s", 90s},
                                               {"1min30s", 90s},
                                               {"250ms", 250ms},
                                               {"2h", 2h},
                                               {"1.5", 1500ms},
                                               {"0.25s", 250ms},
                                               {"0", 0s},
                                               {"1d", 24h},
                                               {"1w", 168h},
                                               {"2 hours 5 minutes", 125min},
                                               {" 3 s ", 3s},
                                               {"\t3s\t", 3s},
                                               {"7us", 7us},
                                               {"1h 1min 1s 1ms 1us", 1h + 1min + 1s + 1ms + 1us},
                                               {"5m", 5min},
                                               {"1s 1s", 2s},
                                               {"infinity", forever},
                                               {" infinity ", forever}}));
    INFO(text);
    auto const read = parse_duration(text);
    REQUIRE(read.has_value());
    CHECK(*read == expected);
}

TEST_CASE("what is no duration is refused", "[base]") {
    auto const text = GENERATE(as<std::string>{}, "", " ", "s", "-1", "-1s", "+1", "1x", "1 fortnight", "1S",
                               "1M", "1e3", "0x10", "inf", "nan", "Infinity", "infinity 1s", "1s infinity",
                               ".5", "1..5", "1,5", "1s,", "1\n", "one", "1s -1s");
    INFO(text);
    CHECK_FALSE(parse_duration(text).has_value());
}

TEST_CASE("the longest duration is a thousand million seconds", "[base]") {
    CHECK(parse_duration("1000000000") == Duration{1000000000s});
    CHECK_FALSE(parse_duration("1000000001").has_value());
    CHECK_FALSE(parse_duration("1000000000s 1us").has_value());
    CHECK_FALSE(parse_duration("99999999999999999999999999w").has_value());
    CHECK_FALSE(parse_duration(std::string(400, '9')).has_value());
}

TEST_CASE("a sum of very many long durations is refused, not overflowed", "[base]") {
    // A bug once: each part was within the limit, and only the sum at the end was looked at.
    std::string text;
    for (int i = 0; i < 20000; ++i)
        text += "1000000000s ";
    CHECK_FALSE(parse_duration(text).has_value());
}

TEST_CASE("a fraction is rounded to the nearest microsecond", "[base]") {
    CHECK(parse_duration("0.0000004") == Duration{0});
    CHECK(parse_duration("0.0000006") == Duration{1});
    CHECK(parse_duration("0.1us") == Duration{0});
}

TEST_CASE("every duration is written so that it is read back", "[base]") {
    auto const duration = GENERATE(Duration{0}, Duration{1}, Duration{999}, Duration{1000}, Duration{1s},
                                   Duration{90s}, Duration{3600s}, Duration{24h}, Duration{168h},
                                   Duration{1h + 1us}, Duration{1000000000s}, forever);
    CHECK(parse_duration(to_string(duration)) == duration);
}

TEST_CASE("the exact form is the shortest", "[base]") {
    CHECK(to_string(Duration{90s}) == "1min 30s");
    CHECK(to_string(Duration{250ms}) == "250ms");
    CHECK(to_string(Duration{0}) == "0s");
    CHECK(to_string(Duration{-5}) == "0s");
    CHECK(to_string(Duration{168h}) == "1w");
    CHECK(to_string(forever) == "infinity");
}

TEST_CASE("for people a duration has three digits, or two units, at most", "[base]") {
    auto const [duration, text] = GENERATE(table<Duration, std::string>({{Duration{0}, "0us"},
                                                                         {Duration{840}, "840us"},
                                                                         {Duration{999}, "999us"},
                                                                         {Duration{1000}, "1ms"},
                                                                         {Duration{1250000}, "1.25s"},
                                                                         {Duration{12345678}, "12.3s"},
                                                                         {Duration{999499}, "999ms"},
                                                                         {Duration{999999}, "1s"},
                                                                         {Duration{59999999}, "1min"},
                                                                         {Duration{200s}, "3min 20s"},
                                                                         {Duration{25h}, "1d 1h"},
                                                                         {Duration{26h + 3min + 4s}, "1d 2h"},
                                                                         {forever, "infinity"}}));
    CHECK(to_short_string(duration) == text);
}

TEST_CASE("a point in time plus for ever is never, and never stays never", "[base]") {
    MonotonicTime const start{5s};
    CHECK(start + forever == MonotonicTime::never());
    CHECK(MonotonicTime::never() + 1s == MonotonicTime::never());
    CHECK(start + Duration{1s} == MonotonicTime{6s});
    CHECK(start + Duration{-1s} == MonotonicTime{4s});
    CHECK(start + (forever - Duration{5s}) == MonotonicTime::never());
    CHECK(start + (forever - Duration{5s} - Duration{1}) < MonotonicTime::never());
}

TEST_CASE("points in time are ordered and subtracted", "[base]") {
    CHECK(MonotonicTime{1s} < MonotonicTime{2s});
    CHECK(MonotonicTime{3s} - MonotonicTime{1s} == Duration{2s});
    CHECK(MonotonicTime{1s} - MonotonicTime{3s} == Duration{-2s});
    auto const earlier = MonotonicTime::now();
    CHECK(earlier <= MonotonicTime::now());
    CHECK(earlier > MonotonicTime{});
}
