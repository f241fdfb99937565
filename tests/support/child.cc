// SPDX-License-Identifier: Apache-2.0
#include "support/child.h"

#include "base/fd.h"

#include <cerrno>
#include <exception>
#include <system_error>

#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {

namespace {

[[noreturn]] void run_and_exit(int pipe, std::function<std::string()> const& work) {
    int const far = ::fcntl(pipe, F_DUPFD_CLOEXEC, 200);
    std::string text;
    try {
        text = work();
    } catch (std::exception const& problem) {
        text = std::string{"threw "} + problem.what();
    }
    bool const is_said = ::write(far, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(is_said ? 0 : 1);
}

std::string read_all(FdRef from) {
    std::string text;
    char chunk[4096];
    for (;;) {
        auto const count = ::read(from.raw(), chunk, sizeof chunk);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return text;
        text.append(chunk, static_cast<std::size_t>(count));
    }
}

} // namespace

std::string in_child(std::function<std::string()> const& work) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        throw std::system_error{errno, std::generic_category(), "pipe2"};
    UniqueFd const said{ends[0]};
    UniqueFd saying{ends[1]};
    pid_t const pid = ::fork();
    if (pid < 0)
        throw std::system_error{errno, std::generic_category(), "fork"};
    if (pid == 0)
        run_and_exit(saying.raw(), work);
    saying.reset();
    auto text = read_all(said);
    int status = -1;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status == 0 ? text : text + " (died: " + std::to_string(status) + ")";
}

bool become_nobody() {
    constexpr uid_t nobody = 65534;
    if (::geteuid() != 0)
        return true;
    return ::setgroups(0, nullptr) == 0 && ::setresgid(nobody, nobody, nobody) == 0 &&
           ::setresuid(nobody, nobody, nobody) == 0;
}

} // namespace holdfast::test
