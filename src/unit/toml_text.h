// SPDX-License-Identifier: Apache-2.0
// One file's TOML text as a tree, or its syntax error. The only door to toml++.
#pragma once

#include "unit/node.h"
#include "unit/report.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast {

inline constexpr std::size_t largest_unit_file = 1024UL * 1024;

/// Reads `text`, which is file number `file` of `report`. Nothing after a syntax error, which is reported
/// then: the first one only, since what follows it is guesswork.
[[nodiscard]] std::optional<Node> read_toml(std::string_view text, std::uint32_t file, Report& report);

/// What toml++ must not be given, in toml_guard.cc: text that is too large, no UTF-8, or nested so deeply
/// that its recursion would end the stack. True when it was reported.
[[nodiscard]] bool report_unreadable(std::string_view text, std::uint32_t file, Report& report);

} // namespace holdfast
