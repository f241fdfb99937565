// SPDX-License-Identifier: Apache-2.0
// What the small benchmark programs share: a stopwatch, a median, and their one line of JSON.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace holdfast::bench {

/// Microseconds that `act` takes.
template <class F>
[[nodiscard]] double time_of(F&& act) {
    auto const begin = std::chrono::steady_clock::now();
    act();
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

[[nodiscard]] inline double median(std::vector<double> samples) {
    if (samples.empty())
        return 0;
    auto const middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    std::nth_element(samples.begin(), middle, samples.end());
    return *middle;
}

/// Prints {"ours": [...], "bare": [...]}: the medians of successive rounds, in microseconds, for common.py to
/// judge; `more` are others of that kind.
inline void print_rounds(std::vector<double> const& ours, std::vector<double> const& bare,
                         std::map<std::string, std::vector<double>> const& more = {}) {
    auto const list = [](std::vector<double> const& values) {
        std::string text;
        char number[32];
        for (double const value : values) {
            std::snprintf(number, sizeof number, "%s%.3f", text.empty() ? "" : ", ", value);
            text += number;
        }
        return text;
    };
    std::printf("{\"ours\": [%s], \"bare\": [%s]", list(ours).c_str(), list(bare).c_str());
    for (auto const& [name, values] : more)
        std::printf(", \"%s\": [%s]", name.c_str(), list(values).c_str());
    std::printf("}\n");
}

} // namespace holdfast::bench
