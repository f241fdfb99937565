// SPDX-License-Identifier: Apache-2.0
#include "unit/daemon_spec.h"

#include "unit/read_sections.h"
#include "unit/toml_text.h"

#include <algorithm>

namespace holdfast {

namespace {

// What a holdfastd that runs takes over; the rest it has used up when it started.
constexpr std::array taken_over{std::pair{Section::Daemon, std::string_view{"log_level"}},
                                std::pair{Section::Limits, std::string_view{"max_connections"}}};

} // namespace

ParsedDaemon parse_daemon_file(UnitText const& file) {
    Report report{{&file}};
    ParsedDaemon parsed;
    if (auto const root = read_toml(file.text, 0, report)) {
        for (auto const& entry : root->entries) {
            auto const section = from_name<Section>(entry.key);
            if (!section || file_of(*section) != SettingsFile::Daemon)
                report_unknown_entry(entry, SettingsFile::Daemon, report);
            else
                read_section(*section, entry, &parsed.spec, report);
        }
    }
    parsed.diagnostics = report.take();
    return parsed;
}

std::vector<DaemonChange> changes_between(DaemonSpec const& now, DaemonSpec const& wanted) {
    std::vector<DaemonChange> changes;
    for (auto const& [section, name] : enum_table(Section{}))
        for (auto const& row : settings_of(section)) {
            if (file_of(section) != SettingsFile::Daemon || !row.is_supported())
                continue;
            auto const before = row.write(&now);
            auto const after = row.write(&wanted);
            if (before == after)
                continue;
            auto const or_default = [](std::string const& text) {
                return text.empty() ? "the default" : text;
            };
            changes.push_back(
                {std::string{name} + "." + std::string{row.key},
                 or_default(before) + " -> " + or_default(after),
                 std::ranges::find(taken_over, std::pair{section, row.key}) != taken_over.end()});
        }
    return changes;
}

} // namespace holdfast
