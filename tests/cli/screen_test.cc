// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/screen.h"
#include "cli/table.h"

#include <cstdlib>

#include <fcntl.h>
#include <pty.h>

using namespace holdfast;
using namespace holdfast::cli;

namespace {

Screen screen(std::size_t width, bool colour = false) {
    return {width, colour, MonotonicTime{}};
}

std::size_t longest_line(std::string const& text) {
    std::size_t longest = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t const end = text.find('\n', begin);
        longest = std::max(longest, width_of(std::string_view{text}.substr(begin, end - begin)));
        begin = end + 1;
    }
    return longest;
}

} // namespace

TEST_CASE("what a terminal would obey is made visible", "[cli]") {
    CHECK(harmless("plain ünïcode ☃") == "plain ünïcode ☃");
    CHECK(harmless("\033[2J\a\r\n\t\x7f") == "\\x1b[2J\\x07\\x0d\\x0a\\x09\\x7f");
    CHECK(harmless("\xc2\x9b"
                   "31m") == "\\xc2\\x9b31m"); // a C1 control is an escape sequence too
    CHECK(harmless("a\xff\xe2\x98") == "a???");
    CHECK(harmless("a\u202egnp.exe\u2066\u2028") == "a\\xe2\\x80\\xaegnp.exe\\xe2\\x81\\xa6\\xe2\\x80\\xa8");
    CHECK(harmless("👩\u200d💻") == "👩\u200d💻");
    CHECK(harmless(std::string_view{"a\0b", 3}) == "a\\x00b");
    CHECK(harmless_lines("a\n\tb\033\n\n", "> ") == "> a\n> \tb\\x1b\n");
    CHECK(harmless_lines("\n").empty());
}

TEST_CASE("malformed characters do not reach the terminal", "[cli]") {
    // Overlong forms, surrogates and what is above U+10FFFF went through: an escape in two bytes too many.
    CHECK(harmless("\xc0\x9b"
                   "31m") == "??31m");
    CHECK(harmless("\xe0\x82\x9b"
                   "31m") == "???31m");
    CHECK(harmless("\xed\xa0\x80") == "???");
    CHECK(harmless("\xf4\x90\x80\x80") == "????");
}

TEST_CASE("a text is cut at a character, with a mark", "[cli]") {
    CHECK(cut_to("ünïcode", 7) == "ünïcode");
    CHECK(cut_to("ünïcode", 4) == "ünï…");
    CHECK(width_of("日本 e\u0301 😀") == 9);
    CHECK(cut_to("日本語", 4) == "日…");
    CHECK(cut_to("日本語", 5) == "日本…");
    CHECK(cut_to("日本語", 6) == "日本語");
    CHECK(cut_to("abc", 1) == "…");
    CHECK(cut_to("abc", 0).empty());
}

TEST_CASE("columns are as wide as their widest cell, and empty ones are left out", "[cli]") {
    Table table{{{"NAME"}, {"NOTHING"}, {"COUNT", true}}};
    table.add({"web", "", "7"});
    table.add({"storefront", "", "4096"});
    CHECK(table.to_text(screen(0), "  ") == "  NAME        COUNT\n"
                                            "  web             7\n"
                                            "  storefront   4096\n");
    CHECK(Table{{{"NAME"}}}.to_text(screen(80)).empty());
}

TEST_CASE("a table fits the screen by cutting what may be cut, and nothing in a pipe", "[cli]") {
    Table table{{{"NAME", false, true}, {"STATE"}, {"TEXT", false, true}}};
    std::string const text(200, 'x');
    table.add({"a-rather-long-name", "active", text});
    CHECK(longest_line(table.to_text(screen(80))) == 80);
    CHECK(longest_line(table.to_text(screen(40), "    ")) == 40);
    CHECK_THAT(table.to_text(screen(40)), ContainsSubstring("active"));
    CHECK_THAT(table.to_text(screen(0)), ContainsSubstring(text));
    CHECK(longest_line(table.to_text(screen(5))) <= 30); // too narrow: as narrow as it gets
}

TEST_CASE("colour does not count as width", "[cli]") {
    Table table{{{"STATE"}, {"NEXT"}}};
    table.add({{"bad", Colour::Bad}, "x"});
    auto const plain = table.to_text(screen(0));
    auto painted = table.to_text(screen(0, true));
    CHECK(painted != plain);
    for (std::size_t at = 0; (at = painted.find("\033[")) != std::string::npos;)
        painted.erase(at, painted.find('m', at) - at + 1);
    CHECK(painted == plain);
}

TEST_CASE("a terminal has a width and colour, a pipe has neither, NO_COLOR is obeyed", "[cli]") {
    int pipe_ends[2];
    REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
    UniqueFd const read_end{pipe_ends[0]};
    UniqueFd const write_end{pipe_ends[1]};
    CHECK(look_at(write_end).width == 0);
    CHECK_FALSE(look_at(write_end).colour);

    int ends[2];
    winsize const size{24, 132, 0, 0};
    if (::openpty(&ends[0], &ends[1], nullptr, nullptr, &size) != 0) {
        WARN("skipped: there is no pseudo-terminal to be had");
        return;
    }
    UniqueFd const outer{ends[0]};
    UniqueFd const inner{ends[1]};
    REQUIRE(::setenv("TERM", "xterm", 1) == 0);
    REQUIRE(::unsetenv("NO_COLOR") == 0);
    CHECK(look_at(inner).width == 132);
    CHECK(look_at(inner).colour);
    REQUIRE(::setenv("NO_COLOR", "1", 1) == 0);
    CHECK_FALSE(look_at(inner).colour);
    REQUIRE(::unsetenv("NO_COLOR") == 0);
    REQUIRE(::setenv("TERM", "dumb", 1) == 0);
    CHECK_FALSE(look_at(inner).colour);
}

TEST_CASE("a line that is wider than the screen goes on in a further one", "[cli]") {
    Screen const narrow{20, true, {}, 24};
    CHECK(folded("  state     active since yesterday\nshort\n", narrow) ==
          "  state     active\n    since yesterday\nshort\n");
    CHECK(folded("\033[1;31mfailed\033[0m: 12345 890123 5\n", narrow) ==
          "\033[1;31mfailed\033[0m: 12345 890123\n  5\n");
    CHECK(folded("at /a/path/that/is/longer/than/that it ends", narrow) ==
          "at\n  /a/path/that/is/longer/than/that\n  it ends");
    CHECK(folded("/a/path/that/is/longer/than/that", narrow) == "/a/path/that/is/longer/than/that");
    CHECK(folded("a line that is wider than twenty", Screen{}) == "a line that is wider than twenty");
    CHECK(visible_width("\033[2mab\033[0m") == 2);
}
