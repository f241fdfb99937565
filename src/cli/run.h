// SPDX-License-Identifier: Apache-2.0
// `holdfast run`: the supervisor in the foreground for one program; no unit file, no root, no daemon. The
// command line is read in cli/options.cc; this is what it says, unchecked beyond its own syntax.
#pragma once

#include <string>
#include <vector>

namespace holdfast::cli {

struct RunOptions {
    std::vector<std::string> listen;  ///< --listen ADDR, as in a unit file's `listen`; at least one
    std::vector<std::string> names;   ///< --name NAME, the n-th names the n-th --listen; may be fewer
    unsigned workers = 1;             ///< --workers N, at least 1
    bool reuse_port = false;          ///< --reuse-port
    std::string handoff;              ///< --handoff H, a name of `handoff` in a unit; empty: the default
    std::string ready = "exec";       ///< --ready notify | exec | tcp
    std::vector<std::string> watch;   ///< --watch PATH
    std::vector<std::string> command; ///< CMD ARGS after --; never empty
    std::string runtime_folder;       ///< --runtime-dir; empty: none was given
    bool quiet = false;               ///< --quiet
};

/// Runs until the program is told to end; returns the exit status of `holdfast` (cli/exit_status.h).
[[nodiscard]] int run_command(RunOptions const& options);

} // namespace holdfast::cli
