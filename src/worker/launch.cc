// SPDX-License-Identifier: Apache-2.0
#include "worker/launch.h"

#include "base/raw_call.h"
#include "base/text.h"
#include "worker/cgroup.h"
#include "worker/launch_room.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <linux/sched.h>
#include <unistd.h>

namespace holdfast {

namespace {

#if defined(__x86_64__) && !defined(__ILP32__) || defined(__aarch64__)
/// clone3(2) with a stack for the child, which goes to run_child() and never comes back here. In assembly,
/// since after it two processes are in the same frame. -errno if there is no child.
long clone_onto_stack(clone_args const& arguments, ChildPlan& child) noexcept {
    using Entry = void (*)(ChildPlan&) noexcept;
#if defined(__x86_64__)
    long result = 0;
    register Entry r8 __asm__("r8") = run_child; // none that is changed before it is used
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t" // the outermost frame
                     "mov %[child], %%rdi\n\t"
                     "call *%[entry]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(&arguments),
                       "S"(sizeof arguments), [child] "d"(&child), [entry] "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = reinterpret_cast<long>(&arguments);
    register long x1 __asm__("x1") = sizeof arguments;
    register ChildPlan* x2 __asm__("x2") = &child;
    register Entry x3 __asm__("x3") = run_child;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t" // the outermost frame
                     "mov x30, xzr\n\t"
                     "mov x0, %[child]\n\t"
                     "blr %[entry]\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), [child] "r"(x2), [entry] "r"(x3)
                     : "memory");
    return x0;
#endif
}
#else
long clone_onto_stack(clone_args const&, ChildPlan&) noexcept {
    return -ENOSYS;
}
#endif

/// A child by clone3(2): with a pidfd, with every handler reset by the kernel (CLONE_CLEAR_SIGHAND, Linux
/// 5.5), which saves 60 system calls of a worker's start, and in its cgroup (CLONE_INTO_CGROUP, Linux 5.7).
/// -errno if there is none.
long clone_child(clone_args arguments, LaunchRoom& room) {
    if (!has_raw_calls || !room.stack) {
        // The raw call, so that no at-fork handler of a library runs; the child calls nothing that would miss
        // them.
        auto const pid = raw_call(SYS_clone3, &arguments, sizeof arguments);
        if (pid == 0)
            run_child(room.child);
        room.is_used = 0; // it has a copy
        return pid;
    }
    arguments.flags |= CLONE_VM | CLONE_CHILD_CLEARTID;
    arguments.child_tid = reinterpret_cast<std::uint64_t>(&room.is_used);
    arguments.stack = reinterpret_cast<std::uint64_t>(room.stack->lowest());
    arguments.stack_size = room.stack->size();
    return clone_onto_stack(arguments, room.child);
}

/// Old kernels do not know clone3(2), and some container engines refuse it.
long fork_child(int* pidfd, LaunchRoom& room) {
    room.child.has_default_handlers = false;
    constexpr unsigned long flags = CLONE_PIDFD | SIGCHLD;
#if defined(__s390__)
    auto const pid = raw_call(SYS_clone, nullptr, flags, pidfd, nullptr, nullptr);
#else
    auto const pid = raw_call(SYS_clone, flags, nullptr, pidfd, nullptr, nullptr);
#endif
    if (pid == 0)
        run_child(room.child);
    room.is_used = 0;
    return pid;
}

/// `room.child.cgroup` is less than 0 afterwards if the child need not go there itself.
long make_child(int* pidfd, LaunchRoom& room, bool may_be_born_there) {
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(pidfd);
    arguments.exit_signal = SIGCHLD;
    auto& child = room.child;
    child.has_default_handlers = true;
    if (int const cgroup = child.cgroup; cgroup >= 0 && may_be_born_there) {
        child.cgroup = -1;
        auto inside = arguments;
        inside.flags |= CLONE_INTO_CGROUP;
        inside.cgroup = static_cast<std::uint64_t>(cgroup);
        auto const pid = clone_child(inside, room);
        if (pid >= 0 || pid == -EAGAIN || pid == -ENOMEM)
            return pid;
        child.cgroup = cgroup;
    }
    auto const pid = clone_child(arguments, room);
    if (pid >= 0 || (pid != -ENOSYS && pid != -EINVAL && pid != -EPERM))
        return pid;
    return fork_child(pidfd, room);
}

} // namespace

UniqueFd open_null() {
    return UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

Result<Launched> fork_worker(LaunchPlan plan) {
    int pipe_fds[2];
    if (::pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return system_error(errno, "make a pipe for a new process");
    UniqueFd status{pipe_fds[0]};
    UniqueFd const told{pipe_fds[1]};
    UniqueFd gate, gate_end;
    if (plan.is_gated) {
        if (::pipe2(pipe_fds, O_CLOEXEC) < 0)
            return system_error(errno, "make a pipe for a new process");
        gate = UniqueFd{pipe_fds[0]};
        gate_end = UniqueFd{pipe_fds[1]};
    }
    auto const cgroup = plan.cgroup;
    bool const may_be_born_there = cgroup && may_be_born_in(*cgroup);

    auto& rooms = LaunchRooms::ours();
    auto& room = rooms.prepare(std::move(plan), status);
    auto& child = room.child;
    child.status = told.raw();
    child.gate = gate.raw();
    child.gate_end = gate_end.raw();
    child.cgroup = cgroup ? cgroup->raw() : -1;
    // Nothing reaches the child before it has reset its signals: a handler of ours would run in it, in our
    // memory or in a copy of it.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    auto const pid = make_child(&pidfd, room, may_be_born_there);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
        rooms.give_up(room);
        auto const problem = static_cast<int>(-pid);
        return system_error(problem, "start a process", {},
                            problem == EAGAIN ? "a limit on processes is reached (ulimit -u, pids.max)" : "");
    }
    return Launched{static_cast<pid_t>(pid), UniqueFd{pidfd}, std::move(status), std::move(gate_end),
                    child.cgroup >= 0};
}

void open_gate(UniqueFd gate) {
    if (gate.is_open())
        (void)!::write(gate.raw(), "x", 1); // it has ended otherwise, which its pidfd tells
}

LaunchStatus read_launch_status(FdRef status) {
    LaunchFailure failure;
    auto const size = ::read(status.raw(), &failure, sizeof failure);
    if (size == 0)
        LaunchRooms::ours().sweep();
    if (size == static_cast<ssize_t>(sizeof failure))
        return {LaunchStatus::State::Failed, failure};
    if (size == 0)
        return {LaunchStatus::State::Executed, {}};
    return {LaunchStatus::State::Pending, {}};
}

std::vector<std::string> program_candidates(std::string const& program, std::string_view search_path) {
    if (program.find('/') != std::string::npos)
        return {program};
    std::vector<std::string> candidates;
    for (auto const folder : split(search_path, ':'))
        if (!folder.empty())
            candidates.push_back(std::string{folder} + "/" + program);
    return candidates;
}

} // namespace holdfast
