// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {

bool const ignores_broken_pipes = ::signal(SIGPIPE, SIG_IGN) != SIG_ERR;

TempFolder::TempFolder() {
    std::string name = "/tmp/holdfast-test-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    REQUIRE(::chmod(name.c_str(), 0777) == 0);
    path_ = name;
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string read_file(std::string const& path) {
    std::ifstream file{path, std::ios::binary};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void write_file(std::string const& path, std::string const& text, unsigned mode) {
    std::ofstream{path, std::ios::binary} << text;
    if (::chmod(path.c_str(), mode) < 0)
        throw std::runtime_error{"chmod " + path};
}

UniqueFd open_new(std::string const& path) {
    UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)};
    if (!fd.is_open())
        throw std::runtime_error{"open " + path};
    return fd;
}

LaunchPlan program(std::vector<std::string> arguments, std::string const& output) {
    LaunchPlan plan;
    plan.programs = {arguments.front()};
    plan.arguments = std::move(arguments);
    plan.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    plan.output.kind = Output::Kind::File;
    plan.output.path = output;
    return plan;
}

LaunchPlan shell(std::string const& script, std::string const& output) {
    return program({"/bin/sh", "-c", script}, output);
}

std::map<int, std::string> shown_descriptors(std::string const& output) {
    std::map<int, std::string> descriptors;
    std::istringstream lines{output};
    for (std::string line; std::getline(lines, line);) {
        auto const arrow = line.find(" -> ");
        if (arrow == std::string::npos)
            continue;
        auto const number = line.rfind(' ', arrow - 1) + 1;
        descriptors[std::stoi(line.substr(number, arrow - number))] = line.substr(arrow + 4);
    }
    return descriptors;
}

std::string shown(std::string const& output, std::string const& beginning) {
    std::istringstream lines{output};
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(beginning)) {
            auto const text = line.find_first_not_of(" \t", beginning.size());
            return text == std::string::npos ? "" : line.substr(text);
        }
    return "none";
}

Watched::Watched() {
    auto made = EventLoop::create();
    REQUIRE(made);
    loop = std::move(made).value();
}

Watched::~Watched() {
    if (!worker)
        return;
    worker->kill_group();
    CHECK(until_over());
}

WorkerProcess& Watched::start(LaunchPlan const& plan) {
    executions = 0;
    deaths = 0;
    failure.reset();
    auto launched = fork_worker(plan);
    if (!launched)
        FAIL(to_string(launched.error()));
    worker = std::make_unique<WorkerProcess>(*loop, *this, 7U, std::move(launched).value());
    return *worker;
}

std::string Watched::run(LaunchPlan const& plan) {
    start(plan);
    REQUIRE(until_over());
    return read_file(plan.output.path);
}

bool Watched::until(std::function<bool()> const& holds) {
    auto const deadline = MonotonicTime::now() + 20s;
    while (!holds()) {
        if (MonotonicTime::now() > deadline)
            return false;
        loop->run_once(2ms);
    }
    return true;
}

std::string in_child(std::function<std::string()> const& work) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    UniqueFd const read_end{ends[0]};
    UniqueFd write_end{ends[1]};
    pid_t const pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        // Far away from where the work may want its own descriptors.
        int const far = ::fcntl(write_end.raw(), F_DUPFD_CLOEXEC, 200);
        std::string text;
        try {
            text = work();
        } catch (std::exception const& error) {
            text = std::string{"threw "} + error.what();
        }
        bool const written = ::write(far, text.data(), text.size()) == static_cast<ssize_t>(text.size());
        ::_exit(written ? 0 : 1);
    }
    write_end.reset();
    std::string text;
    char chunk[4096];
    for (ssize_t n = 0; (n = ::read(read_end.raw(), chunk, sizeof chunk)) > 0;)
        text.append(chunk, static_cast<std::size_t>(n));
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
    return text;
}

std::string launch_and_wait(LaunchPlan const& plan) {
    auto const launched = fork_worker(plan);
    if (!launched)
        return to_string(launched.error());
    pollfd seen{launched->status.raw(), POLLIN, 0};
    if (::poll(&seen, 1, 20'000) != 1)
        return "nothing came of it";
    auto const status = read_launch_status(launched->status);
    if (::waitpid(launched->pid, nullptr, 0) != launched->pid)
        return "it cannot be waited for";
    if (status.state == LaunchStatus::State::Failed)
        return to_string(to_error(status.failure, plan));
    return "";
}

bool become_nobody() {
    constexpr uid_t nobody = 65534;
    if (::geteuid() != 0)
        return true;
    return ::setgroups(0, nullptr) == 0 && ::setgid(nobody) == 0 && ::setuid(nobody) == 0;
}

std::string look_at_child(pid_t pid) {
    int status = 0;
    auto const found = ::waitpid(pid, &status, WNOHANG);
    if (found < 0)
        return "no child";
    if (found == 0)
        return "running";
    return WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status))
                             : "signal " + std::to_string(WTERMSIG(status));
}

void become_reaper() {
    REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}

} // namespace holdfast::test
