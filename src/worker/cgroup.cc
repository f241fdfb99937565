// SPDX-License-Identifier: Apache-2.0
#include "worker/cgroup.h"

#include "base/proc_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace holdfast {

namespace {

UniqueFd open_folder(int at, char const* name) {
    return UniqueFd{::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)};
}

/// 0, or an errno value.
int write_file(FdRef folder, char const* name, std::string_view text) {
    UniqueFd const file{::openat(folder.raw(), name, O_WRONLY | O_CLOEXEC)};
    if (!file.is_open())
        return errno;
    return ::write(file.raw(), text.data(), text.size()) < 0 ? errno : 0;
}

bool has_file(FdRef folder, char const* name) {
    return ::faccessat(folder.raw(), name, F_OK, 0) == 0;
}

/// The names of the cgroups right below.
std::vector<std::string> folders_in(FdRef folder) {
    std::vector<std::string> names;
    int const copy = ::openat(folder.raw(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* const listing = copy < 0 ? nullptr : ::fdopendir(copy);
    if (listing == nullptr) {
        UniqueFd const closed{copy};
        return names;
    }
    while (dirent const* const entry = ::readdir(listing))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    ::closedir(listing);
    return names;
}

bool is_cgroup2(FdRef folder) {
    struct statfs status {};
    return ::fstatfs(folder.raw(), &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

bool is_delegated(FdRef folder) {
    for (char const* const name : {"user.delegate", "trusted.delegate"}) {
        char value = 0;
        if (::fgetxattr(folder.raw(), name, &value, 1) == 1 && value == '1')
            return true;
    }
    return false;
}

/// As sd_booted(3): there, a cgroup belongs to systemd unless it was delegated.
bool has_systemd() {
    return ::access("/run/systemd/system", F_OK) == 0;
}

/// Why the cgroup is not ours to take; empty when it is.
std::string reason_against(CgroupPlace const& place, FdRef folder, bool is_given) {
    if (!has_file(folder, "cgroup.events"))
        return "this is the root of all cgroups";
    if (!is_given && !is_delegated(folder) && place.path != "/" && has_systemd())
        return "it was not delegated to us";
    if (::faccessat(folder.raw(), ".", W_OK, AT_EACCESS) != 0 ||
        ::faccessat(folder.raw(), "cgroup.procs", W_OK, AT_EACCESS) != 0)
        return "it is not ours to write to";
    return {};
}

bool is_same(FdRef one, FdRef other) {
    struct stat a {
    }, b{};
    return ::fstat(one.raw(), &a) == 0 && ::fstat(other.raw(), &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

std::string moved_text(pid_t pid) {
    return std::to_string(pid) + "\n";
}

/// The processes that are right in it; those that cannot be seen from here are 0.
std::vector<pid_t> processes_in(FdRef folder) {
    std::vector<pid_t> pids;
    UniqueFd const file{::openat(folder.raw(), "cgroup.procs", O_RDONLY | O_CLOEXEC)};
    std::array<char, 8192> buffer;
    pid_t pid = 0;
    for (ssize_t size = 0; file.is_open() && (size = ::read(file.raw(), buffer.data(), buffer.size())) > 0;)
        for (char const c : std::string_view{buffer.data(), static_cast<std::size_t>(size)})
            if (c == '\n')
                pids.push_back(std::exchange(pid, 0));
            else
                pid = pid * 10 + (c - '0');
    return pids;
}

/// Of what we made, so that nothing else is ever killed that is only called alike.
constexpr char mark[] = "user.holdfast";
constexpr std::string_view made = "made";
constexpr std::string_view killed = "killed";

bool is_marked(FdRef folder) {
    return ::fgetxattr(folder.raw(), mark, nullptr, 0) >= 0;
}

bool put_mark(FdRef folder, std::string_view word) {
    return ::fsetxattr(folder.raw(), mark, word.data(), word.size(), 0) == 0;
}

/// Moves us into a leaf of it. Why not; empty when we are there.
std::string go_into(FdRef folder, std::string const& leaf) {
    // A new one, unless there is somebody in it: see may_be_born_in().
    (void)::unlinkat(folder.raw(), leaf.c_str(), AT_REMOVEDIR);
    bool const is_new = ::mkdirat(folder.raw(), leaf.c_str(), 0755) == 0;
    if (!is_new && errno != EEXIST)
        return to_string(system_error(errno, "make the cgroup " + leaf));
    auto const own = open_folder(folder.raw(), leaf.c_str());
    // It may have been killed by somebody else, and nothing tells. Before Linux 5.7 nothing can be marked,
    // and what is not marked is never killed.
    int problem = put_mark(own, is_new ? made : killed) ? 0 : errno;
    auto const doing = (problem != 0 ? "mark the cgroup " : "move into the cgroup ") + leaf;
    if (problem == 0)
        problem = write_file(own, "cgroup.procs", moved_text(::getpid()));
    if (problem == 0)
        return {};
    (void)::unlinkat(folder.raw(), leaf.c_str(), AT_REMOVEDIR);
    return to_string(system_error(problem, doing));
}

/// There is a process in it or below. True where that cannot be known.
bool is_populated(FdRef folder) {
    UniqueFd const file{::openat(folder.raw(), "cgroup.events", O_RDONLY | O_CLOEXEC)};
    std::array<char, 256> text;
    auto const size = file.is_open() ? ::read(file.raw(), text.data(), text.size()) : -1;
    return size < 0 || std::string_view{text.data(), static_cast<std::size_t>(size)}.find("populated 0") ==
                           std::string_view::npos;
}

bool has_below(FdRef folder, std::function<bool(pid_t)> const& is_one) {
    if (std::ranges::any_of(processes_in(folder), is_one))
        return true;
    return std::ranges::any_of(folders_in(folder), [&](std::string const& name) {
        auto const below = open_folder(folder.raw(), name.c_str());
        return below.is_open() && has_below(below, is_one);
    });
}

bool remove_tree(int at, std::string const& name) {
    if (::unlinkat(at, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    auto const folder = open_folder(at, name.c_str());
    if (!folder.is_open())
        return errno == ENOENT;
    bool is_empty = true;
    for (auto const& below : folders_in(folder))
        is_empty = remove_tree(folder.raw(), below) && is_empty;
    return is_empty && (::unlinkat(at, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT);
}

} // namespace

Result<std::unique_ptr<CgroupTree>> CgroupTree::open(pid_t keeper, UniqueFd kept, bool is_given) {
    auto const mountinfo = read_proc_file("/proc/self/mountinfo");
    auto const cgroup = read_proc_file("/proc/self/cgroup");
    auto const no = [](std::string why) {
        return plain_error("workers get no cgroups of their own: " + why);
    };
    UniqueFd folder;
    CgroupPlace place;
    bool is_there = false; // in the leaf already: the one before us went there, and we were born there
    for (auto& found : find_cgroups(mountinfo.value_or(""), cgroup.value_or(""))) {
        is_there = found.path.ends_with("/" + std::string{supervisor_cgroup});
        place = is_there ? parent_of(found) : std::move(found);
        folder = open_folder(AT_FDCWD, place.folder.c_str());
        if (folder.is_open() && is_cgroup2(folder))
            break;
        folder.reset();
    }
    if (!folder.is_open())
        return no("we are in no cgroup of version 2 that can be seen from here");
    if (auto const reason = reason_against(place, folder, is_given); !reason.empty())
        return no(place.path + ": " + reason);
    if (::flock(folder.raw(), LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return no(to_string(system_error(errno, "lock " + place.path)));
        if (!kept.is_open() || !is_same(kept, folder))
            return no(place.path + ": another holdfastd has taken it");
        folder = std::move(kept);
    }
    std::string const leaf{supervisor_cgroup};
    if (!is_there)
        if (auto const problem = go_into(folder, leaf); !problem.empty())
            return no(place.path + ": " + problem);
    auto const own = open_folder(folder.raw(), leaf.c_str());
    // Moving takes a lock of all cgroups. Where the keeper may not be moved, the worst is that no resources
    // can be shared out.
    if (keeper != 0 && read_proc_file(("/proc/" + std::to_string(keeper) + "/cgroup").c_str()) !=
                           read_proc_file("/proc/self/cgroup"))
        (void)write_file(own, "cgroup.procs", moved_text(keeper));
    bool const is_from_killed = !may_be_born_in(own);
    return std::unique_ptr<CgroupTree>{
        new CgroupTree{std::move(place), std::move(folder), keeper, is_from_killed}};
}

std::string CgroupTree::path_of(std::string const& name) const {
    auto const folder = open_folder(folder_.raw(), name.c_str());
    if (!folder.is_open() || !is_marked(folder))
        return {};
    return (place_.path == "/" ? "" : place_.path) + "/" + name;
}

Result<UniqueFd> CgroupTree::make(std::string const& name) const {
    auto const doing = "make the cgroup " + name;
    bool const is_new = ::mkdirat(folder_.raw(), name.c_str(), 0755) == 0;
    if (!is_new && errno != EEXIST)
        return system_error(errno, doing);
    auto folder = open_folder(folder_.raw(), name.c_str());
    if (!folder.is_open())
        return system_error(errno, doing);
    auto const word = is_from_killed_ ? killed : made;
    if (is_marked(folder) && (!is_from_killed_ || put_mark(folder, word)))
        return folder;
    // One that is empty may be of a holdfastd that died before it could mark it.
    if (!is_new && is_populated(folder))
        return system_error(EEXIST, doing, {}, "it is somebody else's, and there are processes in it");
    if (!put_mark(folder, word))
        return system_error(errno, doing);
    return folder;
}

std::vector<std::string> CgroupTree::all() const {
    auto names = folders_in(folder_);
    std::erase_if(names, [](std::string const& name) { return !is_generation_cgroup(name); });
    return names;
}

bool CgroupTree::end(std::string const& name) const {
    if (::unlinkat(folder_.raw(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    auto const folder = open_folder(folder_.raw(), name.c_str());
    if (!folder.is_open())
        return errno == ENOENT;
    if (!is_marked(folder) || remove_tree(folder_.raw(), name))
        return true;
    kill_cgroup(folder);
    return remove_tree(folder_.raw(), name);
}

bool CgroupTree::has(std::string const& name, std::function<bool(pid_t)> const& is_one) const {
    auto const folder = open_folder(folder_.raw(), name.c_str());
    return folder.is_open() && has_below(folder, is_one);
}

void CgroupTree::leave() const {
    if (keeper_ != 0 && ::getppid() == keeper_) // else its number may be anybody's by now
        (void)write_file(folder_, "cgroup.procs", moved_text(keeper_));
    (void)write_file(folder_, "cgroup.procs", moved_text(::getpid()));
    (void)::unlinkat(folder_.raw(), std::string{supervisor_cgroup}.c_str(), AT_REMOVEDIR);
}

bool is_in_cgroup(pid_t pid, std::string const& name) {
    auto const text = read_proc_file(("/proc/" + std::to_string(pid) + "/cgroup").c_str());
    return !text || is_path_in(*text, name);
}

bool may_be_born_in(FdRef folder) {
    std::array<char, 16> word;
    auto const size = ::fgetxattr(folder.raw(), mark, word.data(), word.size());
    return size < 0 || std::string_view{word.data(), static_cast<std::size_t>(size)} != killed;
}

void kill_cgroup(FdRef folder) {
    (void)put_mark(folder, killed);
    if (write_file(folder, "cgroup.kill", "1") != 0)
        kill_cgroup_one_by_one(folder);
}

void kill_cgroup_one_by_one(FdRef folder) {
    constexpr int most_rounds = 16; // what is left is for the next time: nobody waits here
    (void)write_file(folder, "cgroup.freeze", "1");
    for (auto const& name : folders_in(folder))
        if (auto const below = open_folder(folder.raw(), name.c_str()); below.is_open())
            kill_cgroup_one_by_one(below);
    std::set<pid_t> dead;
    for (int round = 0; round < most_rounds; ++round) {
        bool is_new = false;
        for (pid_t const pid : processes_in(folder))
            if (pid > 0 && dead.insert(pid).second) {
                (void)::kill(pid, SIGKILL);
                is_new = true;
            }
        if (!is_new)
            break;
    }
    // Who was killed while it was frozen dies all the same; who was not may go on until the next time.
    (void)write_file(folder, "cgroup.freeze", "0");
}

} // namespace holdfast
