// SPDX-License-Identifier: Apache-2.0
// The placeholders of DESIGN §8 in arguments and environment values: {fd:NAME}, {port:NAME}, {unit},
// {instance}, {slot}, {generation}. One scanner for the unit reader, which checks them, and for the hand-off,
// which expands them, so that both agree on what is one.
//
// The rule: `{word}` and `{word:argument}` are placeholders, where a word is lower-case letters and '_' and
// starts with a letter, and an argument is anything without a brace. The same in doubled braces, `{{word}}`,
// stands for itself with one pair less. Every other brace is itself: {"a":1} and {} and
// {"a":{"b":{port:http}}} pass as people write them. (Taking every "}}" for "}", as format strings do, would
// break nested JSON without a word.)
#pragma once

#include "base/enum_names.h"

#include <cstddef>
#include <string_view>
#include <vector>

namespace holdfast {

enum class Placeholder { Fd, Port, Unit, Instance, Slot, Generation };
constexpr auto enum_table(Placeholder) {
    return std::array{EnumName{Placeholder::Fd, "fd"},     EnumName{Placeholder::Port, "port"},
                      EnumName{Placeholder::Unit, "unit"}, EnumName{Placeholder::Instance, "instance"},
                      EnumName{Placeholder::Slot, "slot"}, EnumName{Placeholder::Generation, "generation"}};
}

/// Does it name a socket? {fd:http}, but {unit}.
[[nodiscard]] constexpr bool takes_argument(Placeholder placeholder) {
    return placeholder == Placeholder::Fd || placeholder == Placeholder::Port;
}

/// A stretch of a string: text to be copied, or a placeholder (which may be no known one). The views are into
/// the string that was split.
struct TextPiece {
    std::string_view literal;  ///< what to copy; empty for a placeholder
    std::string_view word;     ///< "fd" of {fd:http}; empty for literal text
    std::string_view argument; ///< "http" of {fd:http}
    std::size_t offset = 0;    ///< where it begins, in bytes
    bool has_argument = false; ///< {fd:} has an empty one, {fd} has none
    [[nodiscard]] bool is_placeholder() const { return !word.empty(); }
};

/// All of `text`, in order. Linear in its length; any bytes are fine.
[[nodiscard]] std::vector<TextPiece> split_placeholders(std::string_view text);

} // namespace holdfast
