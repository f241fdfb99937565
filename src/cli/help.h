// SPDX-License-Identifier: Apache-2.0
// The help texts, made to fit where they are read.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::cli {

/// Also in a pipe, which may lead to a terminal of this width or to a letter.
inline constexpr std::size_t help_width = 80;

/// `text` with its lines broken at a space so that none is longer than help_width, and without spaces at
/// their ends. What is broken goes on below the description of its option or verb, or two columns in.
[[nodiscard]] std::string fitted(std::string_view text);

} // namespace holdfast::cli
