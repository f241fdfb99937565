// SPDX-License-Identifier: Apache-2.0
#include "unit/report.h"

#include "base/utf8.h"

#include <algorithm>
#include <tuple>

namespace holdfast {

namespace {

constexpr std::size_t longest_quote = 80;
// A line longer than this is shown up to here, and not at all when the place is behind it.
constexpr std::size_t longest_line = 400;
constexpr std::string_view replacement = "\xef\xbf\xbd"; // U+FFFD
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

std::string_view line_of(std::string_view text, std::size_t number) {
    if (text.substr(0, byte_order_mark.size()) == byte_order_mark)
        text.remove_prefix(byte_order_mark.size());
    for (; number > 1; --number) {
        auto const end = text.find('\n');
        if (end == std::string_view::npos)
            return {};
        text.remove_prefix(end + 1);
    }
    text = text.substr(0, text.find('\n'));
    if (!text.empty() && text.back() == '\r')
        text.remove_suffix(1);
    return text;
}

// The first `count` characters, however many bytes they have.
std::string_view first_characters(std::string_view text, std::size_t count) {
    std::size_t at = 0;
    while (at < text.size() && count-- > 0)
        at += std::max<std::size_t>(1, utf8_length(text, at));
    return text.substr(0, at);
}

} // namespace

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        auto const length = utf8_length(text, at);
        auto const character = text.substr(at, length);
        if (length == 0 || (is_control(character) && character != "\t"))
            out += replacement;
        else
            out += character;
        at += std::max<std::size_t>(1, length);
    }
    return out;
}

std::string quoted(std::string_view text) {
    if (text.empty())
        return "an empty text";
    auto const shown = first_characters(text, longest_quote);
    return "`" + printable(shown) + (shown.size() < text.size() ? "…`" : "`");
}

std::string did_you_mean(std::string_view word, std::string otherwise) {
    return word.empty() ? std::move(otherwise) : "did you mean `" + std::string{word} + "`?";
}

void Report::add(Severity severity, Place const& place, std::string message, std::string suggestion) {
    if (severity == Severity::Error)
        ++errors_;
    if (found_.size() >= most) // an error must show even when warnings came first: let it take the last place
        if (severity == Severity::Warning || found_.back().diagnostic.severity == Severity::Error)
            return;
    Diagnostic diagnostic;
    diagnostic.severity = severity;
    diagnostic.file = files_[place.file]->path;
    diagnostic.line = place.line;
    diagnostic.column = place.column;
    diagnostic.length = std::max<std::uint32_t>(1, place.length);
    diagnostic.message = std::move(message);
    diagnostic.suggestion = std::move(suggestion);
    if (place.line > 0 && place.column <= longest_line) {
        auto const line = line_of(files_[place.file]->text, place.line);
        auto const shown = first_characters(line, longest_line);
        diagnostic.source = printable(shown) + (shown.size() < line.size() ? "…" : "");
    }
    if (found_.size() >= most)
        found_.pop_back();
    found_.push_back(Placed{place, std::move(diagnostic)});
}

std::string_view Report::source_of(Place const& place) const {
    auto line = line_of(files_[place.file]->text, place.line);
    line.remove_prefix(first_characters(line, place.column - 1).size());
    return first_characters(line, place.length);
}

std::vector<Diagnostic> Report::take() {
    std::stable_sort(found_.begin(), found_.end(), [](Placed const& a, Placed const& b) {
        return std::tie(a.place.file, a.place.line, a.place.column) <
               std::tie(b.place.file, b.place.line, b.place.column);
    });
    std::vector<Diagnostic> diagnostics;
    for (auto& placed : found_)
        diagnostics.push_back(std::move(placed.diagnostic));
    found_.clear();
    return diagnostics;
}

} // namespace holdfast
