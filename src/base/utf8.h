// SPDX-License-Identifier: Apache-2.0
// What is UTF-8 (RFC 3629) and what is not: the one place that knows. Used wherever text from a file or from
// a worker is shown, and never decides what is shown in place of what is not.
#pragma once

#include <cstddef>
#include <string_view>

namespace holdfast {

/// How many bytes the character at text[at] has, 1 to 4; 0 when it is malformed or cut off there.
/// Overlong forms, surrogates and what is above U+10FFFF are malformed. `at` is less than text.size().
[[nodiscard]] std::size_t utf8_length(std::string_view text, std::size_t at = 0);

/// Is this byte the second or a later one of a character?
[[nodiscard]] constexpr bool continues_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

/// Is this well-formed character one that a terminal obeys: C0, DEL, or C1? (U+0080 to U+009F; some terminals
/// take U+009B for an escape.)
[[nodiscard]] bool is_control(std::string_view character);

/// Is this well-formed character one that turns the text around it, or breaks its line, without being seen?
/// The marks, embeddings, overrides and isolates of the Unicode bidirectional algorithm (UAX #9), U+2028,
/// U+2029.
[[nodiscard]] bool reorders_text(std::string_view character);

/// The number of a well-formed character.
[[nodiscard]] char32_t code_point(std::string_view character);

} // namespace holdfast
