// SPDX-License-Identifier: Apache-2.0
#include "worker/launch.h"

#include "base/text.h"
#include "handoff/listen_fds.h"
#include "worker/cgroup.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr int last_signal = 64; // _NSIG - 1

/// The signals that we were started with as ignored; exec(2) would hand them on. Asked once (it takes 60
/// system calls): we ourselves never ignore one.
std::vector<int> const& ignored_signals() {
    static std::vector<int> const ignored = [] {
        std::vector<int> found;
        for (int signal = 1; signal <= last_signal; ++signal) {
            struct sigaction now {};
            if (::sigaction(signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
                now.sa_handler == SIG_IGN)
                found.push_back(signal);
        }
        return found;
    }();
    return ignored;
}

/// The plan in the only shapes that the child may touch: plain arrays made before the fork.
struct ChildPlan {
    std::vector<char const*> programs;
    std::vector<char*> arguments;
    std::vector<char*> environment;
    std::optional<ListenFds> listen_fds;
    char watchdog_pid[40] = "WATCHDOG_PID=";
    std::vector<int> descriptors;
    int pinned = -1;
    std::string journal_header;
    sockaddr_un journal_address{};
    LaunchPlan const& plan;
    std::vector<int> const& ignored = ignored_signals();
    bool has_default_handlers = false; ///< the fork itself has reset them
    int status = -1;
    int gate = -1;     ///< to read from; less than 0: none
    int gate_end = -1; ///< ours to write to, inherited
    int cgroup = -1;   ///< its folder, to go to; less than 0: it is there, or has none
    bool may_be_born_there = true;

    explicit ChildPlan(LaunchPlan const& launch) : plan{launch} {
        for (auto const& program : launch.programs)
            programs.push_back(program.c_str());
        // execve(2) takes char*, and changes nothing.
        for (auto const& argument : launch.arguments)
            arguments.push_back(const_cast<char*>(argument.c_str()));
        arguments.push_back(nullptr);
        for (auto const& variable : launch.environment)
            environment.push_back(const_cast<char*>(variable.c_str()));
        if (launch.announces_listeners)
            listen_fds.emplace(launch.listeners).append_to(environment);
        if (launch.announces_watchdog)
            environment.push_back(watchdog_pid);
        environment.push_back(nullptr);
        for (auto const& listener : launch.listeners)
            descriptors.push_back(listener.fd.raw());
        for (auto const fd : launch.others)
            descriptors.push_back(fd.raw());
        if (launch.pinned.is_open())
            pinned = launch.pinned.raw();
        if (launch.output.kind == Output::Kind::Journal) {
            // The stream protocol of systemd-journald: identifier, unit, priority, level prefix, and three
            // forwards, a line each.
            journal_header = launch.output.identifier + '\n' + launch.output.unit + "\n6\n1\n0\n0\n0\n";
            journal_address.sun_family = AF_UNIX;
            std::strcpy(journal_address.sun_path, "/run/systemd/journal/stdout");
        }
    }
};

// ---- in the child: async-signal-safe only, and nothing returns to the parent's loop ----

struct ChildFailure {
    LaunchStage stage{};
    int code = 0;
    [[nodiscard]] bool failed() const noexcept { return code != 0; }
};

[[noreturn]] void report_and_exit(int status, ChildFailure failure) noexcept {
    LaunchFailure const words{failure.stage, failure.code};
    // Smaller than PIPE_BUF and the pipe is empty: written whole or not at all.
    (void)!::write(status, &words, sizeof words);
    ::_exit(127);
}

/// Nobody but the supervisor holds the other end, once those who were forked meanwhile are through their
/// gates.
void wait_at_gate(ChildPlan const& child) noexcept {
    if (child.gate < 0)
        return;
    ::close(child.gate_end);
    char word = 0;
    ssize_t size = 0;
    do
        size = ::read(child.gate, &word, 1);
    while (size < 0 && errno == EINTR);
    if (size != 1)
        report_and_exit(child.status, {LaunchStage::Gate, ECANCELED});
}

/// While we are still who the supervisor is. It is no reason not to work that this may not be.
void move_to_cgroup(ChildPlan const& child) noexcept {
    if (child.cgroup < 0)
        return;
    int const file = ::openat(child.cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    (void)!::write(file, "0", 1);
    ::close(file);
}

ChildFailure reset_signals(ChildPlan const& child) noexcept {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int const signal : child.ignored)
        if (::sigaction(signal, &standard, nullptr) < 0)
            return {LaunchStage::Signals, errno};
    // exec(2) resets handlers too, but a signal may come before it.
    for (int signal = 1; signal <= last_signal && !child.has_default_handlers; ++signal)
        if (signal != SIGKILL && signal != SIGSTOP && ::sigaction(signal, &standard, nullptr) < 0 &&
            errno != EINVAL)
            return {LaunchStage::Signals, errno};
    sigset_t none;
    ::sigemptyset(&none);
    if (::sigprocmask(SIG_SETMASK, &none, nullptr) < 0)
        return {LaunchStage::Signals, errno};
    return {};
}

/// One past the last descriptor that the worker is meant to have.
int end_of_handed(ChildPlan const& child) noexcept {
    return first_handed_fd + static_cast<int>(child.descriptors.size());
}

/// Moves every descriptor of ours behind those of the worker, so that nothing put into place overwrites what
/// is still needed. Even 0, 1 and 2 may be ours, where we were started without them.
ChildFailure clear_the_way(ChildPlan& child) noexcept {
    int const end = end_of_handed(child);
    if (child.status < end) {
        child.status = ::fcntl(child.status, F_DUPFD_CLOEXEC, end);
        if (child.status < 0)
            ::_exit(127); // nobody can be told; end-of-file without exec is seen as a dead worker
    }
    for (auto& fd : child.descriptors)
        if (fd < end && (fd = ::fcntl(fd, F_DUPFD_CLOEXEC, end)) < 0)
            return {LaunchStage::Descriptors, errno};
    if (child.pinned >= 0 && child.pinned < end &&
        (child.pinned = ::fcntl(child.pinned, F_DUPFD_CLOEXEC, end)) < 0)
        return {LaunchStage::Descriptors, errno};
    return {};
}

/// dup2(2), but a descriptor that is in its place already is kept open over the exec too.
bool put(int fd, int place) noexcept {
    return (fd == place ? ::fcntl(fd, F_SETFD, 0) : ::dup2(fd, place)) >= 0;
}

ChildFailure open_input(ChildPlan const& child) noexcept {
    int const known = child.plan.null.raw();
    int const null = known >= 0 ? known : ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || !put(null, STDIN_FILENO))
        return {LaunchStage::Input, errno};
    return {};
}

/// What we were started without, the worker has as /dev/null: it must not find a socket of its own there.
ChildFailure let_output_through() noexcept {
    for (int const standard : {STDOUT_FILENO, STDERR_FILENO}) {
        int const flags = ::fcntl(standard, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) // else it is closed, or one of our own has its number
            continue;
        int const null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null < 0 || !put(null, standard))
            return {LaunchStage::Output, errno};
    }
    return {};
}

/// Opened without waiting (a pipe that nobody reads would never open) and without following a link that
/// somebody may have put there; then written to as any file is.
int open_log_file(char const* path) noexcept {
    int const fd =
        ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0640);
    struct stat node {};
    if (fd < 0 || ::fstat(fd, &node) < 0)
        return -1;
    if (!S_ISREG(node.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    return ::fcntl(fd, F_SETFL, O_APPEND) < 0 ? -1 : fd;
}

/// Less than 0 when it does not answer at once: a journal that is dead, or so busy that connect(2) would wait
/// for it, does not keep a worker from its work.
int open_journal(ChildPlan const& child) noexcept {
    int const fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    auto const size = child.journal_header.size();
    if (fd < 0 ||
        ::connect(fd, reinterpret_cast<sockaddr const*>(&child.journal_address),
                  sizeof child.journal_address) < 0 ||
        ::send(fd, child.journal_header.data(), size, MSG_NOSIGNAL) != static_cast<ssize_t>(size) ||
        ::fcntl(fd, F_SETFL, 0) < 0)
        return -1;
    return fd;
}

ChildFailure open_output(ChildPlan const& child) noexcept {
    int fd = -1;
    switch (child.plan.output.kind) {
    case Output::Kind::Through:
        return let_output_through();
    case Output::Kind::File:
        fd = open_log_file(child.plan.output.path.c_str());
        break;
    case Output::Kind::Journal:
        fd = open_journal(child);
        if (fd < 0)
            return let_output_through();
        break;
    }
    if (fd < 0 || !put(fd, STDOUT_FILENO) || !put(fd, STDERR_FILENO))
        return {LaunchStage::Output, errno};
    return {};
}

/// All of ours are close-on-exec already; this is for what we ourselves inherited.
void keep_from_worker(int first) noexcept {
    if (::syscall(SYS_close_range, static_cast<unsigned>(first), ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    // Before Linux 5.11, or refused by a container engine: one by one. Higher ones than our own limit may
    // exist, from before it was lowered, but not usually.
    constexpr rlim_t most = 65536;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > most)
        limit.rlim_cur = most;
    for (int fd = first; fd < static_cast<int>(limit.rlim_cur); ++fd)
        if (int const flags = ::fcntl(fd, F_GETFD); flags >= 0 && (flags & FD_CLOEXEC) == 0)
            (void)::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

/// The descriptors become 3, 4, …; clear_the_way() has moved them behind these places.
ChildFailure place_descriptors(ChildPlan const& child) noexcept {
    int place = first_handed_fd;
    for (int const fd : child.descriptors)
        if (::dup2(fd, place++) < 0)
            return {LaunchStage::Descriptors, errno};
    keep_from_worker(place);
    return {};
}

// Raw calls: those of the C library want all threads to follow, and take a lock for it that a thread which is
// not here any more may have held. The plain names mean 16-bit ids where there are others.
#ifdef SYS_setresuid32
constexpr long set_groups_call = SYS_setgroups32;
constexpr long set_gid_call = SYS_setresgid32;
constexpr long set_uid_call = SYS_setresuid32;
#else
constexpr long set_groups_call = SYS_setgroups;
constexpr long set_gid_call = SYS_setresgid;
constexpr long set_uid_call = SYS_setresuid;
#endif

long set_groups(std::vector<gid_t> const& groups) noexcept {
    return ::syscall(set_groups_call, groups.size(), groups.data());
}
long set_gid(gid_t gid) noexcept {
    return ::syscall(set_gid_call, gid, gid, gid);
}
long set_uid(uid_t uid) noexcept {
    return ::syscall(set_uid_call, uid, uid, uid);
}

ChildFailure limit_and_become(LaunchPlan const& plan) noexcept {
    if (plan.umask)
        ::umask(*plan.umask);
    for (auto const& limit : plan.limits) {
        rlimit const value{limit.soft, limit.hard};
        if (::setrlimit(static_cast<__rlimit_resource>(limit.resource), &value) < 0)
            return {LaunchStage::Limits, errno};
    }
    if (plan.identity) {
        auto const& who = *plan.identity;
        // Who may not change groups may still be who the worker should be; the calls below say if that is not
        // so.
        if (set_groups(who.groups) < 0 && (errno != EPERM || ::geteuid() == 0))
            return {LaunchStage::Groups, errno};
        if (set_gid(who.gid) < 0)
            return {LaunchStage::Group, errno};
        if (set_uid(who.uid) < 0)
            return {LaunchStage::User, errno};
    }
    if (!plan.working_directory.empty() && ::chdir(plan.working_directory.c_str()) < 0)
        return {LaunchStage::WorkingDirectory, errno};
    return {};
}

/// As execvp(3): a candidate that is not there is passed over; one that is there but may not be executed is
/// remembered.
ChildFailure execute(ChildPlan& child) noexcept {
    if (child.pinned >= 0) {
        // By the raw call: the C library has it only since glibc 2.34.
        ::syscall(SYS_execveat, child.pinned, "", child.arguments.data(), child.environment.data(),
                  AT_EMPTY_PATH);
        return {LaunchStage::Execute, errno};
    }
    int worst = ENOENT;
    for (char const* program : child.programs) {
        ::execve(program, child.arguments.data(), child.environment.data());
        if (errno != ENOENT && errno != ENOTDIR)
            worst = errno;
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            break;
    }
    return {LaunchStage::Execute, worst};
}

[[noreturn]] void run_child(ChildPlan& child) noexcept {
    wait_at_gate(child);
    move_to_cgroup(child);
    ChildFailure failure;
    if (::setsid() < 0)
        failure = {LaunchStage::Session, errno};
    if (!failure.failed())
        failure = reset_signals(child);
    if (!failure.failed())
        failure = clear_the_way(child);
    if (!failure.failed())
        failure = open_input(child);
    if (!failure.failed())
        failure = open_output(child);
    if (!failure.failed())
        failure = place_descriptors(child);
    if (!failure.failed())
        failure = limit_and_become(child.plan);
    if (!failure.failed() && child.listen_fds)
        child.listen_fds->complete_in_child(child.environment.data());
    auto const watchdog_prefix = std::strlen("WATCHDOG_PID=");
    if (!failure.failed() && child.plan.announces_watchdog)
        write_decimal(child.watchdog_pid + watchdog_prefix, sizeof child.watchdog_pid - watchdog_prefix,
                      static_cast<std::uint64_t>(::getpid()));
    if (!failure.failed())
        failure = execute(child);
    report_and_exit(child.status, failure);
}

} // namespace

// ---- in the parent ----

namespace {

/// fork(2) with a pidfd and, where it can be had, with every handler reset by the kernel
/// (CLONE_CLEAR_SIGHAND, Linux 5.5), which saves 60 system calls of a worker's start, and in its cgroup
/// (CLONE_INTO_CGROUP, Linux 5.7). Old kernels do not know clone3(2) and some container engines refuse it.
/// Raw, so that no at-fork handler of a library runs; the child calls nothing that would miss them.
/// `child.cgroup` is less than 0 if the child need not go there itself.
pid_t fork_with_pidfd(int* pidfd, ChildPlan& child) {
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(pidfd);
    arguments.exit_signal = SIGCHLD;
    child.has_default_handlers = true;
    if (int const cgroup = child.cgroup; cgroup >= 0 && child.may_be_born_there) {
        child.cgroup = -1;
        auto inside = arguments;
        inside.flags |= CLONE_INTO_CGROUP;
        inside.cgroup = static_cast<std::uint64_t>(cgroup);
        auto const pid = static_cast<pid_t>(::syscall(SYS_clone3, &inside, sizeof inside));
        if (pid >= 0 || errno == EAGAIN || errno == ENOMEM)
            return pid;
        child.cgroup = cgroup;
    }
    auto const pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid >= 0 || (errno != ENOSYS && errno != EINVAL && errno != EPERM))
        return pid;
    child.has_default_handlers = false;
    constexpr unsigned long flags = CLONE_PIDFD | SIGCHLD;
#if defined(__s390__)
    return static_cast<pid_t>(::syscall(SYS_clone, nullptr, flags, pidfd, nullptr, nullptr));
#else
    return static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, pidfd, nullptr, nullptr));
#endif
}

} // namespace

UniqueFd open_null() {
    return UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

Result<Launched> fork_worker(LaunchPlan const& plan) {
    ChildPlan child{plan};
    int pipe_fds[2];
    if (::pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return system_error(errno, "make a pipe for a new process");
    UniqueFd status{pipe_fds[0]};
    UniqueFd const told{pipe_fds[1]};
    child.status = told.raw();
    UniqueFd gate, gate_end;
    if (plan.is_gated) {
        if (::pipe2(pipe_fds, O_CLOEXEC) < 0)
            return system_error(errno, "make a pipe for a new process");
        gate = UniqueFd{pipe_fds[0]};
        gate_end = UniqueFd{pipe_fds[1]};
        child.gate = gate.raw();
        child.gate_end = gate_end.raw();
    }

    if (plan.cgroup) {
        child.cgroup = plan.cgroup->raw();
        child.may_be_born_there = may_be_born_in(*plan.cgroup);
    }
    // Nothing reaches the child before it has reset its signals: a handler of ours would run in it, with our
    // memory as it was.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    auto const pid = fork_with_pidfd(&pidfd, child);
    int const problem = errno;
    if (pid == 0)
        run_child(child);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0)
        return system_error(problem, "start a process", {},
                            problem == EAGAIN ? "a limit on processes is reached (ulimit -u, pids.max)" : "");
    return Launched{pid, UniqueFd{pidfd}, std::move(status), std::move(gate_end), child.cgroup >= 0};
}

void open_gate(UniqueFd gate) {
    if (gate.is_open())
        (void)!::write(gate.raw(), "x", 1); // it has ended otherwise, which its pidfd tells
}

LaunchStatus read_launch_status(FdRef status) {
    LaunchFailure failure;
    auto const size = ::read(status.raw(), &failure, sizeof failure);
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
