// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "handoff/listen_fds.h"
#include "handoff/placeholders.h"
#include "handoff/sockets.h"
#include "support/descriptors.h"

#include <cstdio>
#include <cstring>
#include <limits>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::vector<std::string> texts(std::vector<char*> const& envp) {
    std::vector<std::string> lines;
    for (auto const* line : envp)
        if (line)
            lines.emplace_back(line);
        else
            break;
    return lines;
}

} // namespace

TEST_CASE("a worker reads the count, the names, its pid and its pidfd's number from its environment",
          "[handoff]") {
    ListenFds made{{{"http", FdRef{7}}, {"http", FdRef{9}}, {"admin", FdRef{8}}}};
    auto variables = std::move(made); // moving it does not move what the environment points to
    char path[] = "PATH=/bin";
    std::vector<char*> envp{path};
    variables.append_to(envp);
    envp.push_back(nullptr);
    variables.complete_in_child(envp.data());
    auto const lines = texts(envp);
    REQUIRE(lines.size() >= 4);
    CHECK(lines[0] == "PATH=/bin");
    CHECK(lines[1] == "LISTEN_FDS=3");
    CHECK(lines[2] == "LISTEN_FDNAMES=http:http:admin");
    CHECK(lines[3] == "LISTEN_PID=" + std::to_string(::getpid()));
    if (own_pidfd_id() == 0) {
        CHECK(lines.size() == 4);
    } else {
        REQUIRE(lines.size() == 5);
        CHECK(lines[4] == "LISTEN_PIDFDID=" + std::to_string(own_pidfd_id()));
    }
}

TEST_CASE("a unit without listeners still says that there are none", "[handoff]") {
    ListenFds variables{{}};
    std::vector<char*> envp;
    variables.append_to(envp);
    envp.push_back(nullptr);
    variables.complete_in_child(envp.data());
    auto const lines = texts(envp);
    CHECK(lines.at(0) == "LISTEN_FDS=0");
    CHECK(lines.at(1) == "LISTEN_FDNAMES=");
}

TEST_CASE("the number of a pidfd is that of the process, whoever looks", "[handoff]") {
    auto const ours = own_pidfd_id();
    if (ours == 0) {
        std::puts("skipped: pidfds have no numbers here (before Linux 6.9)");
        return;
    }
    int report[2];
    REQUIRE(::pipe2(report, O_CLOEXEC) == 0);
    UniqueFd const from_child{report[0]};
    UniqueFd to_parent{report[1]};
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        auto const id = own_pidfd_id();
        ::_exit(::write(to_parent.raw(), &id, sizeof id) == sizeof id ? 0 : 1);
    }
    std::uint64_t theirs = 0;
    REQUIRE(::read(from_child.raw(), &theirs, sizeof theirs) == sizeof theirs);
    UniqueFd const pidfd{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
    CHECK(theirs == identity(pidfd));
    CHECK(theirs != ours);
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("where no descriptor can be had, LISTEN_PIDFDID is left out and the others stay", "[handoff]") {
    // In a child, so that the lowered limit ends with it.
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ListenFds variables{{{"http", FdRef{3}}}};
        char path[] = "PATH=/bin";
        std::vector<char*> envp;
        variables.append_to(envp);
        envp.push_back(path);
        envp.push_back(nullptr);
        rlimit const none{0, 0};
        if (::setrlimit(RLIMIT_NOFILE, &none) < 0)
            ::_exit(2);
        variables.complete_in_child(envp.data());
        bool const is_right = std::strncmp(envp[2], "LISTEN_PID=", 11) == 0 && envp[3] == path && !envp[4];
        ::_exit(is_right ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("a decimal is written only where it has room", "[handoff]") {
    auto const value =
        GENERATE(as<std::uint64_t>{}, 0, 9, 10, 4194304, std::numeric_limits<std::uint64_t>::max());
    auto const text = std::to_string(value);
    char buffer[32];
    CHECK(write_decimal(buffer, sizeof buffer, value) == text.size());
    CHECK(std::string{buffer} == text);
    CHECK(write_decimal(buffer, text.size() + 1, value) == text.size());
    std::strcpy(buffer, "untouched");
    CHECK(write_decimal(buffer, text.size(), value) == 0);
    CHECK(std::string{buffer} == "untouched");
}

TEST_CASE("placeholders are filled in for one worker", "[handoff]") {
    PlaceholderValues const values{
        "web@blue", "blue", 2, 7, {{"http", 3, 8080}, {"http", 4, 8081}, {"local", 5, {}}, {"tls", {}, 443}}};
    auto const expanded = [&](std::string_view text) { return expand_placeholders(text, values).value(); };
    CHECK(expanded("--fd={fd:http}") == "--fd=3");
    CHECK(expanded("{port:http},{port:tls}") == "8080,443");
    CHECK(expanded("{unit}/{instance}/{slot}/{generation}") == "web@blue/blue/2/7");
    CHECK(expanded("") == "");
    CHECK(expanded("{\"a\":{\"port\":{port:http}}} {} ${HOME}") == "{\"a\":{\"port\":8080}} {} ${HOME}");
    CHECK(expanded("{{unit}}") == "{unit}");
}

TEST_CASE("a placeholder that cannot be filled is an error that shows it", "[handoff]") {
    PlaceholderValues const values{"web", "", 0, 1, {{"local", 3, {}}, {"tls", {}, 443}}};
    auto const text = GENERATE(as<std::string>{}, "{fd:http}", "{port:http}", "{port:local}", "{fd:tls}",
                               "{fd}", "{unit:x}", "{pid}", "{fd:}");
    auto const expanded = expand_placeholders("x" + text + "y", values);
    REQUIRE_FALSE(expanded);
    CHECK_THAT(to_string(expanded.error()), ContainsSubstring(text));
}

TEST_CASE("a batch gives its descriptors away by name and closes the rest", "[handoff]") {
    auto const before = open_descriptors();
    {
        FdBatch batch;
        batch.add("http", some_fd());
        batch.add("http", some_fd());
        batch.add("admin", some_fd());
        auto const first = batch.look().front().fd;
        auto const taken = batch.take("http");
        CHECK(FdRef{taken} == first);
        CHECK(batch.size() == 2);
        CHECK_FALSE(batch.take("ftp").is_open());
        CHECK(batch.take("http").is_open());
        CHECK_FALSE(batch.take("http").is_open());
    }
    CHECK(open_descriptors() == before);
}
