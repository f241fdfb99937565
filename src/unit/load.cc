// SPDX-License-Identifier: Apache-2.0
#include "unit/load.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/result.h"
#include "base/text.h"
#include "unit/toml_text.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::string_view suffix = ".toml";

Diagnostic about_file(std::string file, std::string message, std::string suggestion) {
    Diagnostic diagnostic;
    diagnostic.file = std::move(file);
    diagnostic.message = std::move(message);
    diagnostic.suggestion = std::move(suggestion);
    return diagnostic;
}

bool is_toml_name(std::string_view name) {
    return name.size() > suffix.size() && name.front() != '.' &&
           name.substr(name.size() - suffix.size()) == suffix;
}

// The names of the files that end in .toml, sorted.
Result<std::vector<std::string>> toml_files_in(std::string const& folder) {
    std::unique_ptr<DIR, int (*)(DIR*)> const stream{::opendir(folder.c_str()), ::closedir};
    if (!stream)
        return system_error(errno, "open the folder", folder);
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        auto const* const entry = ::readdir(stream.get());
        if (!entry && errno != 0)
            return system_error(errno, "read the folder", folder);
        if (!entry)
            break;
        if (is_toml_name(entry->d_name))
            names.emplace_back(entry->d_name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

// A link to /dev/null hides the file of that name in later folders, as systemd has it.
bool is_masked(std::string const& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(1, 3);
}

// Asked before it is opened, since opening a device or a FIFO may do something; and again when it is open,
// since it may be another file by then.
Outcome check_status(struct stat const& status) {
    if (!S_ISREG(status.st_mode))
        return plain_error("this is no regular file", {}, "a unit file must be a file, or a link to one");
    if (status.st_size > static_cast<off_t>(largest_unit_file))
        return plain_error("the file is larger than 1 MiB", {},
                           "this cannot be a unit file; is the name right?");
    return {};
}

Result<std::string> read_file(std::string const& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        return system_error(errno, "read the file");
    if (auto const checked = check_status(status); !checked)
        return checked.error();
    UniqueFd const fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (!fd.is_open() || ::fstat(fd.raw(), &status) != 0)
        return system_error(errno, "read the file");
    if (auto const checked = check_status(status); !checked)
        return checked.error();
    std::string text;
    char buffer[16 * 1024];
    // A file that grows meanwhile is read to just past the limit, which parse_unit() then reports.
    while (text.size() <= largest_unit_file) {
        auto const count = ::read(fd.raw(), buffer, sizeof buffer);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return system_error(errno, "read the file");
        if (count == 0)
            break;
        text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
}

std::string advice_for(int code) {
    switch (code) {
    case EACCES:
        return "let the user that holdfast runs as read it (chmod, chown)";
    case ENOENT:
        return "a link that points nowhere, or a name that is not there";
    case ELOOP:
        return "a link that points to itself";
    case ENOTDIR:
        return "a folder is expected here, or above it";
    default:
        return {};
    }
}

Diagnostic unreadable(std::string const& path, Error const& error) {
    auto const message =
        error.code == 0 ? error.doing : "cannot " + error.doing + ": " + std::string{errno_text(error.code)};
    return about_file(path, message, error.code == 0 ? error.advice : advice_for(error.code));
}

// The drop-ins of FILE in `folders`: of one name the first folder's, all of them in the order of their names.
std::vector<std::string> drop_in_paths(std::vector<std::string> const& folders, std::string const& file,
                                       std::vector<Diagnostic>& problems) {
    std::map<std::string, std::string> found;
    for (auto const& folder : folders) {
        auto const drop_in_folder = folder + "/" + file + ".d";
        auto const names = toml_files_in(drop_in_folder);
        if (!names && names.error().code != ENOENT)
            problems.push_back(unreadable(drop_in_folder, names.error()));
        if (!names)
            continue;
        for (auto const& name : *names)
            found.emplace(name, drop_in_folder + "/" + name);
    }
    std::vector<std::string> paths;
    for (auto const& [name, path] : found)
        if (!is_masked(path))
            paths.push_back(path);
    return paths;
}

// The unit in `path`, with the drop-ins that are beside it or in any other of `folders`.
ParsedUnit load_unit(std::string const& path, std::string const& file,
                     std::vector<std::string> const& folders) {
    std::vector<Diagnostic> problems;
    auto const text_of = [&problems](std::string const& from) {
        auto text = read_file(from);
        if (!text)
            problems.push_back(unreadable(from, text.error()));
        return UnitText{from, std::move(text).value_or(std::string{})};
    };
    auto const main = text_of(path);
    std::vector<UnitText> drop_ins;
    for (auto const& drop_in : drop_in_paths(folders, file, problems))
        drop_ins.push_back(text_of(drop_in));
    if (!problems.empty()) // half a unit is not what somebody wrote
        return {nullptr, std::move(problems)};
    auto const has_suffix = is_toml_name(file);
    return parse_unit(has_suffix ? file.substr(0, file.size() - suffix.size()) : file, main, drop_ins);
}

// $VARIABLE when it is an absolute path, else HOME + fallback; empty when neither is known.
std::string base_folder(char const* variable, std::string_view fallback) {
    if (char const* given = ::secure_getenv(variable); given && given[0] == '/')
        return given;
    char const* home = ::secure_getenv("HOME");
    if (fallback.empty() || !home || home[0] != '/')
        return {};
    return home + std::string{fallback};
}

} // namespace

std::vector<std::string> system_unit_folders() {
    return {"/etc/holdfast/units", "/run/holdfast/units", "/usr/local/lib/holdfast/units",
            "/usr/lib/holdfast/units"};
}

std::vector<std::string> user_unit_folders() {
    std::vector<std::string> folders;
    for (auto const& base : {base_folder("XDG_CONFIG_HOME", "/.config"), base_folder("XDG_RUNTIME_DIR", ""),
                             base_folder("XDG_DATA_HOME", "/.local/share")})
        if (!base.empty())
            folders.push_back(base + "/holdfast/units");
    folders.emplace_back("/usr/lib/holdfast/user-units");
    return folders;
}

LoadedUnits load_units(std::vector<std::string> const& folders, bool must_exist) {
    LoadedUnits loaded;
    std::map<std::string, std::string> found; // file name → path, of the first folder that has it
    std::vector<std::string> readable;        // one that is not says nothing of the units of the others
    for (auto const& folder : folders) {
        auto const names = toml_files_in(folder);
        if (!names && (must_exist || names.error().code != ENOENT))
            loaded.folder_errors.push_back(unreadable(folder, names.error()));
        if (!names)
            continue;
        readable.push_back(folder);
        for (auto const& name : *names)
            found.emplace(name, folder + "/" + name);
    }
    for (auto const& [file, path] : found) {
        if (is_masked(path))
            continue;
        auto unit = load_unit(path, file, readable);
        auto const name = file.substr(0, file.size() - suffix.size());
        if (!unit.spec) {
            loaded.bad.emplace(name, std::move(unit.diagnostics));
            continue;
        }
        loaded.specs.emplace(name, std::move(unit.spec));
        loaded.warnings.insert(loaded.warnings.end(), unit.diagnostics.begin(), unit.diagnostics.end());
    }
    return loaded;
}

ParsedUnit load_unit_file(std::string const& path) {
    auto const slash = path.rfind('/');
    auto const folder = slash == std::string::npos ? std::string{"."} : path.substr(0, slash);
    auto const file = slash == std::string::npos ? path : path.substr(slash + 1);
    return load_unit(path, file, {folder});
}

} // namespace holdfast
