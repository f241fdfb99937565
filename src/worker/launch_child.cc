// SPDX-License-Identifier: Apache-2.0
#include "worker/launch_child.h"

#include "base/raw_call.h"
#include "handoff/listen_fds.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace holdfast {

namespace {

constexpr std::size_t signal_set_size = last_signal / 8;

struct ChildFailure {
    LaunchStage stage{};
    int code = 0;
    [[nodiscard]] bool failed() const noexcept { return code != 0; }
};

/// What became of a step that a raw call made.
ChildFailure outcome(LaunchStage stage, long result) noexcept {
    return result < 0 ? ChildFailure{stage, static_cast<int>(-result)} : ChildFailure{};
}

[[noreturn]] void report_and_exit(int status, ChildFailure failure) noexcept {
    LaunchFailure const words{failure.stage, failure.code};
    // Smaller than PIPE_BUF and the pipe is empty: written whole or not at all.
    raw_call(SYS_write, status, &words, sizeof words);
    for (;;)
        raw_call(SYS_exit_group, 127);
}

int open_path(char const* path, int flags, mode_t mode = 0) noexcept {
    return static_cast<int>(raw_call(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC | O_LARGEFILE, mode));
}

/// Nobody but the supervisor holds the other end, once those who were forked meanwhile are through their
/// gates.
void wait_at_gate(ChildPlan const& child) noexcept {
    if (child.gate < 0)
        return;
    raw_call(SYS_close, child.gate_end);
    char word = 0;
    long size = 0;
    do
        size = raw_call(SYS_read, child.gate, &word, 1);
    while (size == -EINTR);
    if (size != 1)
        report_and_exit(child.status, {LaunchStage::Gate, ECANCELED});
}

/// While we are still who the supervisor is. It is no reason not to work that this may not be.
void move_to_cgroup(ChildPlan const& child) noexcept {
    if (child.cgroup < 0)
        return;
    auto const file = raw_call(SYS_openat, child.cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    raw_call(SYS_write, file, "0", 1);
    raw_call(SYS_close, file);
}

constexpr unsigned long no_bits[16] = {};

ChildFailure reset_signals(ChildPlan const& child) noexcept {
    // The kernel's structure, all zero: the default action, no flags, an empty mask.
    auto const reset = [](int signal) {
        return raw_call(SYS_rt_sigaction, signal, no_bits, nullptr, signal_set_size);
    };
    for (int const signal : child.ignored)
        if (auto const result = reset(signal); result < 0)
            return outcome(LaunchStage::Signals, result);
    // exec(2) resets handlers too, but a signal may come before it.
    for (int signal = 1; signal <= last_signal && !child.has_default_handlers; ++signal)
        if (signal != SIGKILL && signal != SIGSTOP)
            if (auto const result = reset(signal); result < 0)
                return outcome(LaunchStage::Signals, result);
    return {};
}

/// Last of all: what a signal does to us meanwhile, such as dumping core, would be done with our supervisor's
/// memory.
ChildFailure let_signals_in() noexcept {
    return outcome(LaunchStage::Signals,
                   raw_call(SYS_rt_sigprocmask, SIG_SETMASK, no_bits, nullptr, signal_set_size));
}

/// One past the last descriptor that the worker is meant to have.
int end_of_handed(ChildPlan const& child) noexcept {
    return first_handed_fd + static_cast<int>(child.descriptors.size());
}

/// -errno if it cannot be had there.
int behind(int fd, int end) noexcept {
    return static_cast<int>(raw_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, end));
}

/// Moves every descriptor of ours behind those of the worker, so that nothing put into place overwrites what
/// is still needed. Even 0, 1 and 2 may be ours, where we were started without them.
ChildFailure clear_the_way(ChildPlan& child) noexcept {
    int const end = end_of_handed(child);
    if (child.status < end) {
        child.status = behind(child.status, end);
        if (child.status < 0)
            raw_call(SYS_exit_group,
                     127); // nobody can be told; end-of-file without exec is seen as a dead worker
    }
    for (auto& fd : child.descriptors)
        if (fd < end && (fd = behind(fd, end)) < 0)
            return outcome(LaunchStage::Descriptors, fd);
    for (int* const fd : {&child.pinned, &child.connection})
        if (*fd >= 0 && *fd < end && (*fd = behind(*fd, end)) < 0)
            return outcome(LaunchStage::Descriptors, *fd);
    return {};
}

/// As dup2(2), but a descriptor that is in its place already is kept open over the exec too.
long put(int fd, int place) noexcept {
    return fd == place ? raw_call(SYS_fcntl, fd, F_SETFD, 0) : raw_call(SYS_dup3, fd, place, 0);
}

ChildFailure open_input(ChildPlan const& child) noexcept {
    int const null = child.null >= 0 ? child.null : open_path("/dev/null", O_RDONLY);
    return outcome(LaunchStage::Input, null < 0 ? null : put(null, STDIN_FILENO));
}

/// What we were started without, the worker has as /dev/null: it must not find a socket of its own there.
ChildFailure let_output_through() noexcept {
    for (int const standard : {STDOUT_FILENO, STDERR_FILENO}) {
        auto const flags = raw_call(SYS_fcntl, standard, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) // else it is closed, or one of our own has its number
            continue;
        int const null = open_path("/dev/null", O_WRONLY);
        if (auto const result = null < 0 ? null : put(null, standard); result < 0)
            return outcome(LaunchStage::Output, result);
    }
    return {};
}

/// Opened without waiting (a pipe that nobody reads would never open) and without following a link that
/// somebody may have put there; then written to as any file is. -errno if it cannot be.
long open_log_file(char const* path) noexcept {
    auto const fd = open_path(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (fd < 0)
        return fd;
    struct statx node {};
    if (auto const result = raw_call(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &node); result < 0)
        return result;
    if (!S_ISREG(node.stx_mode))
        return -EINVAL;
    auto const result = raw_call(SYS_fcntl, fd, F_SETFL, O_APPEND);
    return result < 0 ? result : fd;
}

/// Less than 0 when it does not answer at once: a journal that is dead, or so busy that connect(2) would wait
/// for it, does not keep a worker from its work.
long open_journal(ChildPlan const& child) noexcept {
    auto const fd = raw_call(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    auto const& header = child.journal_header;
    if (fd < 0 || raw_call(SYS_connect, fd, child.journal, sizeof *child.journal) < 0 ||
        raw_call(SYS_sendto, fd, header.data(), header.size(), MSG_NOSIGNAL, nullptr, 0) !=
            static_cast<long>(header.size()) ||
        raw_call(SYS_fcntl, fd, F_SETFL, 0) < 0)
        return -1;
    return fd;
}

ChildFailure open_output(ChildPlan const& child) noexcept {
    long fd = -1;
    switch (child.plan->output.kind) {
    case Output::Kind::Through:
        return let_output_through();
    case Output::Kind::File:
        fd = open_log_file(child.plan->output.path.c_str());
        break;
    case Output::Kind::Journal:
        fd = open_journal(child);
        if (fd < 0)
            return let_output_through();
        break;
    }
    for (int const place : {STDOUT_FILENO, STDERR_FILENO})
        if (auto const result = fd < 0 ? fd : put(static_cast<int>(fd), place); result < 0)
            return outcome(LaunchStage::Output, result);
    return {};
}

/// As inetd does; only what it says on standard error is for the log.
ChildFailure take_connection(ChildPlan const& child) noexcept {
    for (int const place : {STDIN_FILENO, STDOUT_FILENO})
        if (child.connection >= 0)
            if (auto const result = put(child.connection, place); result < 0)
                return outcome(LaunchStage::Descriptors, result);
    return {};
}

/// All of ours are close-on-exec already; this is for what we ourselves inherited.
void keep_from_worker(int first) noexcept {
    if (raw_call(SYS_close_range, static_cast<unsigned>(first), ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    // Before Linux 5.11, or refused by a container engine: one by one. Higher ones than our own limit may
    // exist, from before it was lowered, but not usually.
    constexpr rlim64_t most = 65536;
    rlimit64 limit{};
    if (raw_call(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit) < 0 || limit.rlim_cur > most)
        limit.rlim_cur = most;
    for (int fd = first; fd < static_cast<int>(limit.rlim_cur); ++fd)
        if (auto const flags = raw_call(SYS_fcntl, fd, F_GETFD); flags >= 0 && (flags & FD_CLOEXEC) == 0)
            raw_call(SYS_fcntl, fd, F_SETFD, flags | FD_CLOEXEC);
}

/// The descriptors become 3, 4, …; clear_the_way() has moved them behind these places.
ChildFailure place_descriptors(ChildPlan const& child) noexcept {
    int place = first_handed_fd;
    for (int const fd : child.descriptors)
        if (auto const result = raw_call(SYS_dup3, fd, place++, 0); result < 0)
            return outcome(LaunchStage::Descriptors, result);
    keep_from_worker(place);
    return {};
}

// The plain names mean 16-bit ids where there are others.
#ifdef SYS_setresuid32
constexpr long set_groups_call = SYS_setgroups32;
constexpr long set_gid_call = SYS_setresgid32;
constexpr long set_uid_call = SYS_setresuid32;
constexpr long effective_user_call = SYS_geteuid32;
#else
constexpr long set_groups_call = SYS_setgroups;
constexpr long set_gid_call = SYS_setresgid;
constexpr long set_uid_call = SYS_setresuid;
constexpr long effective_user_call = SYS_geteuid;
#endif

ChildFailure become(Identity const& who) noexcept {
    // Who may not change groups may still be who the worker should be; the calls below say if that is not so.
    auto const groups = raw_call(set_groups_call, who.groups.size(), who.groups.data());
    if (groups < 0 && (groups != -EPERM || raw_call(effective_user_call) == 0))
        return outcome(LaunchStage::Groups, groups);
    if (auto const group = raw_call(set_gid_call, who.gid, who.gid, who.gid); group < 0)
        return outcome(LaunchStage::Group, group);
    return outcome(LaunchStage::User, raw_call(set_uid_call, who.uid, who.uid, who.uid));
}

ChildFailure limit_and_become(LaunchPlan const& plan) noexcept {
    if (plan.umask)
        raw_call(SYS_umask, *plan.umask);
    for (auto const& limit : plan.limits) {
        rlimit64 const value{limit.soft, limit.hard};
        if (auto const result = raw_call(SYS_prlimit64, 0, limit.resource, &value, nullptr); result < 0)
            return outcome(LaunchStage::Limits, result);
    }
    if (plan.identity)
        if (auto const failure = become(*plan.identity); failure.failed())
            return failure;
    if (plan.working_directory.empty())
        return {};
    return outcome(LaunchStage::WorkingDirectory, raw_call(SYS_chdir, plan.working_directory.c_str()));
}

/// As execvp(3): a candidate that is not there is passed over; one that is there but may not be executed is
/// remembered.
ChildFailure execute(ChildPlan const& child) noexcept {
    if (child.pinned >= 0)
        return outcome(LaunchStage::Execute, raw_call(SYS_execveat, child.pinned, "", child.arguments,
                                                      child.environment, AT_EMPTY_PATH));
    long worst = -ENOENT;
    for (auto const* program = child.programs; *program != nullptr; ++program) {
        auto const result = raw_call(SYS_execve, *program, child.arguments, child.environment);
        bool const is_there = result != -ENOENT && result != -ENOTDIR;
        if (is_there)
            worst = result;
        if (is_there && result != -EACCES)
            break;
    }
    return outcome(LaunchStage::Execute, worst);
}

/// Only it knows what they are.
void complete_variables(ChildPlan& child) noexcept {
    if (child.listen_fds != nullptr)
        child.listen_fds->complete_in_child(child.environment);
    if (child.watchdog_pid.empty())
        return;
    auto const pid = static_cast<std::uint64_t>(raw_call(SYS_getpid));
    write_decimal(child.watchdog_pid.data(), child.watchdog_pid.size(), pid);
}

} // namespace

void run_child(ChildPlan& child) noexcept {
    wait_at_gate(child);
    move_to_cgroup(child);
    auto failure = outcome(LaunchStage::Session, raw_call(SYS_setsid));
    if (!failure.failed())
        failure = reset_signals(child);
    if (!failure.failed())
        failure = clear_the_way(child);
    if (!failure.failed())
        failure = open_input(child);
    if (!failure.failed())
        failure = open_output(child);
    if (!failure.failed())
        failure = take_connection(child);
    if (!failure.failed())
        failure = place_descriptors(child);
    if (!failure.failed())
        failure = limit_and_become(*child.plan);
    if (!failure.failed()) {
        complete_variables(child);
        failure = let_signals_in();
    }
    if (!failure.failed())
        failure = execute(child);
    report_and_exit(child.status, failure);
}

} // namespace holdfast
