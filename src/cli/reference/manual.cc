// SPDX-License-Identifier: Apache-2.0
#include "cli/reference/reference.h"

#include <set>

namespace holdfast::cli {

namespace {

constexpr std::string_view value_mark = ".\\\" value: ";
constexpr std::string_view later_mark = ".\\\" keys: not supported yet";

/// "a, b or c".
std::string listed(std::vector<std::string_view> const& words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i)
        text += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + std::string{words[i]};
    return text;
}

std::string with_article(std::string_view kind) {
    bool const has_vowel = std::string_view{"aeiou"}.find(kind.front()) != std::string_view::npos;
    return kind.starts_with("true") ? std::string{kind} : (has_vowel ? "an " : "a ") + std::string{kind};
}

std::string value_of(Setting const& row) {
    auto const any = row.accepts();
    auto const& one = any.front();
    if (row.kind == "list of words")
        return "a word or a list of words: " + listed(one.words);
    if (row.kind == "word")
        return listed(one.words);
    auto text = with_article(row.kind);
    if (one.kind == Accepts::Kind::Whole && one.least && one.most)
        text.insert(std::string_view{"a number"}.size(),
                    " from " + std::to_string(*one.least) + " to " + std::to_string(*one.most));
    return text;
}

/// The lines of a key: what it takes, and what holds without it.
std::string lines_of(Setting const& row) {
    return ".br\nValue: " + value_of(row) + ".\n" +
           (row.fallback == "required" ? "Required.\n" : "Default: " + std::string{row.fallback} + ".\n");
}

std::string later_keys(SettingsFile file) {
    std::string text = ".Bl -tag -width Ds\n";
    for (auto const& [section, name] : enum_table(Section{})) {
        std::string keys;
        for (auto const& row : settings_of(section))
            if (!row.is_supported() && file_of(section) == file)
                keys += (keys.empty() ? ".Cm " : " ,\n.Cm ") + std::string{row.key};
        if (!keys.empty())
            text += ".It Li " + header_of(section) + "\n" + keys + "\n";
    }
    return text + ".El\n";
}

std::optional<Section> section_of(std::string_view title) {
    while (title.starts_with('['))
        title.remove_prefix(1);
    while (title.ends_with(']'))
        title.remove_suffix(1);
    return from_name<Section>(title);
}

} // namespace

Result<std::string> fill_in(std::string_view page, SettingsFile file) {
    std::string text;
    std::optional<Section> section;
    std::set<Setting const*> described;
    bool has_later = false;
    for (auto const line : split(page, '\n')) {
        if (line.starts_with(".Ss "))
            section = section_of(line.substr(4));
        if (line.starts_with(value_mark)) {
            auto const key = line.substr(value_mark.size());
            auto const* const row = section ? find_setting(*section, key) : nullptr;
            if (row == nullptr || !row->is_supported() || !described.insert(row).second)
                return plain_error("the page describes " + quoted(key) +
                                   ", which is no supported key of its section, or stands there twice");
            text += lines_of(*row);
        } else if (line == later_mark) {
            text += later_keys(file);
            has_later = true;
        } else {
            text += std::string{line} + "\n";
        }
    }
    if (text.ends_with("\n\n")) // split() sees an empty line behind the last newline
        text.pop_back();
    for (auto const& entry : enum_table(Section{}))
        for (auto const& row : settings_of(entry.value))
            if (row.is_supported() && file_of(row.section) == file && described.count(&row) == 0)
                return plain_error("the page does not describe " + quoted(row.key) + " of " +
                                   header_of(entry.value));
    if (!has_later)
        return plain_error("the page does not list the keys that are not supported yet");
    return text;
}

} // namespace holdfast::cli
