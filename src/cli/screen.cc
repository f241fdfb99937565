// SPDX-License-Identifier: Apache-2.0
#include "cli/screen.h"

#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <cwchar>

#include <sys/ioctl.h>
#include <unistd.h>

namespace holdfast::cli {

namespace {

constexpr std::size_t usual_width = 80;
constexpr std::size_t least_width = 40;
constexpr std::size_t usual_height = 24;

char const* escape_of(Colour colour) {
    switch (colour) {
    case Colour::Plain:
        return "";
    case Colour::Good:
        return "\033[32m";
    case Colour::Warning:
        return "\033[33m";
    case Colour::Bad:
        return "\033[1;31m";
    case Colour::Faint:
        return "\033[2m";
    case Colour::Bold:
        return "\033[1m";
    }
    return "";
}

struct Character {
    std::string_view bytes;
    std::size_t width; ///< columns of a terminal: 0 of what joins the one before it, 2 of a wide one
};

/// Of glibc's tables, wcwidth(3), whatever the locale is; one column where they do not know it.
std::size_t columns_of(std::string_view character) {
    static locale_t const utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    if (character.size() == 1 || utf8 == nullptr)
        return 1;
    auto const before = ::uselocale(utf8);
    int const width = ::wcwidth(static_cast<wchar_t>(code_point(character)));
    ::uselocale(before);
    return width < 0 ? 1 : static_cast<std::size_t>(width);
}

/// The first one, which is taken away. A byte that is none counts for one.
Character take_character(std::string_view& text) {
    auto const length = utf8_length(text);
    Character const first{text.substr(0, length == 0 ? 1 : length),
                          length == 0 ? 1 : columns_of(text.substr(0, length))};
    text.remove_prefix(first.bytes.size());
    return first;
}

} // namespace

Screen look_at(FdRef output) {
    Screen screen;
    screen.now = MonotonicTime::now();
    if (::isatty(output.raw()) != 1)
        return screen;
    winsize size{};
    bool const knows = ::ioctl(output.raw(), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    screen.width = knows ? std::max<std::size_t>(size.ws_col, least_width) : usual_width;
    screen.height = knows && size.ws_row > 0 ? size.ws_row : usual_height;
    char const* no_colour = std::getenv("NO_COLOR");
    char const* terminal = std::getenv("TERM");
    screen.colour = (no_colour == nullptr || *no_colour == '\0') && terminal != nullptr &&
                    std::string_view{terminal} != "dumb";
    return screen;
}

std::string paint(std::string_view text, Colour colour, Screen const& screen) {
    if (!screen.colour || colour == Colour::Plain || text.empty())
        return std::string{text};
    return escape_of(colour) + std::string{text} + "\033[0m";
}

std::string harmless(std::string_view text) {
    constexpr char const* digits = "0123456789abcdef";
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        std::size_t const length = utf8_length(text);
        std::string_view const character = text.substr(0, length == 0 ? 1 : length);
        if (length == 0)
            out += '?';
        else if (!is_control(character) && !reorders_text(character))
            out += character;
        else
            for (char const byte : character) {
                auto const value = static_cast<unsigned char>(byte);
                out += {'\\', 'x', digits[value >> 4], digits[value & 15]};
            }
        text.remove_prefix(character.size());
    }
    return out;
}

std::string harmless_lines(std::string_view text, std::string_view indent) {
    while (!text.empty() && text.back() == '\n')
        text.remove_suffix(1);
    if (text.empty())
        return {};
    std::string out;
    for (auto const line : split(text, '\n')) {
        std::vector<std::string> parts;
        for (auto const part : split(line, '\t'))
            parts.push_back(harmless(part));
        out += std::string{indent} + join(parts, "\t") + "\n";
    }
    return out;
}

std::size_t width_of(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty())
        width += take_character(text).width;
    return width;
}

std::size_t visible_width(std::string_view text) {
    std::size_t width = width_of(text);
    for (auto at = text.find('\033'); at != std::string_view::npos; at = text.find('\033', at + 1))
        width -= std::min(text.find('m', at), text.size() - 1) - at + 1;
    return width;
}

std::string folded(std::string_view text, Screen const& screen) {
    if (screen.width == 0)
        return std::string{text};
    std::string out;
    bool is_first = true;
    for (auto line : split(text, '\n')) {
        out += is_first ? "" : "\n";
        is_first = false;
        std::size_t const begin = std::min(line.find_first_not_of(' '), line.size());
        std::string indent;
        while (indent.size() + visible_width(line) > screen.width) {
            std::size_t space = std::string_view::npos;
            std::size_t const from = indent.empty() ? begin + 1 : 1;
            for (auto at = line.find(' ', from); at != std::string_view::npos; at = line.find(' ', at + 1)) {
                bool const fits = indent.size() + visible_width(line.substr(0, at)) <= screen.width;
                if (!fits && space != std::string_view::npos)
                    break;
                space = at; // behind a word that fits nowhere, too
                if (!fits)
                    break;
            }
            if (space == std::string_view::npos)
                break;
            out += indent + std::string{line.substr(0, space)} + "\n";
            line.remove_prefix(std::min(line.find_first_not_of(' ', space), line.size()));
            indent = std::string(begin + 2, ' ');
        }
        out += indent + std::string{line};
    }
    return out;
}

std::string cut_to(std::string_view text, std::size_t width) {
    if (width_of(text) <= width)
        return std::string{text};
    if (width == 0)
        return {};
    std::string out;
    for (std::size_t used = 0; !text.empty();) {
        auto const next = take_character(text);
        used += next.width;
        if (used > width - 1)
            break;
        out += next.bytes;
    }
    return out + "…";
}

} // namespace holdfast::cli
