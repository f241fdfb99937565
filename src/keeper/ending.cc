// SPDX-License-Identifier: Apache-2.0
// When nobody is left to end the workers: SIGKILL to those that are kept, and to every child.
#include "base/pidfd.h"
#include "keeper/keeper.h"

#include <algorithm>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::keeper {

namespace {

// One that was killed may sleep where nothing wakes it; nobody waits for that.
constexpr Duration longest_wait = 5s;

int ms_until(MonotonicTime deadline) {
    return static_cast<int>(std::max<Duration::rep>((deadline - MonotonicTime::now()).count() / 1000, 0));
}

/// Kills every child that /proc lists; false where it lists none.
bool kill_listed_children() {
    UniqueFd const file{::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC)};
    if (!file.is_open())
        return false;
    bool found = false;
    pid_t pid = 0;
    char bytes[4096];
    // "12 345 ", in pieces that may end within a number.
    for (ssize_t size = 0; (size = ::read(file.raw(), bytes, sizeof bytes)) > 0;)
        for (char const c : std::string_view{bytes, static_cast<std::size_t>(size)}) {
            if (c >= '0' && c <= '9') {
                pid = pid * 10 + (c - '0');
                continue;
            }
            found = (pid > 0 && ::kill(pid, SIGKILL) == 0) || found;
            pid = 0;
        }
    return found;
}

bool is_worker(Held::Entry const& entry) {
    return entry.fd >= 0 &&
           (entry.name().starts_with(worker_prefix) || entry.name().starts_with(leader_prefix));
}

/// SIGKILL to it, and to its group unless that is ours.
void kill_with_group(FdRef process) {
    auto const pid = pid_of(process); // before it can be reaped
    auto const group = pid > 0 ? ::getpgid(pid) : -1;
    (void)send_signal(process, SIGKILL);
    (void)kill_group_of(process); // also of one that has been reaped, where the kernel can
    if (group > 1 && group != ::getpgrp())
        ::kill(-group, SIGKILL);
}

} // namespace

bool Keeper::has_workers() {
    for (std::size_t i = 0; i < held_.size(); ++i)
        if (is_worker(held_.at(i)))
            return true;
    return false;
}

void Keeper::kill_kept_workers() {
    for (std::size_t i = 0; i < held_.size(); ++i)
        if (is_worker(held_.at(i)))
            kill_with_group(FdRef{held_.at(i).fd});
    // Until they have let go of their sockets, so that who is started next can bind them.
    auto const deadline = MonotonicTime::now() + longest_wait;
    for (std::size_t i = 0; i < held_.size(); ++i)
        if (is_worker(held_.at(i))) {
            pollfd ended{held_.at(i).fd, POLLIN, 0};
            (void)::poll(&ended, 1, ms_until(deadline));
        }
}

void Keeper::kill_all_children() {
    auto const deadline = MonotonicTime::now() + longest_wait;
    while (MonotonicTime::now() < deadline) {
        // What a child leaves behind becomes our child in its turn.
        bool const found = kill_listed_children();
        siginfo_t info{};
        while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0)
            if (info.si_pid == 0)
                break;
        if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !found)
            return;
        signalfd_siginfo heard{}; // we are on our way out: what else they ask for is done
        while (::read(signals_.raw(), &heard, sizeof heard) == sizeof heard) {
        }
        pollfd signals{signals_.raw(), POLLIN, 0};
        (void)::poll(&signals, 1, 10);
    }
}

void Keeper::leave(int status) {
    send_outside(); // what is last is as good as any
    // The kernel closes all that was held.
    ::_exit(status);
}

} // namespace holdfast::keeper
