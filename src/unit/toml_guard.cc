// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"
#include "unit/toml_text.h"

#include <algorithm>

namespace holdfast {

namespace {

// toml++ limits the nesting of values (256) but not the parts of a dotted key; 300,000 of them ended the
// stack in its destructors. No unit file nests anywhere near this.
constexpr std::size_t most_key_parts = 16;
constexpr std::size_t most_brackets = 32;

// Walks over TOML as far as counting needs: strings and comments are skipped, and dots and brackets counted.
// It agrees with a TOML parser on every valid prefix, which is enough: behind the first error nothing is
// built.
class Walk {
public:
    explicit Walk(std::string_view text) : text_{text} {}

    // True when the limit was passed; at() is where then.
    bool passes_limit() {
        for (; at_ < text_.size(); ++at_) {
            char const c = text_[at_];
            if (c == '"' || c == '\'')
                skip_string(c);
            else if (c == '#')
                at_ = std::min(text_.find('\n', at_), text_.size()) - 1;
            else if (c == '.')
                ++dots_;
            else if (c == '[' || c == '{')
                ++brackets_;
            else if ((c == ']' || c == '}') && brackets_ > 0)
                --brackets_;
            if (c == '\n' || c == '=' || c == ',' || c == '[' || c == '{' || c == ']' || c == '}')
                dots_ = 0;
            if (dots_ >= most_key_parts || brackets_ > most_brackets)
                return true;
        }
        return false;
    }
    [[nodiscard]] std::size_t at() const { return at_; }
    [[nodiscard]] bool is_key() const { return dots_ >= most_key_parts; }

private:
    // Leaves at_ on the closing quote, or on the line's end when a one-line string is not closed.
    void skip_string(char quote) {
        bool const is_long = text_.substr(at_, 3) == std::string_view{quote == '"' ? "\"\"\"" : "'''"};
        at_ += is_long ? 3 : 1;
        for (; at_ < text_.size(); ++at_) {
            if (text_[at_] == '\\' && quote == '"') {
                ++at_;
            } else if (!is_long && (text_[at_] == quote || text_[at_] == '\n')) {
                return;
            } else if (is_long && text_[at_] == quote && text_.substr(at_, 3) == std::string(3, quote)) {
                // Up to two more quotes belong to the string: """a""""" is a"".
                auto const end = text_.find_first_not_of(quote, at_);
                at_ = std::min({end, text_.size(), at_ + 5}) - 1;
                return;
            }
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t dots_ = 0;
    std::size_t brackets_ = 0;
};

// The place of a byte that well-formed text leads up to.
Place place_of(std::string_view text, std::size_t at, std::uint32_t file) {
    Place place{file, 1, 1, 1};
    if (text.substr(0, 3) == "\xef\xbb\xbf") // the byte order mark is no column
        text.remove_prefix(3), at -= std::min<std::size_t>(at, 3);
    for (std::size_t i = 0; i < at; ++i) {
        if (text[i] == '\n')
            ++place.line, place.column = 1;
        else if (!continues_character(text[i]))
            ++place.column;
    }
    return place;
}

} // namespace

bool report_unreadable(std::string_view text, std::uint32_t file, Report& report) {
    if (text.size() > largest_unit_file) {
        report.error(Place{file}, "the file is larger than 1 MiB",
                     "this cannot be a unit file; is the name right?");
        return true;
    }
    if (auto const mark = text.substr(0, 2); mark == "\xff\xfe" || mark == "\xfe\xff") {
        report.error(Place{file}, "the file is UTF-16", "save it as UTF-8");
        return true;
    }
    for (std::size_t at = 0; at < text.size();) {
        auto const length = utf8_length(text, at);
        if (length == 0) {
            report.error(place_of(text, at, file), "this byte is no UTF-8 text", "save the file as UTF-8");
            return true;
        }
        at += length;
    }
    Walk walk{text};
    if (walk.passes_limit()) {
        report.error(place_of(text, std::min(walk.at(), text.size()), file),
                     walk.is_key() ? "a key of more than 16 parts" : "brackets nested more than 32 deep",
                     "no setting is nested like this");
        return true;
    }
    return false;
}

} // namespace holdfast
