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
