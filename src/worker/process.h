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

class WorkerProcess;

/// Told of what happens to a worker. It may destroy the worker only in the two calls that say so.
class WorkerObserver {
public:
    virtual void worker_executed(WorkerProcess& worker) = 0;
    /// The main process has ended and is not yet reaped, so that what it said last can still be traced to it:
    /// to be heard now. Where that names another main process (change_main), no death is told.
    virtual void worker_is_ending(WorkerProcess& worker) = 0;
    /// The program was never executed, and the process is reaped. The worker may be destroyed.
    virtual void worker_not_launched(WorkerProcess& worker, LaunchFailure failure) = 0;
    /// The process is reaped. The worker may be destroyed.
    virtual void worker_died(WorkerProcess& worker, ExitStatus status) = 0;

protected:
    ~WorkerObserver() = default;
};

class WorkerProcess {
public:
    /// Takes over a process that fork_worker() made. `id` is the observer's, opaque here. A process that
    /// cannot be watched is killed, and told as not launched from the loop.
    WorkerProcess(EventLoop& loop, WorkerObserver& observer, std::uint32_t id, Launched launched);
    WorkerProcess(WorkerProcess const&) = delete;
    WorkerProcess& operator=(WorkerProcess const&) = delete;

    [[nodiscard]] std::uint32_t id() const { return id_; }
    /// The process that signals go to: the one we made, or what MAINPID= named.
    [[nodiscard]] pid_t pid() const { return main_; }
    /// The leader of its session and process group.
    [[nodiscard]] pid_t leader() const { return leader_; }

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
    EventSource death_;
    EventSource leader_death_;
    EventSource launch_;
};

/// Reaps children that nobody waits for (orphans that came to us as subreaper or PID 1), but none that
/// `is_ours`. Returns false when it stopped before one of ours, whose death is to be seen first: call it
/// again after that.
[[nodiscard]] bool reap_orphans(std::function<bool(pid_t)> const& is_ours);

} // namespace holdfast
