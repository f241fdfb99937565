// SPDX-License-Identifier: Apache-2.0
// Unit files from folders: search order, drop-ins, and what could not be read. Reads files, follows no
// policy.
#pragma once

#include "unit/parse.h"
#include "unit/source_stamp.h"

#include <map>
#include <string>
#include <vector>

namespace holdfast {

/// The folders that are searched, first hit wins. system: /etc/holdfast/units, /run/holdfast/units,
/// /usr/local/lib/holdfast/units, /usr/lib/holdfast/units. user: $XDG_CONFIG_HOME/holdfast/units (default
/// ~/.config), $XDG_RUNTIME_DIR/holdfast/units, $XDG_DATA_HOME/holdfast/units (default ~/.local/share),
/// /usr/lib/holdfast/user-units.
[[nodiscard]] std::vector<std::string> system_unit_folders();
[[nodiscard]] std::vector<std::string> user_unit_folders();

struct LoadedUnits {
    std::map<std::string, UnitSpecPtr> specs;           ///< good ones, by name
    std::map<std::string, std::vector<Diagnostic>> bad; ///< units with errors, by name
    std::vector<Diagnostic> warnings;                   ///< of good units and of folders
    std::vector<Diagnostic> folder_errors;              ///< a folder that exists and cannot be read
};

/// Every NAME.toml in `folders`. A folder that does not exist is passed over unless `must_exist`
/// (--unit-dir). A file larger than 1 MiB, one that is not a regular file after links are followed, and a
/// name that is no unit name are errors of that unit alone. A unit of `known` whose files have not changed
/// since they said so is not read again; of one that says the same, the known spec is what is loaded.
[[nodiscard]] LoadedUnits load_units(std::vector<std::string> const& folders, bool must_exist = false,
                                     std::map<std::string, UnitSpecPtr> const& known = {},
                                     timespec now = file_system_time());

/// One unit from a path, with the drop-ins in PATH.d/: what `holdfast verify FILE` checks. The name is the
/// file's without ".toml".
[[nodiscard]] ParsedUnit load_unit_file(std::string const& path);

} // namespace holdfast
