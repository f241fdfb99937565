// SPDX-License-Identifier: Apache-2.0
// What holdfast.toml says, on top of the command line: read at the start, and again with the unit files. What
// stands on the command line wins.
#pragma once

#include "base/result.h"
#include "daemon/options.h"
#include "unit/daemon_spec.h"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::daemon {

class Config {
public:
    /// Fills in what `options` leaves open. `is_strict`: an error in the file is one, and all of them are its
    /// text; else the file is taken as far as it is right.
    [[nodiscard]] static Result<Config> read(Options& options, bool is_strict);

    [[nodiscard]] DaemonSpec const& spec() const { return spec_; }
    /// Of the reading at the start, when it was not strict.
    [[nodiscard]] std::vector<Diagnostic> const& problems() const { return problems_; }

    /// What it says now: its errors, and as warnings what takes an upgrade. `take`: is given the file's
    /// settings, those of spec() where an upgrade is needed; not called where there is an error.
    [[nodiscard]] std::vector<Diagnostic> reread(std::function<void(DaemonSpec const&)> const& take);

private:
    std::string path_;
    bool must_exist_ = false;
    bool is_verbose_ = false; ///< by the command line
    DaemonSpec spec_;
    std::vector<Diagnostic> problems_;
};

} // namespace holdfast::daemon
