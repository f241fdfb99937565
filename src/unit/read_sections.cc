// SPDX-License-Identifier: Apache-2.0
#include "unit/read_sections.h"

#include <algorithm>

namespace holdfast {

void read_table(Section section, Node const& table, void* target, Report& report) {
    for (auto const& entry : table.entries) {
        auto const* const row = find_setting(section, entry.key);
        if (!row)
            report.error(entry.place, "unknown key " + quoted(entry.key) + " in " + header_of(section),
                         suggest_key(section, entry.key));
        else if (!row->is_supported())
            report.error(entry.place, quoted(entry.key) + " is not supported yet");
        else
            row->read(Reader{report, row->key}, entry.value, target);
    }
}

void read_section(Section section, Entry const& entry, void* target, Report& report) {
    if (!entry.value.is(NodeKind::Table))
        return report_no_table(section, entry, report);
    if (entry.value.entries.empty() && std::ranges::none_of(settings_of(section), &Setting::is_supported))
        return report.error(entry.place, quoted(header_of(section)) + " is not supported yet");
    read_table(section, entry.value, target, report);
}

void report_unknown_entry(Entry const& entry, SettingsFile file, Report& report) {
    std::vector<std::string_view> names;
    for (auto const& row : enum_table(Section{}))
        if (row.value != Section::SocketOption && file_of(row.value) == file)
            names.push_back(row.name);
    bool const is_section =
        entry.value.is(NodeKind::Table) || (entry.value.is(NodeKind::List) && !entry.value.items.empty() &&
                                            entry.value.items.front().is(NodeKind::Table));
    if (!is_section)
        return report.error(entry.place, quoted(entry.key) + " stands outside any section",
                            suggest_section_of(file, entry.key));
    std::string lower = entry.key.substr(0, 64);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    auto const meant = nearest(lower == "install" ? "unit" : lower, names);
    auto const found = meant.empty() ? std::nullopt : from_name<Section>(meant);
    report.error(entry.place, "unknown section " + quoted(entry.key),
                 found ? "did you mean " + header_of(*found) + "?" : "");
}

void report_no_table(Section section, Entry const& entry, Report& report) {
    report.error(entry.place,
                 quoted(entry.key) + " must be one table, not " + std::string{kind_name(entry.value.kind)},
                 "write " + header_of(section) + " and its keys below");
}

} // namespace holdfast
