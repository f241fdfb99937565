// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include "base/ensure.h"

#include <algorithm>
#include <numeric>

namespace holdfast::cli {

namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t least_shrunk = 8;

std::string padded(Cell const& cell, std::size_t width, bool right, bool is_last, Screen const& screen) {
    std::string const text = cut_to(cell.text, width);
    std::string const space(width - std::min(width, width_of(text)), ' ');
    std::string const painted = paint(text, cell.colour, screen);
    if (right)
        return space + painted;
    return is_last ? painted : painted + space;
}

} // namespace

void Table::add(std::vector<Cell> cells) {
    ensure(cells.size() == columns_.size());
    for (auto& cell : cells)
        cell.text = harmless(cell.text);
    rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths(std::size_t room) const {
    std::vector<std::size_t> widths(columns_.size(), 0);
    for (auto const& row : rows_)
        for (std::size_t i = 0; i < columns_.size(); ++i)
            widths[i] = std::max(widths[i], width_of(row[i].text));
    std::size_t total = 0;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (widths[i] == 0)
            continue; // nothing in it: the whole column is left out
        widths[i] = std::max(widths[i], width_of(columns_[i].title));
        total += widths[i] + gap;
    }
    // The widest of those that may shrink gives a character, until it fits or none can give any more.
    while (room > 0 && total > room + gap) {
        std::size_t widest = columns_.size();
        for (std::size_t i = 0; i < columns_.size(); ++i)
            if (columns_[i].may_shrink && widths[i] > std::max(least_shrunk, width_of(columns_[i].title)) &&
                (widest == columns_.size() || widths[i] > widths[widest]))
                widest = i;
        if (widest == columns_.size())
            break;
        --widths[widest];
        --total;
    }
    return widths;
}

std::string Table::to_text(Screen const& screen, std::string_view indent) const {
    if (rows_.empty())
        return {};
    auto const wide = widths(screen.width > indent.size() ? screen.width - indent.size() : 0);
    std::size_t last = 0;
    for (std::size_t i = 0; i < wide.size(); ++i)
        last = wide[i] > 0 ? i : last;
    std::string text;
    auto const add_line = [&](std::vector<Cell> const& cells) {
        std::string line{indent};
        for (std::size_t i = 0; i < cells.size(); ++i)
            if (wide[i] > 0)
                line += padded(cells[i], wide[i], columns_[i].right, i == last, screen) +
                        (i == last ? "" : std::string(gap, ' '));
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    };
    std::vector<Cell> titles;
    for (auto const& column : columns_)
        titles.emplace_back(column.title, Colour::Faint);
    add_line(titles);
    for (auto const& row : rows_)
        add_line(row);
    return text;
}

} // namespace holdfast::cli
