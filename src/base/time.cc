// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace holdfast {

using namespace std::chrono_literals;

namespace {

struct TimeUnit {
    std::string_view name;
    Duration length;
};

// The first name of each length is the one we write.
constexpr std::array time_units{
    TimeUnit{"w", 168h},      TimeUnit{"week", 168h},    TimeUnit{"weeks", 168h}, TimeUnit{"d", 24h},
    TimeUnit{"day", 24h},     TimeUnit{"days", 24h},     TimeUnit{"h", 1h},       TimeUnit{"hr", 1h},
    TimeUnit{"hour", 1h},     TimeUnit{"hours", 1h},     TimeUnit{"min", 1min},   TimeUnit{"m", 1min},
    TimeUnit{"minute", 1min}, TimeUnit{"minutes", 1min}, TimeUnit{"s", 1s},       TimeUnit{"sec", 1s},
    TimeUnit{"second", 1s},   TimeUnit{"seconds", 1s},   TimeUnit{"ms", 1ms},     TimeUnit{"msec", 1ms},
    TimeUnit{"us", 1us},      TimeUnit{"usec", 1us},
};

constexpr double longest_seconds = 1e9;

std::string_view skip_spaces(std::string_view text) {
    auto const start = text.find_first_not_of(" \t");
    return start == std::string_view::npos ? std::string_view{} : text.substr(start);
}

} // namespace

std::vector<std::string_view> duration_units() {
    std::vector<std::string_view> names;
    for (auto const& unit : time_units)
        names.push_back(unit.name);
    return names;
}

std::optional<Duration> parse_duration(std::string_view text) {
    text = skip_spaces(text);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    if (text == "infinity")
        return forever;
    if (text.empty())
        return std::nullopt;
    Duration total{0};
    while (!text.empty()) {
        if (text.front() < '0' || text.front() > '9') // from_chars would also take "inf", "-1", ".5"
            return std::nullopt;
        double number = 0;
        auto const [end, problem] =
            std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
        if (problem != std::errc{})
            return std::nullopt;
        text = skip_spaces(text.substr(static_cast<std::size_t>(end - text.data())));
        std::size_t letters = 0;
        while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z')
            ++letters;
        std::string_view const unit = letters == 0 ? "s" : text.substr(0, letters);
        Duration length{0};
        for (auto const& candidate : time_units)
            if (candidate.name == unit)
                length = candidate.length;
        if (length == Duration{0})
            return std::nullopt;
        auto const seconds = number * static_cast<double>(length.count()) / 1e6;
        if (!(seconds <= longest_seconds))
            return std::nullopt;
        total += Duration{static_cast<Duration::rep>(number * static_cast<double>(length.count()) + 0.5)};
        // Here and not once at the end: the sum of many parts that are each within the limit would overflow.
        if (total > std::chrono::seconds{static_cast<long>(longest_seconds)})
            return std::nullopt;
        text = skip_spaces(text.substr(letters));
    }
    return total;
}

std::string to_string(Duration duration) {
    if (duration == forever)
        return "infinity";
    if (duration <= Duration{0})
        return "0s";
    std::string text;
    Duration last{0};
    for (auto const& unit : time_units) {
        if (unit.length == last) // a long form
            continue;
        last = unit.length;
        auto const count = duration / unit.length;
        if (count == 0)
            continue;
        duration -= count * unit.length;
        if (!text.empty())
            text += ' ';
        text += std::to_string(count);
        text += unit.name;
    }
    return text;
}

std::string to_short_string(Duration duration) {
    if (duration == forever)
        return "infinity";
    char buffer[64];
    auto const us = static_cast<double>(duration.count());
    // The limits are where three digits would round up to the next unit: 999.5ms is 1s, not 1e+03ms.
    if (duration < 1ms) {
        std::snprintf(buffer, sizeof buffer, "%.0fus", us);
    } else if (duration < 999500us) {
        std::snprintf(buffer, sizeof buffer, "%.3gms", us / 1e3);
    } else if (duration < 59950ms) {
        std::snprintf(buffer, sizeof buffer, "%.3gs", us / 1e6);
    } else {
        auto text = to_string(std::chrono::round<std::chrono::seconds>(duration));
        auto const second_space = text.find(' ', std::min(text.find(' '), text.size() - 1) + 1);
        return text.substr(0, second_space);
    }
    return buffer;
}

} // namespace holdfast
