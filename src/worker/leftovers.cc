// SPDX-License-Identifier: Apache-2.0
#include "worker/leftovers.h"

#include "base/fd.h"
#include "base/pidfd.h"
#include "base/proc_file.h"
#include "base/scope_exit.h"
#include "base/text.h"
#include "worker/launch_room.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <unordered_set>

#include <dirent.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::size_t most_at_once = 1024; // each takes a descriptor

struct Process {
    pid_t pid;
    UniqueFd pidfd;
};

struct Child {
    pid_t pid;
    pid_t parent;
};

void add_children(std::vector<Child>& children, pid_t parent) {
    for (pid_t const pid : children_of(parent))
        children.push_back({pid, parent});
}

pid_t parent_of(pid_t pid) {
    auto const text = read_proc_file(("/proc/" + std::to_string(pid) + "/stat").c_str());
    // Behind the last ')': the name before it may hold anything.
    auto const end = text ? text->rfind(')') : std::string::npos;
    int parent = -1;
    return end != std::string::npos && std::sscanf(text->c_str() + end, ") %*c %d", &parent) == 1 ? parent
                                                                                                  : -1;
}

/// Root without CAP_SYS_PTRACE (in a container) may not look into another user's process; that user may, and
/// it is the id for file systems that counts there, ptrace(2).
std::optional<std::string> read_as_its_user(pid_t pid, char const* path) {
    struct stat owner {};
    if (::stat(("/proc/" + std::to_string(pid)).c_str(), &owner) < 0 || ::geteuid() != 0)
        return std::nullopt;
    int const may_dump = ::prctl(PR_GET_DUMPABLE);
    ::setfsgid(owner.st_gid);
    ::setfsuid(owner.st_uid);
    ScopeExit const back{[may_dump] {
        ::setfsuid(::geteuid());
        ::setfsgid(::getegid());
        LaunchRooms::ours().may_be_dumped(may_dump); // a change of ids has taken that away
    }};
    return read_proc_file(path);
}

bool signal(Process const& process, int number) {
    return send_signal(process.pidfd, number) == 0;
}

} // namespace

std::optional<GenerationOf> generation_in(std::string_view environment, std::string_view notify_path) {
    std::string_view unit, number, notify;
    for (auto const variable : split(environment, '\0')) {
        auto const equals = variable.find('=');
        if (equals == std::string_view::npos)
            continue;
        auto const name = variable.substr(0, equals);
        auto const value = variable.substr(equals + 1);
        if (name == unit_variable)
            unit = value;
        else if (name == generation_variable)
            number = value;
        else if (name == "NOTIFY_SOCKET")
            notify = value;
    }
    auto const generation = parse_decimal<std::uint32_t>(number);
    if (!is_unit_name(unit) || !generation || (!notify.empty() && notify != notify_path))
        return std::nullopt;
    return GenerationOf{std::string{unit}, *generation};
}

std::optional<GenerationOf> generation_of(pid_t pid, std::string_view notify_path) {
    auto const path = "/proc/" + std::to_string(pid) + "/environ";
    auto text = read_proc_file(path.c_str());
    if (!text && (errno == EACCES || errno == EPERM))
        text = read_as_its_user(pid, path.c_str());
    return text ? generation_in(*text, notify_path) : std::nullopt;
}

std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> children;
    auto const tasks = "/proc/" + std::to_string(pid) + "/task";
    DIR* const listing = ::opendir(tasks.c_str());
    if (listing == nullptr)
        return children;
    ScopeExit const close{[listing] { ::closedir(listing); }};
    while (dirent const* const entry = ::readdir(listing)) {
        if (entry->d_name[0] == '.')
            continue;
        auto const text = read_proc_file((tasks + "/" + entry->d_name + "/children").c_str()).value_or("");
        for (auto const word : split(text, ' '))
            if (auto const child = parse_decimal<pid_t>(word))
                children.push_back(*child);
    }
    return children;
}

Killed kill_children(std::vector<pid_t> const& parents, std::function<bool(pid_t)> const& is_one,
                     MonotonicTime until, pid_t last) {
    std::vector<Process> found;
    std::unordered_set<pid_t> pids;
    Killed killed;
    auto const is_enough = [&] {
        killed.may_be_more = found.size() >= most_at_once || MonotonicTime::now() >= until;
        return killed.may_be_more;
    };
    auto const stop = [&](std::vector<Child> const& children, auto const& is_parent_there,
                          auto const& is_wanted) {
        for (auto const& [pid, parent] : children) {
            if (is_enough())
                return;
            killed.last = pid;
            // Most are not wanted; what makes sure of the others costs more.
            if (pids.contains(pid) || !is_wanted(pid))
                continue;
            Process process{pid, UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))}};
            // The parent last: while it is there, its number is its own, and so was what its children said.
            if (!process.pidfd.is_open() || parent_of(pid) != parent || !is_wanted(pid) ||
                has_ended(process.pidfd) || !is_parent_there())
                continue;
            pids.insert(pid);
            if (!signal(process, SIGSTOP)) {
                if (errno == EPERM)
                    killed.refused = pid;
                continue;
            }
            found.push_back(std::move(process));
        }
    };
    // Whose parent ended before it was stopped has become a child of those above meanwhile.
    // And who is told to stop may be just about to have a child: all are asked again until none has another.
    for (;;) {
        auto const before = found.size();
        std::vector<Child> children;
        for (pid_t const parent : parents)
            add_children(children, parent);
        // One list of all: a parent with many does not keep the others from being looked at.
        std::ranges::sort(children, {}, &Child::pid);
        std::ranges::rotate(children, std::ranges::upper_bound(children, last, {}, &Child::pid));
        stop(
            children, [] { return true; }, is_one);
        auto const looked_at = killed.last;
        for (std::size_t i = 0; i < found.size(); ++i) {
            FdRef const pidfd = found[i].pidfd; // it moves when there are more
            children.clear();
            add_children(children, found[i].pid);
            stop(
                children, [pidfd] { return !has_ended(pidfd); }, [](pid_t) { return true; });
        }
        killed.last = looked_at;
        if (found.size() == before || killed.may_be_more)
            break;
    }
    // Those by whom the others can be known again end last: we may not come to the end of this.
    for (auto process = found.rbegin(); process != found.rend(); ++process)
        (void)signal(*process, SIGKILL);
    killed.count = found.size();
    if (!killed.may_be_more)
        killed.last = 0;
    return killed;
}

} // namespace holdfast
