// SPDX-License-Identifier: Apache-2.0
#include "worker/launch.h"

#include "base/text.h"
#include "handoff/listen_fds.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
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

/// The plan in the only shapes that the child may touch: plain arrays made before the fork.
struct ChildPlan {
    std::vector<char const*> programs;
    std::vector<char*> arguments;
    std::vector<char*> environment;
    std::optional<ListenFds> listen_fds;
    std::vector<int> descriptors;
    std::string journal_header;
    sockaddr_un journal_address{};
    LaunchPlan const& plan;
    int status = -1;

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
        environment.push_back(nullptr);
        for (auto const& listener : launch.listeners)
            descriptors.push_back(listener.fd.raw());
        for (auto const fd : launch.others)
            descriptors.push_back(fd.raw());
        if (launch.output.kind == Output::Kind::Journal) {
            // The stream protocol of systemd-journald: identifier, unit, priority, level prefix, and three
            // forwards, a line each.
            journal_header = launch.output.identifier + "\n\n6\n1\n0\n0\n0\n";
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

ChildFailure reset_signals() noexcept {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal <= last_signal; ++signal)
        if (signal != SIGKILL && signal != SIGSTOP && ::sigaction(signal, &standard, nullptr) < 0 &&
            errno != EINVAL)
            return {LaunchStage::Signals, errno};
    sigset_t none;
    ::sigemptyset(&none);
    if (::sigprocmask(SIG_SETMASK, &none, nullptr) < 0)
        return {LaunchStage::Signals, errno};
    return {};
}

ChildFailure open_input() noexcept {
    int const null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        return {LaunchStage::Input, errno};
    // If 0 was closed, open has just made it and dup2 to itself would leave it close-on-exec.
    if (null == STDIN_FILENO ? ::fcntl(null, F_SETFD, 0) < 0 : ::dup2(null, STDIN_FILENO) < 0)
        return {LaunchStage::Input, errno};
    return {};
}

ChildFailure open_output(ChildPlan const& child) noexcept {
    int fd = -1;
    switch (child.plan.output.kind) {
    case Output::Kind::Through:
        return {};
    case Output::Kind::File:
        fd = ::open(child.plan.output.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
                    0640);
        break;
    case Output::Kind::Journal:
        fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 ||
            ::connect(fd, reinterpret_cast<sockaddr const*>(&child.journal_address),
                      sizeof child.journal_address) < 0 ||
            ::write(fd, child.journal_header.data(), child.journal_header.size()) < 0)
            return {LaunchStage::Output, errno};
        break;
    }
    if (fd < 0 || ::dup2(fd, STDOUT_FILENO) < 0 || ::dup2(fd, STDERR_FILENO) < 0)
        return {LaunchStage::Output, errno};
    return {};
}

/// Moves the descriptors to 3, 4, … . Two passes: first every source out of the way of the targets, then each
/// to its place.
ChildFailure place_descriptors(ChildPlan& child) noexcept {
    int const end = first_handed_fd + static_cast<int>(child.descriptors.size());
    if (child.status < end) {
        child.status = ::fcntl(child.status, F_DUPFD_CLOEXEC, end);
        if (child.status < 0)
            ::_exit(127); // nobody can be told; end-of-file without exec is seen as a dead worker
    }
    for (auto& fd : child.descriptors)
        if (fd < end && (fd = ::fcntl(fd, F_DUPFD_CLOEXEC, end)) < 0)
            return {LaunchStage::Descriptors, errno};
    int target = first_handed_fd;
    for (int const fd : child.descriptors)
        if (::dup2(fd, target++) < 0)
            return {LaunchStage::Descriptors, errno};
    // All of ours are close-on-exec already; this is for what we ourselves inherited. Linux 5.11.
    (void)::syscall(SYS_close_range, static_cast<unsigned>(end), ~0U, CLOSE_RANGE_CLOEXEC);
    return {};
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
        // Without the right to change groups, "already who we should be" is enough; the calls below say if it
        // is not.
        if (::geteuid() == 0 && ::setgroups(who.groups.size(), who.groups.data()) < 0)
            return {LaunchStage::Groups, errno};
        if (::setresgid(who.gid, who.gid, who.gid) < 0)
            return {LaunchStage::Group, errno};
        if (::setresuid(who.uid, who.uid, who.uid) < 0)
            return {LaunchStage::User, errno};
    }
    if (!plan.working_directory.empty() && ::chdir(plan.working_directory.c_str()) < 0)
        return {LaunchStage::WorkingDirectory, errno};
    return {};
}

/// As execvp(3): a candidate that is not there is passed over; one that is there but may not be executed is
/// remembered.
ChildFailure execute(ChildPlan& child) noexcept {
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
    ChildFailure failure;
    if (::setsid() < 0)
        failure = {LaunchStage::Session, errno};
    if (!failure.failed())
        failure = reset_signals();
    if (!failure.failed())
        failure = open_input();
    if (!failure.failed())
        failure = open_output(child);
    if (!failure.failed())
        failure = place_descriptors(child);
    if (!failure.failed())
        failure = limit_and_become(child.plan);
    if (!failure.failed() && child.listen_fds)
        child.listen_fds->complete_in_child(child.environment.data());
    if (!failure.failed())
        failure = execute(child);
    report_and_exit(child.status, failure);
}

} // namespace

// ---- in the parent ----

Result<Launched> fork_worker(LaunchPlan const& plan) {
    ChildPlan child{plan};
    int pipe_fds[2];
    if (::pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return system_error(errno, "make a pipe for a new process");
    UniqueFd status{pipe_fds[0]};
    UniqueFd const told{pipe_fds[1]};
    child.status = told.raw();

    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    // Raw, so that no at-fork handler of a library runs; the child calls nothing that would miss them.
    auto const pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid < 0)
        return system_error(errno, "start a process", {},
                            errno == EAGAIN ? "a limit on processes is reached (ulimit -u, pids.max)" : "");
    if (pid == 0)
        run_child(child);
    return Launched{pid, UniqueFd{pidfd}, std::move(status)};
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

Error to_error(LaunchFailure failure, LaunchPlan const& plan) {
    std::string doing{to_name(failure.stage)};
    std::string advice;
    switch (failure.stage) {
    case LaunchStage::Execute:
        doing += " " + (plan.programs.size() == 1 ? plan.programs.front() : plan.arguments.front());
        if (failure.code == ENOENT)
            advice = plan.programs.size() == 1
                         ? "correct `exec_start`, or install the program (for a script: its interpreter)"
                         : "there is no such program on the PATH; give its absolute path in `exec_start`";
        else if (failure.code == EACCES)
            advice = "make it executable (chmod +x), and its folders accessible to the service's user";
        else if (failure.code == ENOEXEC)
            advice = "it is no program of this machine; a script must begin with #!";
        break;
    case LaunchStage::WorkingDirectory:
        doing += " " + plan.working_directory;
        advice = "create it, or correct `working_directory`";
        break;
    case LaunchStage::Output:
        if (plan.output.kind == Output::Kind::File)
            doing += " " + plan.output.path;
        break;
    case LaunchStage::Groups:
    case LaunchStage::Group:
    case LaunchStage::User:
        if (plan.identity)
            doing += " " + plan.identity->user;
        if (failure.code == EPERM)
            advice = "only root may change users: run holdfastd as root, or remove `user` and `group`";
        break;
    case LaunchStage::Limits:
        if (failure.code == EPERM)
            advice = "the hard limit is lower than `limits` asks for, and raising it needs CAP_SYS_RESOURCE";
        break;
    case LaunchStage::Fork:
    case LaunchStage::Session:
    case LaunchStage::Signals:
    case LaunchStage::Input:
    case LaunchStage::Descriptors:
    case LaunchStage::Umask:
    case LaunchStage::Environment:
        break;
    }
    return system_error(failure.code, std::move(doing), {}, std::move(advice));
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
