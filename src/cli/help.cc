// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include "base/text.h"
#include "cli/screen.h"

namespace holdfast::cli {

namespace {

constexpr std::size_t description_column = 30; // where CLI11 begins it

std::size_t indent_of(std::string_view line) {
    bool const has_description = line.size() > description_column && line.starts_with("  ") &&
                                 line[description_column - 1] == ' ' && line[description_column] != ' ';
    return has_description ? description_column : 2;
}

std::string without_trailing_spaces(std::string_view line) {
    auto const last = line.find_last_not_of(' ');
    return std::string{line.substr(0, last == std::string_view::npos ? 0 : last + 1)};
}

} // namespace

std::string fitted(std::string_view text) {
    std::string fit;
    for (auto const part : split(text, '\n')) {
        auto line = without_trailing_spaces(part);
        auto const indent = indent_of(line);
        while (width_of(line) > help_width) {
            auto const space = line.rfind(' ', help_width);
            if (space == std::string::npos || space <= indent)
                break; // a word that fits nowhere
            fit += without_trailing_spaces(std::string_view{line}.substr(0, space)) + "\n";
            line = std::string(indent, ' ') + line.substr(space + 1);
        }
        fit += line + "\n";
    }
    while (fit.ends_with("\n\n"))
        fit.pop_back();
    return fit;
}

} // namespace holdfast::cli
