// SPDX-License-Identifier: Apache-2.0
// A command that is run for a worker (a probe, a reload), started and watched as a worker is, and ended with
// it. Nothing here waits; who asked is told of its end once, from the loop.
#pragma once

#include "base/result.h"
#include "event/loop.h"
#include "worker/process.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

namespace holdfast {

/// A command under way: destroying it kills its process group, whose leader is for the reaper of orphans to
/// bury.
class Command final : private WorkerObserver {
public:
    /// `why` it failed, in words: "/bin/check: exit code 1"; empty: it ended with status 0. The command may
    /// be destroyed in it.
    using Ended = std::function<void(std::string why)>;
    /// `children`: where its process is kept as one of ours while it runs; must outlive it. Errors: those of
    /// fork_worker().
    [[nodiscard]] static Result<std::unique_ptr<Command>>
    run(EventLoop& loop, LaunchPlan plan, std::unordered_set<pid_t>& children, Ended ended);
    /// Goes on with one that was run by another supervisor of ours: `program` is what it is called in words,
    /// `exit_of` knows how a process ended that is nobody's child.
    using ExitOf = std::function<std::optional<ExitStatus>(pid_t)>;
    [[nodiscard]] static std::unique_ptr<Command> adopt(EventLoop& loop, std::string program,
                                                        AdoptedProcess process,
                                                        std::unordered_set<pid_t>& children, ExitOf exit_of,
                                                        Ended ended);
    ~Command();

    /// What another supervisor would need to adopt it.
    [[nodiscard]] WorkerProcess const& process() const { return process_; }
    /// Of a plan that is gated, once: it runs when that is opened.
    [[nodiscard]] UniqueFd take_gate() { return std::move(gate_); }
    /// It waited at its gate when the supervisor before us died, and has ended there.
    [[nodiscard]] bool was_never_run() const { return was_never_run_; }

private:
    Command(EventLoop& loop, LaunchPlan plan, Launched launched, std::unordered_set<pid_t>& children,
            Ended ended);
    Command(EventLoop& loop, std::string program, AdoptedProcess process, std::unordered_set<pid_t>& children,
            ExitOf exit_of, Ended ended);
    void worker_executed(WorkerProcess&) override {}
    void worker_is_ending(WorkerProcess&) override {}
    void worker_not_launched(WorkerProcess&, LaunchFailure failure) override;
    void worker_died(WorkerProcess&, ExitStatus status) override;
    std::optional<ExitStatus> exit_of(pid_t pid) override;
    void end(std::string why);

    LaunchPlan plan_;
    std::unordered_set<pid_t>& children_;
    Ended ended_;
    ExitOf exit_of_;
    UniqueFd gate_;
    bool is_over_ = false;
    bool was_never_run_ = false;
    WorkerProcess process_;
};

} // namespace holdfast
