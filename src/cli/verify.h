// SPDX-License-Identifier: Apache-2.0
// What is wrong with a unit on this machine that its text alone does not show: the program, the user, the
// folder. Warnings, for they may be there when the unit is started.
#pragma once

#include "unit/diagnostic.h"
#include "unit/spec.h"

#include <map>
#include <string>
#include <vector>

namespace holdfast::cli {

[[nodiscard]] std::vector<Diagnostic> look_around(UnitSpec const& spec);

/// What verify found out: diagnostics by unit (an empty list: all is well), and those of folders.
struct Verified {
    std::map<std::string, std::vector<Diagnostic>> units;
    std::vector<Diagnostic> folders;
    std::vector<std::string> unknown; ///< units that no folder has
    std::string config_path;          ///< the holdfast.toml that was checked; empty: none
    std::vector<Diagnostic> config;
};
/// `operands`: files (they have a '/' or end with ".toml") and names of units in `folders`; none: every unit
/// there is. `must_exist`: the folders were named by the user.
[[nodiscard]] Verified verify_units(std::vector<std::string> const& operands,
                                    std::vector<std::string> const& folders, bool must_exist);

} // namespace holdfast::cli
