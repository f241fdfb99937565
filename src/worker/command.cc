// SPDX-License-Identifier: Apache-2.0
#include "worker/command.h"

#include <utility>

namespace holdfast {

Result<std::unique_ptr<Command>> Command::run(EventLoop& loop, LaunchPlan plan,
                                              std::unordered_set<pid_t>& children, Ended ended) {
    auto launched = fork_worker(plan);
    if (!launched)
        return std::move(launched).error();
    return std::unique_ptr<Command>{
        new Command{loop, std::move(plan), std::move(launched).value(), children, std::move(ended)}};
}

Command::Command(EventLoop& loop, LaunchPlan plan, Launched launched, std::unordered_set<pid_t>& children,
                 Ended ended)
    : plan_{std::move(plan)}, children_{children}, ended_{std::move(ended)}, process_{loop, *this, 0,
                                                                                      std::move(launched)} {
    children_.insert(process_.leader());
}

Command::~Command() {
    if (!is_over_)
        process_.kill_group();
    children_.erase(process_.leader());
}

void Command::worker_not_launched(WorkerProcess&, LaunchFailure failure) {
    end(to_string(to_error(failure, plan_)));
}

void Command::worker_died(WorkerProcess&, ExitStatus status) {
    bool const is_well = status.is_known && status.signal == 0 && status.code == 0;
    end(is_well ? std::string{} : plan_.arguments.front() + ": " + to_string(status));
}

void Command::end(std::string why) {
    is_over_ = true;
    auto const ended = std::move(ended_);
    ended(std::move(why));
}

} // namespace holdfast
