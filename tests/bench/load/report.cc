// SPDX-License-Identifier: Apache-2.0
#include "load/report.h"

#include <array>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace holdfast::load {

namespace {

struct Percentile {
    char const* name;
    double percent;
};
constexpr std::array percentiles{Percentile{"p50", 50}, Percentile{"p90", 90}, Percentile{"p99", 99},
                                 Percentile{"p99.9", 99.9}};

nlohmann::ordered_json to_json(Histogram const& histogram) {
    nlohmann::ordered_json json;
    for (auto const& [name, percent] : percentiles)
        json[name] = histogram.percentile(percent);
    json["max"] = histogram.max();
    json["mean"] = histogram.mean();
    return json;
}

std::string to_row(char const* title, Histogram const& histogram) {
    std::string row = title;
    for (auto const& [name, percent] : percentiles) {
        auto const us = static_cast<Duration::rep>(histogram.percentile(percent));
        row += std::string{"  "} + name + " " + to_short_string(Duration{us});
    }
    return row + "  max " + to_short_string(Duration{static_cast<Duration::rep>(histogram.max())}) + "\n";
}

} // namespace

bool is_clean(Tally const& tally, CleanLimits const& limits) {
    auto const us = [](std::uint64_t value) { return Duration{static_cast<Duration::rep>(value)}; };
    return tally.sent > 0 && tally.failed() == 0 && us(tally.latency.percentile(99)) <= limits.p99 &&
           us(tally.lag.percentile(99)) <= limits.lag_p99;
}

std::string to_table(Plan const& plan, Tally const& tally) {
    char line[256];
    std::string text =
        plan.target.text + ", " + (plan.keep_alive ? "keep-alive" : "a connection per request");
    std::snprintf(line, sizeof line, ", %.0f requests/s for %s\n", plan.rate,
                  to_string(plan.duration).c_str());
    text += line;
    std::snprintf(line, sizeof line, "requests   sent %llu  ok %llu  failed %llu\n",
                  static_cast<unsigned long long>(tally.sent), static_cast<unsigned long long>(tally.ok),
                  static_cast<unsigned long long>(tally.failed()));
    text += line;
    if (tally.failed() > 0) {
        text += "failed    ";
        for (auto const& row : enum_table(Failure{}))
            if (auto const count = tally.failures[static_cast<std::size_t>(row.value)]; count > 0)
                text += " " + std::string{row.name} + " " + std::to_string(count);
        text += "; the first: " + tally.first_failure + "\n";
    }
    if (plan.keep_alive)
        text += "keep-alive races (repeated, not failed) " + std::to_string(tally.keepalive_races) +
                ", connections opened " + std::to_string(tally.connects) + "\n";
    text += to_row("latency  ", tally.latency);
    text += to_row("generator", tally.lag);
    if (tally.late > 0)
        text += "the generator itself was late for " + std::to_string(tally.late) + " requests\n";
    for (auto const& [answer, count] : tally.answers)
        text += std::to_string(count) + " × " + answer + (answer.ends_with('\n') ? "" : "\n");
    return text;
}

std::string to_json(Plan const& plan, Tally const& tally) {
    nlohmann::ordered_json json;
    json["target"] = plan.target.text;
    json["keep_alive"] = plan.keep_alive;
    json["rate"] = plan.rate;
    json["duration_us"] = plan.duration.count();
    json["sent"] = tally.sent;
    json["ok"] = tally.ok;
    json["failed"] = tally.failed();
    for (auto const& row : enum_table(Failure{}))
        json["failures"][std::string{row.name}] = tally.failures[static_cast<std::size_t>(row.value)];
    json["first_failure"] = tally.first_failure;
    json["keepalive_races"] = tally.keepalive_races;
    json["connects"] = tally.connects;
    json["waited_for_connection"] = tally.waited;
    json["late"] = tally.late;
    json["generator_lag_max"] = tally.lag.max();
    json["generator_lag_us"] = to_json(tally.lag);
    json["latency_us"] = to_json(tally.latency);
    if (plan.keep_answers)
        json["answers"] = tally.answers;
    json["clean"] = is_clean(tally, {});
    // An answer may hold any bytes; what is not UTF-8 is replaced.
    return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

} // namespace holdfast::load
