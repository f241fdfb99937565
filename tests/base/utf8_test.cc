// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"
#include "catch.h"

#include <string>

using namespace holdfast;

namespace {

/// The bytes of a code point by the scheme of RFC 3629, of as many bytes as told, whether that is allowed or
/// not.
std::string encoded(unsigned long code, std::size_t length) {
    constexpr unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    std::string text(length, '\0');
    for (std::size_t i = length; i-- > 1; code >>= 6)
        text[i] = static_cast<char>(0x80 | (code & 0x3f));
    text[0] = static_cast<char>(length == 1 ? code : leads[length] | code);
    return text;
}

std::size_t shortest(unsigned long code) {
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

bool is_surrogate(unsigned long code) {
    return code >= 0xd800 && code < 0xe000;
}

} // namespace

TEST_CASE("every code point is one character in its shortest form only, and a surrogate in none", "[base]") {
    std::size_t wrong = 0;
    for (unsigned long code = 0; code < 0x200000; ++code)
        for (std::size_t length = shortest(code); length <= 4; ++length) {
            bool const is_good = length == shortest(code) && code <= 0x10ffff && !is_surrogate(code);
            wrong += utf8_length(encoded(code, length)) != (is_good ? length : 0);
        }
    CHECK(wrong == 0);
}

TEST_CASE("a character has a number", "[base]") {
    CHECK(code_point("a") == U'a');
    CHECK(code_point("ü") == U'ü');
    CHECK(code_point("☃") == U'☃');
    CHECK(code_point("😀") == U'😀');
}

TEST_CASE("bytes that are no character have no length", "[base]") {
    CHECK(utf8_length("\x80") == 0);
    CHECK(utf8_length("\xc0\xaf") == 0);
    CHECK(utf8_length("\xc1\xbf") == 0);
    CHECK(utf8_length("\xe0\x80\xaf") == 0);
    CHECK(utf8_length("\xed\xa0\x80") == 0);
    CHECK(utf8_length("\xf4\x90\x80\x80") == 0);
    CHECK(utf8_length("\xf5\x80\x80\x80") == 0);
    CHECK(utf8_length("\xf8\x88\x80\x80\x80") == 0);
    CHECK(utf8_length("\xff\xbf\xbf\xbf") == 0);
    CHECK(utf8_length("\xc3\x28") == 0);
    CHECK(utf8_length("\xe2\x82\x28") == 0);
}

TEST_CASE("a character that the text cuts off has no length", "[base]") {
    for (std::string const whole : {"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
        INFO(whole);
        CHECK(utf8_length(whole) == whole.size());
        CHECK(utf8_length("ab" + whole, 2) == whole.size());
        for (std::size_t length = 1; length < whole.size(); ++length)
            CHECK(utf8_length("ab" + whole.substr(0, length), 2) == 0);
    }
}

TEST_CASE("what a terminal obeys is told from what it shows", "[base]") {
    for (std::string const control : {"\n", "\t", "\x1b", "\x1f", "\x7f", "\xc2\x80", "\xc2\x9b", "\xc2\x9f"})
        CHECK(is_control(control));
    CHECK(is_control(std::string_view{"\0", 1}));
    for (std::string const shown : {" ", "~", "\xc2\xa0", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"})
        CHECK_FALSE(is_control(shown));
}
