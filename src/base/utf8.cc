// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

namespace holdfast {

std::size_t utf8_length(std::string_view text, std::size_t at) {
    auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    auto const first = byte(at);
    if (first < 0x80)
        return 1;
    std::size_t const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length > text.size() - at)
        return 0;
    for (std::size_t i = at + 1; i < at + length; ++i)
        if (!continues_character(text[i]))
            return 0;
    // Overlong forms, surrogates, and beyond U+10FFFF.
    auto const second = byte(at + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return 0;
    return length;
}

bool is_control(std::string_view character) {
    auto const first = static_cast<unsigned char>(character[0]);
    return first < 0x20 || first == 0x7f ||
           (first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0);
}

bool reorders_text(std::string_view character) {
    auto const point = code_point(character);
    return point == 0x61c || point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069);
}

char32_t code_point(std::string_view character) {
    auto const first = static_cast<unsigned char>(character[0]);
    constexpr unsigned marks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    char32_t point = first & marks[character.size()];
    for (auto const byte : character.substr(1))
        point = point << 6 | (static_cast<unsigned char>(byte) & 0x3f);
    return point;
}

} // namespace holdfast
