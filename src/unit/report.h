// SPDX-License-Identifier: Apache-2.0
// Collects what is wrong with one unit while its files are read: turns places into diagnostics with the
// source line, keeps them to a number that a person reads, and quotes what a file says so that it cannot
// paint a terminal.
#pragma once

#include "unit/diagnostic.h"
#include "unit/node.h"
#include "unit/parse.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

class Report {
public:
    /// More than this from one unit help nobody; the rest is dropped.
    static constexpr std::size_t most = 100;

    /// `files`: the unit and its drop-ins; they must outlive the report.
    explicit Report(std::vector<UnitText const*> files) : files_{std::move(files)} {}

    void error(Place const& place, std::string message, std::string suggestion = {}) {
        add(Severity::Error, place, std::move(message), std::move(suggestion));
    }
    void warning(Place const& place, std::string message, std::string suggestion = {}) {
        add(Severity::Warning, place, std::move(message), std::move(suggestion));
    }
    [[nodiscard]] bool has_errors() const { return errors_ != 0; }
    /// Nothing more would be kept: costly searches for a suggestion can be left out.
    [[nodiscard]] bool is_full() const { return found_.size() >= most && errors_ >= most; }
    /// What the file has at a place of one line, as it is written there.
    [[nodiscard]] std::string_view source_of(Place const& place) const;

    /// All of them in file order; the report is empty afterwards.
    [[nodiscard]] std::vector<Diagnostic> take();

private:
    struct Placed {
        Place place;
        Diagnostic diagnostic;
    };
    void add(Severity severity, Place const& place, std::string message, std::string suggestion);

    std::vector<UnitText const*> files_;
    std::vector<Placed> found_;
    std::size_t errors_ = 0;
};

/// `text` in back quotes, cut to a readable length; "an empty text" for none.
[[nodiscard]] std::string quoted(std::string_view text);
// A std::string would find std::quoted, where <iomanip> is included (by <chrono> of g++ 14), and like it
// better.
[[nodiscard]] inline std::string quoted(std::string const& text) {
    return quoted(std::string_view{text});
}
[[nodiscard]] inline std::string quoted(std::string& text) {
    return quoted(std::string_view{text});
}
[[nodiscard]] inline std::string quoted(char const* text) {
    return quoted(std::string_view{text});
}

/// A suggestion: "did you mean `WORD`?", or `otherwise` when no word is near.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::string otherwise = {});

/// `text` safe to print: control characters and bytes that are no UTF-8 become U+FFFD; tabs stay.
[[nodiscard]] std::string printable(std::string_view text);

} // namespace holdfast
