// SPDX-License-Identifier: Apache-2.0
// Columns of text. Made as wide as the screen: columns that may shrink are cut when it is too narrow, columns
// that are empty in every row are left out.
#pragma once

#include "cli/screen.h"

#include <string>
#include <vector>

namespace holdfast::cli {

struct Column {
    std::string title;
    bool right = false;      ///< numbers
    bool may_shrink = false; ///< texts; never below 8 characters
};

struct Cell {
    std::string text;
    Colour colour = Colour::Plain;
    Cell(std::string its_text, Colour its_colour = Colour::Plain) // NOLINT: a text is a cell
        : text{std::move(its_text)}, colour{its_colour} {}
    Cell(char const* its_text) : text{its_text} {} // NOLINT
};

class Table {
public:
    explicit Table(std::vector<Column> columns) : columns_{std::move(columns)} {}
    /// As many cells as there are columns. Their text is made harmless here.
    void add(std::vector<Cell> cells);
    [[nodiscard]] bool is_empty() const { return rows_.empty(); }
    /// Lines, each after `indent` and with its newline; nothing when there is no row.
    [[nodiscard]] std::string to_text(Screen const& screen, std::string_view indent = {}) const;

private:
    [[nodiscard]] std::vector<std::size_t> widths(std::size_t room) const;
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

} // namespace holdfast::cli
