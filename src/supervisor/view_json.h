// SPDX-License-Identifier: Apache-2.0
// How values become members of the interface's types. For view*.cc.
#pragma once

#include "base/time.h"

#include <chrono>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace holdfast::view {

template <class T>
nlohmann::json optional(std::optional<T> const& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}
inline nlohmann::json optional(std::string const& text) {
    return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}
inline nlohmann::json optional(std::optional<Duration> const& duration) {
    return duration ? nlohmann::json(duration->count()) : nlohmann::json(nullptr);
}

/// RFC 3339 with milliseconds, UTC.
[[nodiscard]] std::string time_text(std::chrono::system_clock::time_point time);

/// Of a process, in bytes and us; nothing where it is gone.
[[nodiscard]] std::optional<std::uint64_t> memory_of(pid_t pid);
[[nodiscard]] std::optional<std::uint64_t> cpu_of(pid_t pid);

} // namespace holdfast::view
