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
    /// Fills in what `options` leaves open. An error in the file is one, and all of them are its text.
    [[nodiscard]] static Result<Config> read(Options& options);
    /// For who comes after a crash, or after a successor that failed: `accepted` is the file as the one
    /// before had read it. What would take an upgrade stays as it was, whatever the file says now.
    [[nodiscard]] static Config resume(Options& options, std::string accepted);
    /// The same where nobody left it: the file is taken as far as it is right.
    [[nodiscard]] static Config read_what_is_right(Options& options);

    [[nodiscard]] DaemonSpec const& spec() const { return spec_; }
    /// What is wrong in the file, and was passed over at the start.
    [[nodiscard]] std::vector<Diagnostic> const& problems() const { return problems_; }
    /// What resume() is to be given; empty: there is no file.
    [[nodiscard]] std::string const& text() const { return text_; }

    /// What it says now: its errors, and as warnings what takes an upgrade. `take`: is given the file's
    /// settings, those of spec() where an upgrade is needed; not called where there is an error.
    [[nodiscard]] std::vector<Diagnostic> reread(std::function<void(DaemonSpec const&)> const& take);

private:
    explicit Config(Options const& options);
    /// What the command line says of it wins.
    void take(DaemonSpec spec, std::string text, Options& options);
    [[nodiscard]] DaemonSpec under_options(DaemonSpec spec) const;

    std::string path_;
    std::string text_;
    bool must_exist_ = false;
    bool is_verbose_ = false;             ///< by the command line
    std::vector<std::string> overridden_; ///< keys that the command line has decided
    DaemonSpec spec_;
    std::vector<Diagnostic> problems_;
};

} // namespace holdfast::daemon
