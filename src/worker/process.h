// SPDX-License-Identifier: Apache-2.0
// One worker process from fork to reap: its pidfd, its launch status, its signals, its end. It tells its
// observer what it sees and decides nothing. A death is looked at before it is reaped, and the whole process
// group is ended while the leader's pid still cannot be anybody else's.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "event/loop.h"
#include "worker/launch.h"

#include <functional>
#include <optional>

#include <sys/types.h>

namespace holdfast {

struct ExitStatus {
    bool is_known = true; ///< false: it was nobody's child that we could ask about
    int code = 0;         ///< exit code, when `signal` is 0
    int signal = 0;
    bool dumped_core = false;
};
/// "exit code 3", "killed by SIGSEGV (core dumped)", "exit status unknown".
[[nodiscard]] std::string to_string(ExitStatus const& status);

/// Clean as in systemd.service(5): status 0, or one of four signals that are a request to go.
[[nodiscard]] bool is_clean(ExitStatus const& status);

class WorkerProcess;

/// A worker that another supervisor of ours has started: not our child, most often.
struct AdoptedProcess {
    pid_t leader = 0;
    pid_t main = 0;
    UniqueFd pidfd{};        ///< of main
    UniqueFd leader_pidfd{}; ///< not open: the leader is the main process, or has ended
    UniqueFd status{};       ///< not open: it was executed
};

/// Told of what happens to a worker. It may destroy the worker only in the two calls that say so.
class WorkerObserver {
public:
    virtual void worker_executed(WorkerProcess& worker) = 0;
    /// The main process has ended and is not yet reaped, so that what it said last can still be traced to it:
    /// to be heard now. Where that names another main process (change_main), no death is told.
    virtual void worker_is_ending(WorkerProcess& worker) = 0;
    /// The program was never executed, and the process is reaped. The worker may be destroyed.
    virtual void worker_not_launched(WorkerProcess& worker, LaunchFailure failure) = 0;
    /// The process has ended: what is to be known of it by who comes after us is to be saved now. It is
    /// reaped behind this.
    virtual void worker_has_ended(WorkerProcess&, ExitStatus) {}
    /// The process is reaped. The worker may be destroyed.
    virtual void worker_died(WorkerProcess& worker, ExitStatus status) = 0;
    /// How a process that is not our child has ended, if anybody has told us.
    virtual std::optional<ExitStatus> exit_of(pid_t) { return std::nullopt; }

protected:
    ~WorkerObserver() = default;
};

class WorkerProcess {
public:
    /// Takes over a process that fork_worker() made. `id` is the observer's, opaque here. A process that
    /// cannot be watched is killed, and told as not launched from the loop.
    WorkerProcess(EventLoop& loop, WorkerObserver& observer, std::uint32_t id, Launched launched);
    /// Goes on with one that was started before us. Its exit status is known if it is our child, if the
    /// observer knows it within 250 ms, or from Linux 6.15 on (PIDFD_GET_INFO).
    WorkerProcess(EventLoop& loop, WorkerObserver& observer, std::uint32_t id, AdoptedProcess adopted);
    WorkerProcess(WorkerProcess const&) = delete;
    WorkerProcess& operator=(WorkerProcess const&) = delete;

    [[nodiscard]] std::uint32_t id() const { return id_; }
    /// The process that signals go to: the one we made, or what MAINPID= named.
    [[nodiscard]] pid_t pid() const { return main_; }
    /// The leader of its session and process group.
    [[nodiscard]] pid_t leader() const { return leader_; }
    [[nodiscard]] bool is_adopted() const { return is_adopted_; }
    /// What another supervisor would need to adopt it.
    [[nodiscard]] FdRef pidfd() const { return pidfd_; }
    [[nodiscard]] FdRef leader_pidfd() const { return leader_pidfd_; } ///< none: it is pidfd(), or has ended
    [[nodiscard]] FdRef launch_status() const { return status_; }      ///< none: the launch is decided

    /// Signals the main process. ESRCH when it is dead already (its death is about to be told).
    Outcome send(int signal);
    /// SIGKILL to the whole process group.
    void kill_group();
    /// MAINPID=: `pid` is the main process from now on. Refused unless it is of the worker's own session;
    /// nothing has changed then.
    [[nodiscard]] Outcome change_main(pid_t pid);

private:
    void look_at_launch();
    void decide_launch(LaunchStatus status);
    /// Of the main process or the leader, by what `pid` is when it is seen.
    [[nodiscard]] Result<EventSource> watch_end_of(pid_t pid, FdRef pidfd);
    void see_end_of(pid_t pid);
    void see_death();
    void end_with(ExitStatus exit);
    void watch_all();
    [[nodiscard]] std::optional<ExitStatus> find_exit() const;
    void reap_leader();
    void give_up(int problem);

    EventLoop& loop_;
    WorkerObserver& observer_;
    std::uint32_t id_;
    pid_t leader_;
    pid_t main_;
    bool leader_is_reaped_ = false;
    UniqueFd pidfd_;        ///< of main_
    UniqueFd leader_pidfd_; ///< only while it is not main_
    UniqueFd status_;       ///< until the launch is decided
    std::optional<LaunchFailure> failure_;
    bool is_adopted_ = false;
    MonotonicTime waits_for_exit_ = MonotonicTime::never(); ///< of an adopted one: until then
    EventSource death_;
    EventSource leader_death_;
    EventSource launch_;
};

/// Reaps children that nobody waits for (orphans that came to us as subreaper or PID 1), but none that
/// `is_ours`. Returns false when it stopped before one of ours, whose death is to be seen first, or when
/// there were many: call it again after what else there is to do.
[[nodiscard]] bool reap_orphans(std::function<bool(pid_t)> const& is_ours);

} // namespace holdfast
