// SPDX-License-Identifier: Apache-2.0
// Time as we use it: a point on CLOCK_MONOTONIC and durations in microseconds. No bare integer carries a unit
// in its name.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

using Duration = std::chrono::microseconds;

/// "infinity" in a unit file: the deadline that never comes.
inline constexpr Duration forever = Duration::max();

/// A point on CLOCK_MONOTONIC. Zero is boot.
class MonotonicTime {
public:
    constexpr MonotonicTime() = default;
    constexpr explicit MonotonicTime(Duration since_boot) : since_boot_{since_boot} {}
    [[nodiscard]] static MonotonicTime now();
    [[nodiscard]] static constexpr MonotonicTime never() { return MonotonicTime{forever}; }

    [[nodiscard]] constexpr Duration since_boot() const { return since_boot_; }
    /// Saturates: anything plus forever is never.
    friend constexpr MonotonicTime operator+(MonotonicTime t, Duration d) {
        if (d >= forever - t.since_boot_)
            return never();
        return MonotonicTime{t.since_boot_ + d};
    }
    friend constexpr Duration operator-(MonotonicTime a, MonotonicTime b) {
        return a.since_boot_ - b.since_boot_;
    }
    friend constexpr auto operator<=>(MonotonicTime, MonotonicTime) = default;

private:
    Duration since_boot_{0};
};

/// The processor time that the calling thread has used, see clock_gettime(2), CLOCK_THREAD_CPUTIME_ID.
[[nodiscard]] Duration thread_cpu_time();

/// A length of time as systemd.time(7) writes it: "90s", "1min 30s", "250ms", "2h", "infinity"; a bare number
/// is seconds ("1.5"). Units: us, ms, s, min, h, d, w (and their long forms). Nothing on a malformed text, a
/// negative one, or one past 10^9 seconds.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);

/// Every unit that it knows.
[[nodiscard]] std::vector<std::string_view> duration_units();

/// The shortest exact form that parse_duration reads back: "1min 30s", "250ms", "0s", "infinity".
[[nodiscard]] std::string to_string(Duration duration);

/// For people, two places at most: "1.25s", "3min 20s", "840us".
[[nodiscard]] std::string to_short_string(Duration duration);

} // namespace holdfast
