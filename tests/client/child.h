// SPDX-License-Identifier: Apache-2.0
// Runs what a worker would do in a process of its own, with its own environment and descriptors from 3 on,
// and returns what it says. The child leaves by _exit, so nothing of the test program runs twice.
#pragma once

#include "base/fd.h"
#include "support/child.h"

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {

using Environment = std::vector<std::pair<std::string, std::string>>;

/// What the child sees at 3, 4, …; without FD_CLOEXEC, as after an exec.
inline void place_from_three(std::vector<FdRef> const& fds) {
    std::vector<int> high;
    for (auto fd : fds)
        high.push_back(::fcntl(fd.raw(), F_DUPFD_CLOEXEC, 100));
    for (int i = 0; i < 60; ++i) // what the runner of the tests left open must not be taken for ours
        ::close(3 + i);
    for (std::size_t i = 0; i < high.size(); ++i)
        ::dup2(high[i], static_cast<int>(3 + i));
}

/// As in_child, with this environment; "@pid" and "@wrong" stand for the child's pid and another one.
inline std::string in_worker(Environment const& environment, std::vector<FdRef> const& fds,
                             std::function<std::string()> const& body) {
    return in_child([&] {
        for (auto const* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES",
                                 "HOLDFAST_HANDOFF", "NOTIFY_SOCKET"})
            ::unsetenv(name);
        for (auto const& [name, value] : environment) {
            auto const text = value == "@pid"     ? std::to_string(::getpid())
                              : value == "@wrong" ? std::to_string(::getppid())
                                                  : value;
            ::setenv(name.c_str(), text.c_str(), 1);
        }
        place_from_three(fds);
        return body();
    });
}

} // namespace holdfast::test
