// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include "unit/daemon_spec.h"
#include "unit/load.h"

#include <cstdio>
#include <filesystem>
#include <system_error>

#include <CLI/CLI.hpp>

namespace holdfast::daemon {

Parsed parse_options(int argc, char** argv) {
    Options options;
    bool system = false;
    bool user = false;
    CLI::App app{"holdfastd holds a server's sockets fast while the server changes underneath.", "holdfastd"};
    app.set_version_flag("--version", "holdfastd " HOLDFAST_VERSION);
    auto* const system_flag = app.add_flag("--system", system, "Serve the machine (the default for root)");
    app.add_flag("--user", user, "Serve one user (the default for anybody else)")->excludes(system_flag);
    app.add_option("--config", options.config_file, "Read the daemon's own settings from FILE")
        ->type_name("FILE");
    app.add_option("--unit-dir", options.unit_folders, "Read units from DIR only; repeatable")
        ->type_name("DIR");
    app.add_option("--runtime-dir", options.runtime_folder, "Keep the sockets of the daemon itself in DIR")
        ->type_name("DIR");
    app.add_flag("--foreground", options.foreground, "Log, and let workers write, to standard error");
    app.add_flag("--delegated", options.delegated, "The cgroup it is started in is its own");
    app.add_flag("--verbose", options.verbose, "Log more");
    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        return {std::nullopt, app.exit(error) == 0 ? 0 : 2};
    }
    options.mode = system ? RunMode::System : user ? RunMode::User : default_mode();
    options.config_file_given = !options.config_file.empty();
    if (!options.config_file_given)
        options.config_file = options.mode == RunMode::System ? system_daemon_file() : user_daemon_file();
    options.unit_folders_given = !options.unit_folders.empty();
    if (!options.unit_folders_given)
        options.unit_folders = options.mode == RunMode::System ? system_unit_folders() : user_unit_folders();
    options.runtime_folder_given = !options.runtime_folder.empty();
    if (!options.runtime_folder_given) {
        auto folder = runtime_folder(options.mode);
        if (!folder) {
            std::fprintf(stderr, "holdfastd: %s\n", to_string(folder.error()).c_str());
            return {std::nullopt, 1};
        }
        options.runtime_folder = std::move(folder).value();
    }
    // Workers are told where it is, and they are in another folder.
    std::error_code problem;
    if (auto whole = std::filesystem::absolute(options.runtime_folder, problem); !problem)
        options.runtime_folder = whole.lexically_normal();
    return {options, 0};
}

} // namespace holdfast::daemon
