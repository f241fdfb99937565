// SPDX-License-Identifier: Apache-2.0
#include "cli/verify.h"

#include "base/folders.h"
#include "base/text.h"
#include "cli/act.h"
#include "cli/session.h"
#include "unit/daemon_spec.h"
#include "unit/load.h"
#include "worker/identity.h"
#include "worker/launch.h"

#include <algorithm>

#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::cli {

using nlohmann::json;

namespace {

bool is_file_name(std::string const& operand) {
    return operand.find('/') != std::string::npos || operand.ends_with(".toml");
}

/// "web" of "/etc/holdfast/units/web.toml".
std::string unit_of(std::string const& file) {
    std::string name = file.substr(file.rfind('/') + 1);
    if (name.ends_with(".toml"))
        name.resize(name.size() - 5);
    return name;
}

Diagnostic warning(UnitSpec const& spec, std::string message, std::string suggestion) {
    Diagnostic diagnostic;
    diagnostic.severity = Severity::Warning;
    diagnostic.file = spec.path;
    diagnostic.message = std::move(message);
    diagnostic.suggestion = std::move(suggestion);
    return diagnostic;
}

/// Empty when one of the candidates can be executed.
std::string why_not_executable(std::string const& program) {
    std::string why = "`" + program + "` does not exist";
    if (program.find('/') == std::string::npos)
        why = "there is no program `" + program + "` in " + std::string{default_search_path};
    for (auto const& path : program_candidates(program, default_search_path)) {
        struct stat seen {};
        if (::stat(path.c_str(), &seen) < 0)
            continue;
        if (S_ISREG(seen.st_mode) && (seen.st_mode & 0111) != 0)
            return {};
        why = "`" + path + "` " + (S_ISREG(seen.st_mode) ? "is not executable" : "is not a file");
    }
    return why;
}

json to_json(std::vector<Diagnostic> const& diagnostics) {
    json list = json::array();
    for (auto const& diagnostic : diagnostics)
        list.push_back({{"severity", std::string{to_name(diagnostic.severity)}},
                        {"file", diagnostic.file},
                        {"line", diagnostic.line},
                        {"column", diagnostic.column},
                        {"message", diagnostic.message},
                        {"suggestion", diagnostic.suggestion.empty() ? json{} : json(diagnostic.suggestion)},
                        {"text", to_string(diagnostic)}});
    return list;
}

void keep(Verified& verified, std::string const& name, std::vector<Diagnostic> diagnostics,
          UnitSpecPtr const& spec) {
    if (spec)
        for (auto& found : look_around(*spec))
            diagnostics.push_back(std::move(found));
    verified.units[name] = std::move(diagnostics);
}

/// Warnings of the loader carry a file, not a unit.
std::vector<Diagnostic> warnings_of(LoadedUnits const& loaded, UnitSpec const& spec) {
    std::vector<Diagnostic> mine;
    for (auto const& diagnostic : loaded.warnings)
        if (diagnostic.file == spec.path || diagnostic.file.starts_with(spec.path + ".d/"))
            mine.push_back(diagnostic);
    return mine;
}

json to_json(Verified const& verified) {
    json units = json::array();
    for (auto const& [name, diagnostics] : verified.units)
        units.push_back(
            {{"unit", name}, {"ok", !has_errors(diagnostics)}, {"diagnostics", to_json(diagnostics)}});
    json config;
    if (!verified.config_path.empty())
        config = {{"file", verified.config_path},
                  {"ok", !has_errors(verified.config)},
                  {"diagnostics", to_json(verified.config)}};
    return {{"units", std::move(units)},
            {"folder_errors", to_json(verified.folders)},
            {"config", std::move(config)}};
}

std::string to_text(Verified const& verified, Screen const& screen) {
    std::string text;
    text += harmless_lines(to_string(verified.config));
    if (!verified.config_path.empty() && !has_errors(verified.config))
        text += harmless(verified.config_path) + ": " + paint("ok", Colour::Good, screen) + "\n";
    for (auto const& diagnostic : verified.folders)
        text += harmless_lines(to_string(diagnostic));
    for (auto const& [name, diagnostics] : verified.units) {
        text += harmless_lines(to_string(diagnostics));
        if (!has_errors(diagnostics))
            text += name + ": " + paint("ok", Colour::Good, screen) +
                    (diagnostics.empty() ? "" : ", with warnings") + "\n";
    }
    return text;
}

} // namespace

std::vector<Diagnostic> look_around(UnitSpec const& spec) {
    std::vector<Diagnostic> found;
    auto const& service = spec.service;
    // A placeholder is filled in only when it is started.
    if (std::string const& program = service.exec_start.front(); program.find('{') == std::string::npos)
        if (std::string const why = why_not_executable(program); !why.empty())
            found.push_back(warning(spec, "exec_start: " + why, "install it, or make it executable"));
    if (!service.user.empty())
        if (auto const user = find_uid(service.user); !user)
            found.push_back(warning(spec, "user: " + to_string(user.error()), {}));
    if (!service.group.empty())
        if (auto const group = find_gid(service.group); !group)
            found.push_back(warning(spec, "group: " + to_string(group.error()), {}));
    if (auto const& folder = service.working_directory; !folder.empty()) {
        struct stat seen {};
        if (::stat(folder.c_str(), &seen) < 0 || !S_ISDIR(seen.st_mode))
            found.push_back(warning(spec, "working_directory: `" + folder + "` is no folder", {}));
    }
    return found;
}

Verified verify_units(std::vector<std::string> const& operands, std::vector<std::string> const& folders,
                      bool must_exist) {
    Verified verified;
    bool const all = operands.empty();
    bool const any_name = std::any_of(operands.begin(), operands.end(),
                                      [](std::string const& operand) { return !is_file_name(operand); });
    LoadedUnits const loaded = all || any_name ? load_units(folders, must_exist) : LoadedUnits{};
    verified.folders = loaded.folder_errors;
    auto const add_named = [&](std::string const& name) {
        if (auto const spec = loaded.specs.find(name); spec != loaded.specs.end())
            keep(verified, name, warnings_of(loaded, *spec->second), spec->second);
        else if (auto const bad = loaded.bad.find(name); bad != loaded.bad.end())
            keep(verified, name, bad->second, nullptr);
        else
            verified.unknown.push_back(name);
    };
    for (auto const& operand : operands) {
        if (!is_file_name(operand)) {
            add_named(operand);
            continue;
        }
        auto parsed = load_unit_file(operand);
        keep(verified, unit_of(operand), std::move(parsed.diagnostics), parsed.spec);
    }
    if (all) {
        for (auto const& [name, spec] : loaded.specs)
            add_named(name);
        for (auto const& [name, diagnostics] : loaded.bad)
            add_named(name);
    }
    return verified;
}

/// The one that was named; else with all units that of the mode, where it is there.
void verify_config(CommandLine const& line, RunMode mode, Verified& verified) {
    auto const usual = mode == RunMode::System ? system_daemon_file() : user_daemon_file();
    bool const is_named = !line.config_file.empty();
    if (!is_named && (!line.operands.empty() || !line.unit_folders.empty() || usual.empty() ||
                      ::access(usual.c_str(), F_OK) != 0))
        return;
    verified.config_path = is_named ? line.config_file : usual;
    verified.config = load_daemon_file(verified.config_path, is_named).diagnostics;
}

ExitStatus verify(Session& session) {
    auto const& line = session.line();
    auto const mode = line.user ? RunMode::User : line.system ? RunMode::System : default_mode();
    auto const folders = !line.unit_folders.empty() ? line.unit_folders
                         : mode == RunMode::System  ? system_unit_folders()
                                                    : user_unit_folders();
    bool const config_alone = !line.config_file.empty() && line.operands.empty() && line.unit_folders.empty();
    auto verified =
        config_alone ? Verified{} : verify_units(line.operands, folders, !line.unit_folders.empty());
    verify_config(line, mode, verified);
    if (line.json)
        session.print_json(to_json(verified), false);
    else
        session.print_verbatim(to_text(verified, session.screen()));
    if (verified.config_path.empty() && verified.units.empty() && verified.folders.empty() &&
        verified.unknown.empty())
        Session::complain("there is no unit in " + join(folders, ", "));
    for (auto const& name : verified.unknown)
        Session::complain("there is no unit `" + name + "` in " + join(folders, ", "));
    bool bad = has_errors(verified.folders) || has_errors(verified.config);
    for (auto const& [name, diagnostics] : verified.units)
        bad = bad || has_errors(diagnostics);
    if (!verified.unknown.empty())
        return ExitStatus::NoSuchUnit;
    return bad ? ExitStatus::Failed : ExitStatus::Done;
}

} // namespace holdfast::cli
