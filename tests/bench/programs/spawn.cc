// SPDX-License-Identifier: Apache-2.0
// holdfast-bench-spawn ROUNDS STARTS: how long from the order to start a worker until its program is
// executed, by holdfast's own launcher (plan included) and by a bare fork + execve of the same program,
// taking turns. Both learn of the execve in the same way: by the end of a close-on-exec pipe.
#include "base/ensure.h"
#include "programs/samples.h"
#include "worker/exec_context.h"

#include <cstdlib>
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

} // namespace

int main(int argc, char** argv) {
    int const rounds = argc > 1 ? std::atoi(argv[1]) : 5;
    int const starts = argc > 2 ? std::atoi(argv[2]) : 200;
    UnitSpec spec;
    spec.name = "bench";
    spec.service.exec_start = {program};
    Surroundings around;
    auto const listener = make_listener();
    std::vector<double> ours;
    std::vector<double> bare;
    for (int round = 0; round < rounds; ++round) {
        std::vector<double> ours_now;
        std::vector<double> bare_now;
        for (int i = 0; i < starts; ++i) {
            ours_now.push_back(start_ours(spec, listener, around));
            bare_now.push_back(start_bare());
        }
        ours.push_back(bench::median(ours_now));
        bare.push_back(bench::median(bare_now));
    }
    bench::print_rounds(ours, bare);
    return 0;
}
