// SPDX-License-Identifier: Apache-2.0
// The command line of holdfastd.
#pragma once

#include "base/folders.h"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::daemon {

struct Options {
    RunMode mode = RunMode::System;
    std::vector<std::string> unit_folders;
    bool unit_folders_given = false;
    std::string runtime_folder;
    bool runtime_folder_given = false;
    std::string config_file; ///< holdfast.toml; empty: there is no place for one
    bool config_file_given = false;
    bool foreground = false; ///< log to standard error, let the workers' output through
    bool verbose = false;
    bool delegated = false; ///< the cgroup we are in is ours
};

/// The options, or the exit status to end with (after --help, --version, or a mistake that has been told).
struct Parsed {
    std::optional<Options> options;
    int exit_status = 0;
};
[[nodiscard]] Parsed parse_options(int argc, char** argv);

} // namespace holdfast::daemon
