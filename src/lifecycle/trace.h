// SPDX-License-Identifier: Apache-2.0
// A trace: what step() was given, one line each, in the form that `holdfast trace` prints and that tests
// replay: "1500000us exited worker=3 kind=clean". A policy line says the wanted spec from there on.
#pragma once

#include "lifecycle/fact.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace holdfast::lifecycle {

/// "policy spec=1 workers=2 …": every member by its name.
[[nodiscard]] std::string to_string(Policy const& policy);
[[nodiscard]] std::optional<Policy> parse_policy(std::string_view line);

struct TraceLine {
    MonotonicTime at;
    std::variant<Policy, Fact> what;
    bool operator==(TraceLine const&) const = default;
};
[[nodiscard]] std::string to_string(TraceLine const& line);
[[nodiscard]] std::optional<TraceLine> parse_trace_line(std::string_view line);

} // namespace holdfast::lifecycle
