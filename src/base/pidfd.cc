// SPDX-License-Identifier: Apache-2.0
#include "base/pidfd.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast {

namespace {

/// As in linux/pidfd.h, which is newer than the headers that we are built with.
constexpr unsigned to_process_group = 1U << 2;

/// The raw call: glibc has it only since 2.36.
int send(FdRef pidfd, int number, unsigned flags) {
    return ::syscall(SYS_pidfd_send_signal, pidfd.raw(), number, nullptr, flags) < 0 ? errno : 0;
}

} // namespace

pid_t pid_of(FdRef pidfd) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd.raw());
    UniqueFd const file{::open(path, O_RDONLY | O_CLOEXEC)};
    char text[512] = {};
    if (!file.is_open() || ::read(file.raw(), text, sizeof text - 1) <= 0)
        return -1;
    char const* const line = std::strstr(text, "\nPid:");
    int pid = -1;
    return line != nullptr && std::sscanf(line, "\nPid: %d", &pid) == 1 ? pid : -1;
}

bool has_ended(FdRef pidfd) {
    pollfd seen{pidfd.raw(), POLLIN, 0};
    return ::poll(&seen, 1, 0) != 0;
}

int send_signal(FdRef pidfd, int number) {
    return send(pidfd, number, 0);
}

bool kill_group_of(FdRef leader) {
    int const error = send(leader, SIGKILL, to_process_group);
    return error == 0 || error == ESRCH;
}

} // namespace holdfast
