// SPDX-License-Identifier: Apache-2.0
// Small text helpers that several folders need: the nearest of some names, names that may be unit or socket
// names.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace holdfast {

/// Edit distance (insert, delete, replace, swap of neighbours), capped: a result above `limit` may be any
/// value above it.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit = 3);

/// The candidate a person most likely meant by `word`, or empty when none is near (distance at most a third
/// of its length, and at most 3).
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::vector<std::string_view> const& candidates);

/// A unit name: 1 to 200 of [A-Za-z0-9_.:@-], not starting with '.' or '-'.
[[nodiscard]] bool is_unit_name(std::string_view name);

/// A socket name, as FileDescriptorName= in systemd.socket(5): 1 to 255 printable ASCII characters, no space,
/// no ':'; and, so that it can stand in a placeholder, a list and a path, no '{', '}', ',', '/'.
[[nodiscard]] bool is_socket_name(std::string_view name);

/// A whole decimal number and nothing else; nothing where it is too large too.
template <std::integral Number>
[[nodiscard]] std::optional<Number> parse_decimal(std::string_view text) {
    Number number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional{number} : std::nullopt;
}

[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
[[nodiscard]] std::string join(std::vector<std::string> const& parts, std::string_view separator);

} // namespace holdfast
