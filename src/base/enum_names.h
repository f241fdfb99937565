// SPDX-License-Identifier: Apache-2.0
// One constexpr table per enum drives its names both ways. An enum E takes part by a function `enum_table(E)`
// beside it that returns a std::array of EnumName<E>; it is found by argument-dependent lookup.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace holdfast {

template <class E>
struct EnumName {
    E value;
    std::string_view name;
};
// clang before 17 deduces no aggregate by itself.
template <class E, class Text>
EnumName(E, Text) -> EnumName<E>;

/// The name of `value`; "?" for a value outside the table.
template <class E>
[[nodiscard]] constexpr std::string_view to_name(E value) {
    for (auto const& row : enum_table(E{}))
        if (row.value == value)
            return row.name;
    return "?";
}

template <class E>
[[nodiscard]] constexpr std::optional<E> from_name(std::string_view name) {
    for (auto const& row : enum_table(E{}))
        if (row.name == name)
            return row.value;
    return std::nullopt;
}

} // namespace holdfast
