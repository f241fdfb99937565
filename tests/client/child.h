// SPDX-License-Identifier: Apache-2.0
// Runs what a worker would do in a process of its own, with its own environment and descriptors from 3 on,
// and returns what it says. The child leaves by _exit, so nothing of the test program runs twice.
#pragma once

#include "base/fd.h"

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

inline std::string in_child(std::function<std::string()> const& body) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        throw std::runtime_error{"pipe2"};
    UniqueFd said{ends[0]};
    auto const pid = ::fork();
    if (pid < 0)
        throw std::runtime_error{"fork"};
    if (pid == 0) {
        int const out = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 200); // clear of the descriptors from 3 on
        std::string text;
        try {
            text = body();
        } catch (std::exception const& problem) {
            text = std::string{"exception: "} + problem.what();
        }
        auto const written = ::write(out, text.data(), text.size());
        ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
    }
    ::close(ends[1]);
    std::string text;
    char buffer[4096];
    for (;;) {
        auto const length = ::read(said.raw(), buffer, sizeof buffer);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            break;
        text.append(buffer, static_cast<std::size_t>(length));
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        text += " (died: " + std::to_string(status) + ")";
    return text;
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
