// SPDX-License-Identifier: Apache-2.0
#include "base/placeholder.h"

#include "catch.h"

#include <string>

using namespace holdfast;

namespace {

// "[literal]" and "<word:argument>", in order.
std::string shown(std::string_view text) {
    std::string out;
    for (auto const& piece : split_placeholders(text)) {
        if (piece.is_placeholder())
            out += "<" + std::string{piece.word} + (piece.has_argument ? ":" : "") +
                   std::string{piece.argument} + ">";
        else
            out += "[" + std::string{piece.literal} + "]";
    }
    return out;
}

} // namespace

TEST_CASE("a placeholder is found between literal text", "[base]") {
    CHECK(shown("x{fd:http}y") == "[x]<fd:http>[y]");
    CHECK(shown("{unit}{slot}") == "<unit><slot>");
    CHECK(shown("${listen_fd}") == "[$]<listen_fd>");
    CHECK(shown("{fd:}") == "<fd:>");
    CHECK(shown("").empty());
}

TEST_CASE("braces that are no placeholder are literal, so that JSON passes", "[base]") {
    for (auto const* text :
         {"{\"a\":{\"b\":1}}", "{}", "{{}}", "{", "}", "{a", "{a:", "{A}", "{1}", "{a b}", "{{", "}}"})
        CHECK(shown(text) == "[" + std::string{text} + "]");
    CHECK(shown("{\"port\":{port:http}}") == "[{\"port\":]<port:http>[}]");
}

TEST_CASE("doubled braces around a placeholder stand for it as text", "[base]") {
    CHECK(shown("{{unit}}") == "[{unit}]");
    CHECK(shown("{{a}}{{b:c}}{d}") == "[{a}][{b:c}]<d>");
    CHECK(shown("{{fd:http}") == "[{]<fd:http>");
    CHECK(shown("{{{unit}}}") == "[{][{unit}][}]");
}

TEST_CASE("a piece knows where it begins", "[base]") {
    auto const pieces = split_placeholders("ab{unit}");
    REQUIRE(pieces.size() == 2);
    CHECK(pieces[0].offset == 0);
    CHECK(pieces[1].offset == 2);
}
