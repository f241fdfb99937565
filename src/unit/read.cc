// SPDX-License-Identifier: Apache-2.0
#include "unit/read.h"

#include "base/utf8.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace holdfast {

namespace {

// A text that can hold any duration a person writes; longer ones only cost time.
constexpr std::size_t longest_duration = 200;
constexpr double most_seconds = 1e9; // as parse_duration has it

std::string listed(Names const& names) {
    std::string text;
    for (auto const name : names) {
        if (!text.empty())
            text += ", ";
        text += name;
    }
    return text;
}

} // namespace

std::string_view kind_name(NodeKind kind) {
    switch (kind) {
    case NodeKind::Text:
        return "a string";
    case NodeKind::Integer:
    case NodeKind::Real:
        return "a number";
    case NodeKind::Flag:
        return "true or false";
    case NodeKind::Date:
        return "a date";
    case NodeKind::List:
        return "a list";
    case NodeKind::Table:
        return "a table";
    }
    return "?";
}

void Reader::wrong_kind(Node const& at, std::string_view what, std::string suggestion) const {
    error(at, quoted(key) + " must be " + std::string{what} + ", not " + std::string{kind_name(at.kind)},
          std::move(suggestion));
}

bool Reader::is_text(Node const& at, std::string_view what, std::string suggestion) const {
    if (!at.is(NodeKind::Text)) {
        wrong_kind(at, what, std::move(suggestion));
        return false;
    }
    if (at.text.find('\0') != std::string::npos) {
        error(at,
              quoted(key) + " holds a NUL character (\\u0000), which the kernel takes for the end of a text");
        return false;
    }
    return true;
}

std::string toml_string(std::string_view text) {
    std::string out = "\"";
    for (std::size_t at = 0; at < text.size();) {
        auto const length = utf8_length(text, at);
        auto const c = static_cast<unsigned char>(text[at]);
        if (length == 0) { // only a spec made by a command can hold such bytes; TOML cannot
            out += "\\uFFFD";
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += text[at];
        } else if (c == '\n') {
            out += "\\n";
        } else if (c < 0x20 || c == 0x7f) {
            char buffer[8];
            std::snprintf(buffer, sizeof buffer, "\\u%04X", c);
            out += buffer;
        } else {
            out += text.substr(at, length);
        }
        at += length == 0 ? 1 : length;
    }
    return out + "\"";
}

std::string toml_list(std::vector<std::string> const& texts) {
    std::string out;
    for (auto const& text : texts)
        out += (out.empty() ? "" : ", ") + toml_string(text);
    return "[" + out + "]";
}

void Text::read(Reader in, Node const& node, std::string& into) {
    if (in.is_text(node))
        into = node.text;
}

void TextList::read(Reader in, Node const& node, std::vector<std::string>& into) {
    into.clear();
    if (!node.is(NodeKind::List)) {
        if (in.is_text(node, "a list of strings"))
            into.push_back(node.text);
        return;
    }
    for (auto const& item : node.items)
        if (in.is_text(item, "a list of strings"))
            into.push_back(item.text);
}

void Flag::read(Reader in, Node const& node, bool& into) {
    if (node.is(NodeKind::Flag)) {
        into = node.flag;
        return;
    }
    std::string hint;
    if (node.is(NodeKind::Text))
        for (std::string_view const word : {"true", "yes", "on", "1"})
            hint = node.text == word ? "write true, without quotes" : hint;
    if (node.is(NodeKind::Text) && hint.empty())
        for (std::string_view const word : {"false", "no", "off", "0"})
            hint = node.text == word ? "write false, without quotes" : hint;
    in.wrong_kind(node, "true or false", std::move(hint));
}

std::optional<std::int64_t> read_whole(Reader in, Node const& node, std::int64_t low, std::int64_t high) {
    auto const range = std::to_string(low) + " to " + std::to_string(high);
    if (!node.is(NodeKind::Integer)) {
        bool const quotes = node.is(NodeKind::Text) && !node.text.empty() &&
                            node.text.find_first_not_of("0123456789") == std::string::npos;
        if (node.is(NodeKind::Real))
            in.error(node, quoted(in.key) + " must be a whole number from " + range);
        else
            in.wrong_kind(node, "a number", quotes ? "write " + node.text + ", without quotes" : "");
        return std::nullopt;
    }
    if (node.integer < low || node.integer > high) {
        in.error(node, quoted(in.key) + " must be from " + range + ", not " + std::to_string(node.integer));
        return std::nullopt;
    }
    return node.integer;
}

void Mode::read(Reader in, Node const& node, mode_t& into) {
    if (node.is(NodeKind::Integer)) {
        // Whoever writes 660 or 0o660 means the octal number either way.
        auto const shown = in.report.source_of(node.place);
        auto const digits = shown.substr(0, 2) == "0o" ? shown.substr(2) : shown;
        bool const octal = !digits.empty() && digits.size() <= 4 &&
                           digits.find_first_not_of("01234567") == std::string::npos;
        in.wrong_kind(node, "an octal mode in quotes",
                      octal ? "write \"" + std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') +
                                  std::string{digits} + "\""
                            : "write it as a string, as in \"0660\"");
        return;
    }
    if (!in.is_text(node, "an octal mode in quotes", "write it as in \"0660\""))
        return;
    mode_t mode = 0;
    auto const& text = node.text;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (text.empty() || problem != std::errc{} || end != text.data() + text.size() || mode > 0777)
        return in.error(node, quoted(text) + " is no mode from \"0000\" to \"0777\"",
                        "write it as in \"0660\"");
    into = mode;
}

std::string Mode::write(mode_t mode) {
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, "\"%04o\"", mode);
    return buffer;
}

std::optional<Duration> read_duration(Reader in, Node const& node, Allow allow) {
    constexpr auto advice = "write it as in \"90s\", \"1min 30s\", \"250ms\", or as a number of seconds";
    std::optional<Duration> duration;
    bool negative = false;
    if (node.is(NodeKind::Integer) || node.is(NodeKind::Real)) {
        double const seconds = node.is(NodeKind::Integer) ? static_cast<double>(node.integer) : node.real;
        negative = seconds < 0;
        if (seconds >= 0 && seconds <= most_seconds) // false for NaN
            duration = Duration{static_cast<Duration::rep>(std::llround(seconds * 1e6))};
    } else if (in.is_text(node, "a duration", advice)) {
        negative = !node.text.empty() && node.text.front() == '-';
        if (node.text.size() <= longest_duration)
            duration = parse_duration(node.text);
    } else {
        return std::nullopt;
    }
    if (negative) {
        in.error(node, quoted(in.key) + " must not be negative");
        return std::nullopt;
    }
    if (!duration) {
        auto const shown = node.is(NodeKind::Text) ? quoted(node.text) : "this number of seconds";
        in.error(node, shown + " is no duration", advice);
        return std::nullopt;
    }
    auto const bits = static_cast<int>(allow);
    if (*duration == forever && (bits & static_cast<int>(Allow::Infinity)) == 0) {
        in.error(node, quoted(in.key) + " must not be infinite");
        return std::nullopt;
    }
    if (*duration == Duration{0} && (bits & static_cast<int>(Allow::Zero)) == 0) {
        in.error(node, quoted(in.key) + " must be longer than zero",
                 (bits & static_cast<int>(Allow::Infinity)) != 0 ? "write \"infinity\" for no limit" : "");
        return std::nullopt;
    }
    return duration;
}

std::optional<std::size_t> read_word(Reader in, Node const& node, Names const& names, Names const& later) {
    if (!in.is_text(node, "one of " + listed(names)))
        return std::nullopt;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == node.text)
            return i;
    for (auto const name : later)
        if (name == node.text) {
            in.error(node, quoted(in.key) + " = " + quoted(node.text) + " is not supported yet",
                     "supported: " + listed(names));
            return std::nullopt;
        }
    auto all = names;
    all.insert(all.end(), later.begin(), later.end());
    in.error(node, quoted(node.text) + " is no value of " + quoted(in.key),
             did_you_mean(nearest(node.text, all), "it is one of " + listed(names)));
    return std::nullopt;
}

} // namespace holdfast
