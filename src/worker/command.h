// SPDX-License-Identifier: Apache-2.0
// A command that is run for a worker (a probe, a reload), started and watched as a worker is, and ended with
// it. Nothing here waits; who asked is told of its end once, from the loop.
#pragma once

#include "base/result.h"
#include "event/loop.h"
#include "worker/process.h"

#include <functional>
#include <memory>
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
    ~Command();

private:
    Command(EventLoop& loop, LaunchPlan plan, Launched launched, std::unordered_set<pid_t>& children,
            Ended ended);
    void worker_executed(WorkerProcess&) override {}
    void worker_is_ending(WorkerProcess&) override {}
    void worker_not_launched(WorkerProcess&, LaunchFailure failure) override;
    void worker_died(WorkerProcess&, ExitStatus status) override;
    void end(std::string why);

    LaunchPlan plan_;
    std::unordered_set<pid_t>& children_;
    Ended ended_;
    bool is_over_ = false;
    WorkerProcess process_;
};

} // namespace holdfast
