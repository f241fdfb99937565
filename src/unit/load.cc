// SPDX-License-Identifier: Apache-2.0
#include "unit/load.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/result.h"
#include "base/text.h"
#include "unit/daemon_spec.h"
#include "unit/source_stamp.h"
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

struct Listing {
    std::vector<std::string> files;           // that end in .toml, sorted
    std::vector<std::string> drop_in_folders; // that end in .toml.d
};

Result<Listing> list_folder(std::string const& folder) {
    std::unique_ptr<DIR, int (*)(DIR*)> const stream{::opendir(folder.c_str()), ::closedir};
    if (!stream)
        return system_error(errno, "open the folder", folder);
    Listing listing;
    for (;;) {
        errno = 0;
        auto const* const entry = ::readdir(stream.get());
        if (!entry && errno != 0)
            return system_error(errno, "read the folder", folder);
        if (!entry)
            break;
        std::string_view const name = entry->d_name;
        if (is_toml_name(name))
            listing.files.emplace_back(name);
        else if (name.ends_with(".d") && is_toml_name(name.substr(0, name.size() - 2)))
            listing.drop_in_folders.emplace_back(name);
    }
    std::sort(listing.files.begin(), listing.files.end());
    return listing;
}

// A link to /dev/null hides the file of that name in later folders, as systemd has it.
bool is_mask(struct stat const& status) {
    return S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(1, 3);
}

// Asked before it is opened, since opening a device or a FIFO may do something; and again when it is open,
// since it may be another file by then.
Outcome check_status(struct stat const& status) {
    if (!S_ISREG(status.st_mode))
        return plain_error("this is no regular file", {}, "it must be a file, or a link to one");
    if (status.st_size > static_cast<off_t>(largest_unit_file))
        return plain_error("the file is larger than 1 MiB", {},
                           "this cannot be the right file; is the name right?");
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

// A file of a unit, looked at before it is read; one that cannot be looked at says why when it is read.
struct SourceFile {
    std::string path;
    struct stat status {};
    bool is_there = false;

    explicit SourceFile(std::string at) : path{std::move(at)}, is_there{::stat(path.c_str(), &status) == 0} {}
};

struct UnitSource {
    SourceFile main;
    std::vector<SourceFile> drop_ins{};
    std::vector<Diagnostic> problems{};

    // 0 when what the unit says does not follow from what is there.
    [[nodiscard]] std::uint64_t stamp(timespec now) const {
        SourceStamp stamp{now};
        bool is_whole = problems.empty() && main.is_there;
        stamp.add(main.path, main.status);
        for (auto const& file : drop_ins) {
            is_whole = is_whole && file.is_there;
            stamp.add(file.path, file.status);
        }
        return is_whole ? stamp.value() : 0;
    }
};

// The drop-ins in these folders: of one name the first folder's, all of them in the order of their names.
void find_drop_ins(std::vector<std::string> const& folders, UnitSource& source) {
    std::map<std::string, std::string> found;
    for (auto const& folder : folders) {
        auto const listing = list_folder(folder);
        if (!listing && listing.error().code != ENOENT)
            source.problems.push_back(unreadable(folder, listing.error()));
        if (!listing)
            continue;
        for (auto const& name : listing->files)
            found.emplace(name, folder + "/" + name);
    }
    for (auto const& [name, path] : found)
        if (SourceFile file{path}; !file.is_there || !is_mask(file.status))
            source.drop_ins.push_back(std::move(file));
}

ParsedUnit parse(UnitSource source, std::string const& name) {
    auto& problems = source.problems;
    auto const text_of = [&problems](SourceFile const& file) {
        auto text = read_file(file.path);
        if (!text)
            problems.push_back(unreadable(file.path, text.error()));
        return UnitText{file.path, std::move(text).value_or(std::string{})};
    };
    auto const main = text_of(source.main);
    std::vector<UnitText> drop_ins;
    for (auto const& drop_in : source.drop_ins)
        drop_ins.push_back(text_of(drop_in));
    if (!problems.empty()) // half a unit is not what somebody wrote
        return {nullptr, std::move(problems)};
    return parse_unit(name, main, drop_ins);
}

// As parse(), but what is known and unchanged is not read again.
ParsedUnit load_unit(UnitSource source, std::string const& name, UnitSpecPtr const& known, timespec now) {
    auto const stamp = source.stamp(now);
    if (known && stamp != 0 && known->source.stamp == stamp)
        return {known, {}};
    auto unit = parse(std::move(source), name);
    if (!unit.spec)
        return unit;
    if (known && *known == *unit.spec)
        unit.spec = known;
    // What there is to say about the unit is to be said each time.
    unit.spec->source.stamp = unit.diagnostics.empty() ? stamp : 0;
    return unit;
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

LoadedUnits load_units(std::vector<std::string> const& folders, bool must_exist,
                       std::map<std::string, UnitSpecPtr> const& known, timespec now) {
    LoadedUnits loaded;
    std::map<std::string, std::string> found; // file name → path, of the first folder that has it
    std::map<std::string, std::vector<std::string>> drop_in_folders; // by the same name, in order
    for (auto const& folder : folders) {
        auto const listing = list_folder(folder);
        if (!listing && (must_exist || listing.error().code != ENOENT))
            loaded.folder_errors.push_back(unreadable(folder, listing.error()));
        if (!listing) // it says nothing of the units of the others
            continue;
        for (auto const& name : listing->files)
            found.emplace(name, folder + "/" + name);
        for (auto const& name : listing->drop_in_folders)
            drop_in_folders[name.substr(0, name.size() - 2)].push_back(folder + "/" + name);
    }
    for (auto const& [file, path] : found) {
        UnitSource source{SourceFile{path}};
        if (source.main.is_there && is_mask(source.main.status))
            continue;
        if (auto const at = drop_in_folders.find(file); at != drop_in_folders.end())
            find_drop_ins(at->second, source);
        auto const name = file.substr(0, file.size() - suffix.size());
        auto const before = known.find(name);
        auto unit = load_unit(std::move(source), name, before == known.end() ? nullptr : before->second, now);
        if (!unit.spec) {
            loaded.bad.emplace(name, std::move(unit.diagnostics));
            continue;
        }
        loaded.specs.emplace(name, std::move(unit.spec));
        loaded.warnings.insert(loaded.warnings.end(), unit.diagnostics.begin(), unit.diagnostics.end());
    }
    return loaded;
}

std::string system_daemon_file() {
    return "/etc/holdfast/holdfast.toml";
}

std::string user_daemon_file() {
    auto const base = base_folder("XDG_CONFIG_HOME", "/.config");
    return base.empty() ? base : base + "/holdfast/holdfast.toml";
}

ParsedDaemon load_daemon_file(std::string const& path, bool must_exist) {
    // A usual place that we may not even look into is that of somebody else: HOME outlives sudo.
    struct stat status {};
    if (!must_exist && ::stat(path.c_str(), &status) != 0 &&
        (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
        return {};
    auto text = read_file(path);
    if (!text)
        return {{}, {unreadable(path, text.error())}, {}};
    auto parsed = parse_daemon_file({path, *text});
    parsed.text = std::move(text).value();
    return parsed;
}

ParsedUnit load_unit_file(std::string const& path) {
    auto const file = path.substr(path.rfind('/') + 1); // all of it where there is none
    UnitSource source{SourceFile{path}};
    find_drop_ins({path + ".d"}, source);
    return parse(std::move(source), is_toml_name(file) ? file.substr(0, file.size() - suffix.size()) : file);
}

} // namespace holdfast
