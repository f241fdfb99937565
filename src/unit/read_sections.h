// SPDX-License-Identifier: Apache-2.0
// Sections of a file, by the table of settings; for the readers of units (parse.cc) and of holdfast.toml
// (daemon_spec.cc) only.
#pragma once

#include "unit/report.h"
#include "unit/settings.h"

namespace holdfast {

/// The keys of one table into the struct of its section. For a section that is not built `target` is null:
/// none of its rows reads.
void read_table(Section section, Node const& table, void* target, Report& report);

/// The same of a section that is one table. What is none, and one that is not built, is said.
void read_section(Section section, Entry const& entry, void* target, Report& report);

/// One that stands in the root and is no section of that file.
void report_unknown_entry(Entry const& entry, SettingsFile file, Report& report);
/// A section that is a value, or in double brackets.
void report_no_table(Section section, Entry const& entry, Report& report);

} // namespace holdfast
