// SPDX-License-Identifier: Apache-2.0
#include "worker/process.h"

#include "base/pidfd.h"
#include "base/signal_names.h"
#include "worker/launch_room.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast {

namespace {

/// waitid(2) by pidfd; `options` as there. Nothing when it is not our child.
std::optional<ExitStatus> wait_for(FdRef pidfd, int options) {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pidfd.raw()), &info, WEXITED | WNOHANG | options) < 0 ||
        info.si_pid == 0)
        return std::nullopt;
    if (info.si_code == CLD_EXITED)
        return ExitStatus{true, info.si_status, 0, false};
    return ExitStatus{true, 0, info.si_status, info.si_code == CLD_DUMPED};
}

constexpr Duration longest_wait_for_exit = std::chrono::milliseconds{250};

/// Of one that somebody else has reaped: ioctl(2) PIDFD_GET_INFO with PIDFD_INFO_EXIT, from Linux 6.15 on; as
/// in linux/pidfd.h, which is newer than the headers that we are built with.
std::optional<ExitStatus> ask_pidfd(FdRef pidfd) {
    struct Info {
        std::uint64_t mask;
        std::uint64_t cgroup;
        std::uint32_t ids[11];
        std::int32_t exit_code;
    };
    constexpr std::uint64_t about_exit = 1U << 3;
    Info info{};
    info.mask = about_exit;
    if (::ioctl(pidfd.raw(), _IOWR(0xff, 11, Info), &info) < 0 || (info.mask & about_exit) == 0)
        return std::nullopt;
    if (WIFEXITED(info.exit_code))
        return ExitStatus{true, WEXITSTATUS(info.exit_code), 0, false};
    return ExitStatus{true, 0, WTERMSIG(info.exit_code), WCOREDUMP(info.exit_code)};
}

/// False when it surely never called execve(2): the launch pipe is closed by a death too. The kernel has a
/// flag for that (PF_FORKNOEXEC; proc(5), field 9 of stat), also of a process that is dead and not reaped.
/// Where /proc cannot be read, it is taken to be executed.
bool has_executed(pid_t pid) {
    constexpr unsigned forked_and_not_executed = 0x40;
    UniqueFd const file{::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC)};
    char text[512]{};
    if (!file.is_open() || ::read(file.raw(), text, sizeof text - 1) <= 0)
        return true;
    unsigned flags = 0;
    // Behind the last ')': the name before it may hold anything.
    char const* const rest = std::strrchr(text, ')');
    if (rest == nullptr || std::sscanf(rest, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
        return true;
    return (flags & forked_and_not_executed) == 0;
}

} // namespace

std::string to_string(ExitStatus const& status) {
    if (!status.is_known)
        return "exit status unknown";
    if (status.signal == 0)
        return "exit code " + std::to_string(status.code);
    return "killed by " + signal_name(status.signal) + (status.dumped_core ? " (core dumped)" : "");
}

bool is_clean(ExitStatus const& status) {
    if (!status.is_known || status.dumped_core)
        return false;
    switch (status.signal) {
    case 0:
        return status.code == 0;
    case SIGHUP:
    case SIGINT:
    case SIGTERM:
    case SIGPIPE:
        return true;
    default:
        return false;
    }
}

WorkerProcess::WorkerProcess(EventLoop& loop, WorkerObserver& observer, std::uint32_t id, Launched launched)
    : loop_{loop}, observer_{observer}, id_{id}, leader_{launched.pid}, main_{launched.pid},
      pidfd_{std::move(launched.pidfd)}, status_{std::move(launched.status)} {
    watch_all();
}

WorkerProcess::WorkerProcess(EventLoop& loop, WorkerObserver& observer, std::uint32_t id,
                             AdoptedProcess adopted)
    : loop_{loop}, observer_{observer}, id_{id}, leader_{adopted.leader}, main_{adopted.main},
      leader_is_reaped_{adopted.leader != adopted.main && !adopted.leader_pidfd.is_open()},
      pidfd_{std::move(adopted.pidfd)},
      leader_pidfd_{std::move(adopted.leader_pidfd)}, status_{std::move(adopted.status)}, is_adopted_{true} {
    watch_all();
}

void WorkerProcess::watch_all() {
    auto death = watch_end_of(main_, pidfd_);
    Result<EventSource> launch = EventSource{};
    if (status_.is_open())
        launch = loop_.try_watch(
            status_, EPOLLIN, [this](std::uint32_t) { look_at_launch(); }, Priority::Messages);
    Result<EventSource> leader = EventSource{};
    if (leader_pidfd_.is_open())
        leader = watch_end_of(leader_, leader_pidfd_);
    if (!death || !launch || !leader) {
        give_up((!death ? death : !launch ? launch : leader).error().code);
        return;
    }
    death_ = std::move(death).value();
    launch_ = std::move(launch).value();
    leader_death_ = std::move(leader).value();
}

Result<EventSource> WorkerProcess::watch_end_of(pid_t pid, FdRef pidfd) {
    return loop_.try_watch(
        pidfd, EPOLLIN, [this, pid](std::uint32_t) { see_end_of(pid); }, Priority::Deaths);
}

/// A process that nothing would tell us of is not left to run on. A timer needs no watch of its own.
void WorkerProcess::give_up(int problem) {
    kill_group();
    status_.reset();
    failure_ = LaunchFailure{LaunchStage::Watch, problem};
    death_ = loop_.at(MonotonicTime::now(), [this] {
        if (has_ended(pidfd_))
            return see_death();
        death_.rearm(MonotonicTime::now() + std::chrono::milliseconds{5});
    });
}

void WorkerProcess::look_at_launch() {
    auto const status = read_launch_status(status_);
    if (status.state != LaunchStatus::State::Pending)
        decide_launch(status);
}

void WorkerProcess::decide_launch(LaunchStatus status) {
    launch_.reset();
    status_.reset();
    // Told when the process is reaped.
    if (status.state == LaunchStatus::State::Failed)
        failure_ = status.failure;
    else if (!has_executed(leader_))
        failure_ = LaunchFailure{LaunchStage::Execute, ECANCELED};
    else
        observer_.worker_executed(*this);
}

void WorkerProcess::see_end_of(pid_t pid) {
    if (pid == main_) {
        // What the launch pipe says comes first: the same death is "not launched" or "died" by it.
        if (status_.is_open())
            decide_launch(read_launch_status(status_));
        // A daemon's parent says "READY=1\nMAINPID=child" and ends at once.
        if (!failure_)
            observer_.worker_is_ending(*this);
    }
    if (pid == main_)
        see_death();
    else if (pid == leader_)
        reap_leader();
}

/// Looked at before it is reaped: if we die in between, whoever reaps it can still say how it ended.
std::optional<ExitStatus> WorkerProcess::find_exit() const {
    if (auto const exit = wait_for(pidfd_, WNOWAIT))
        return exit;
    if (auto const exit = ask_pidfd(pidfd_))
        return exit;
    return observer_.exit_of(main_); // by a number, that another process may have had before
}

void WorkerProcess::see_death() {
    kill_group();
    death_.reset();
    if (auto const exit = find_exit())
        return end_with(*exit);
    // Not our child, and the word of how it ended may be on its way.
    auto const now = MonotonicTime::now();
    if (waits_for_exit_ == MonotonicTime::never())
        waits_for_exit_ = now + longest_wait_for_exit;
    if (!is_adopted_ || now >= waits_for_exit_)
        return end_with({false, 0, 0, false});
    death_ = loop_.at(now + std::chrono::milliseconds{5}, [this] { see_death(); });
}

void WorkerProcess::end_with(ExitStatus exit) {
    if (!failure_)
        observer_.worker_has_ended(*this, exit);
    (void)wait_for(pidfd_, 0);
    LaunchRooms::ours().sweep(); // it may have died in one
    if (main_ == leader_)
        leader_is_reaped_ = true;
    if (failure_)
        observer_.worker_not_launched(*this, *failure_);
    else
        observer_.worker_died(*this, exit);
}

void WorkerProcess::reap_leader() {
    leader_death_.reset();
    (void)wait_for(leader_pidfd_, 0);
    leader_is_reaped_ = true;
}

Outcome WorkerProcess::send(int signal) {
    if (int const error = send_signal(pidfd_, signal); error != 0)
        return system_error(error, "send " + signal_name(signal) + " to process " + std::to_string(main_));
    return {};
}

void WorkerProcess::kill_group() {
    (void)send(SIGKILL);
    FdRef const leader = main_ == leader_ ? pidfd_ : leader_pidfd_;
    if (leader.is_open() && kill_group_of(leader))
        return;
    // The leader's number names this group only as long as the leader, alive or not, or the main process is
    // in it. Who adopted it may have reaped it; then it may be another's, but not while nobody has it.
    bool const is_ours = is_adopted_ ? (leader.is_open() && pid_of(leader) == leader_) ||
                                           (::kill(leader_, 0) < 0 && errno == ESRCH)
                                     : !leader_is_reaped_;
    if (is_ours || ::getpgid(main_) == leader_)
        (void)::kill(-leader_, SIGKILL);
}

Outcome WorkerProcess::change_main(pid_t pid) {
    if (pid == main_)
        return {};
    auto const doing = "take process " + std::to_string(pid) + " as main process";
    UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    if (!pidfd.is_open())
        return system_error(errno, doing);
    // Asked after the pidfd is held and while it is alive, so that the answer is about this very process.
    if (::getsid(pid) != leader_ || has_ended(pidfd))
        return plain_error("cannot " + doing + ": it is not of the worker's session");
    // The leader has one watch for all its life, which goes along; two would both reap it.
    if (pid == leader_) {
        death_ = std::move(leader_death_);
        pidfd_ = std::move(leader_pidfd_);
        main_ = pid;
        return {};
    }
    auto death = watch_end_of(pid, pidfd);
    if (!death)
        return system_error(death.error().code, doing);
    if (main_ == leader_) {
        leader_death_ = std::move(death_);
        leader_pidfd_ = std::move(pidfd_);
    }
    death_ = std::move(death).value();
    pidfd_ = std::move(pidfd);
    main_ = pid;
    return {};
}

bool reap_orphans(std::function<bool(pid_t)> const& is_ours) {
    constexpr int most_at_once = 64; // of a fork bomb there are always more
    for (int i = 0; i < most_at_once; ++i) {
        siginfo_t info{};
        if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return true;
        if (is_ours(info.si_pid))
            return false;
        (void)::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
    }
    return false;
}

} // namespace holdfast
