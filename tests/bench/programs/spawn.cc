// SPDX-License-Identifier: Apache-2.0
// holdfast-bench-spawn ROUNDS STARTS [CGROUP]: how long from the order to start a worker until its program is
// executed, by holdfast's own launcher (plan included) and by a bare fork + execve of the same program,
// taking turns. Both learn of the execve in the same way: by the end of a close-on-exec pipe. With a folder
// of a cgroup, which we are moved into, the launcher takes a third turn: with a cgroup made for that worker.
#include "base/ensure.h"
#include "programs/samples.h"
#include "worker/cgroup.h"
#include "worker/exec_context.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace holdfast;

constexpr char const* program = "/bin/true";

void wait_for_end_of(int pipe) {
    pollfd ended{pipe, POLLIN, 0};
    ensure(::poll(&ended, 1, 10'000) == 1, "the program is executed in time");
}

void reap(pid_t pid) {
    int status = 0;
    ensure(::waitpid(pid, &status, 0) == pid && status == 0, "the program ran");
}

UniqueFd make_listener() {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ensure(fd.is_open() && ::listen(fd.raw(), 16) == 0, "listen");
    return fd;
}

double start_ours(UnitSpec const& spec, FdRef listener, Surroundings const& around) {
    pid_t pid = 0;
    double const time = bench::time_of([&] {
        auto const plan = make_launch_plan(spec, {}, {{{"http", listener}, 0}}, FdRef{}, around);
        ensure(plan.has_value(), "plan");
        auto const launched = fork_worker(*plan);
        ensure(launched.has_value(), "fork");
        wait_for_end_of(launched->status.raw());
        ensure(read_launch_status(launched->status).state == LaunchStatus::State::Executed, "executed");
        pid = launched->pid;
    });
    reap(pid);
    return time;
}

double start_bare() {
    pid_t pid = 0;
    double const time = bench::time_of([&] {
        int pipe[2];
        ensure(::pipe2(pipe, O_CLOEXEC) == 0, "pipe2");
        pid = ::fork();
        if (pid == 0) {
            char* arguments[] = {const_cast<char*>(program), nullptr};
            char* environment[] = {nullptr};
            ::execve(program, arguments, environment);
            ::_exit(127);
        }
        ensure(pid > 0, "fork");
        ::close(pipe[1]);
        wait_for_end_of(pipe[0]);
        ::close(pipe[0]);
    });
    reap(pid);
    return time;
}

std::unique_ptr<CgroupTree> cgroups_in(std::string const& folder) {
    UniqueFd const file{::open((folder + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC)};
    ensure(::write(file.raw(), "0", 1) == 1, "go into the cgroup");
    auto tree = CgroupTree::open(0, {}, false);
    ensure(tree.has_value(), "the cgroup is ours");
    return std::move(tree).value();
}

} // namespace

int main(int argc, char** argv) {
    int const rounds = argc > 1 ? std::atoi(argv[1]) : 5;
    int const starts = argc > 2 ? std::atoi(argv[2]) : 200;
    UnitSpec spec;
    spec.name = "bench";
    spec.service.exec_start = {program};
    Surroundings around;
    auto const listener = make_listener();
    auto const tree = argc > 3 ? cgroups_in(argv[3]) : nullptr;
    std::uint32_t generation = 0;
    Surroundings inside;
    inside.cgroup_for = [&](std::string const& unit, std::uint32_t) {
        auto made = tree->make(generation_cgroup(unit, ++generation));
        ensure(made.has_value(), "make a cgroup");
        return std::make_shared<UniqueFd const>(std::move(made).value());
    };
    std::vector<double> ours;
    std::vector<double> bare;
    std::map<std::string, std::vector<double>> more;
    for (int round = 0; round < rounds; ++round) {
        std::vector<double> ours_now;
        std::vector<double> bare_now;
        std::vector<double> inside_now;
        std::vector<double> ends_now;
        for (int i = 0; i < starts; ++i) {
            ours_now.push_back(start_ours(spec, listener, around));
            bare_now.push_back(start_bare());
            if (tree == nullptr)
                continue;
            inside_now.push_back(start_ours(spec, listener, inside));
            ends_now.push_back(bench::time_of(
                [&] { ensure(tree->end(generation_cgroup(spec.name, generation)), "it is empty"); }));
        }
        ours.push_back(bench::median(ours_now));
        bare.push_back(bench::median(bare_now));
        if (tree != nullptr) {
            more["inside"].push_back(bench::median(inside_now));
            more["ends"].push_back(bench::median(ends_now));
        }
    }
    if (tree != nullptr)
        tree->leave();
    bench::print_rounds(ours, bare, more);
    return 0;
}
