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

std::unique_ptr<Command> Command::adopt(EventLoop& loop, std::string program, AdoptedProcess process,
                                        std::unordered_set<pid_t>& children, ExitOf exit_of, Ended ended) {
    return std::unique_ptr<Command>{new Command{loop, std::move(program), std::move(process), children,
                                                std::move(exit_of), std::move(ended)}};
}

Command::Command(EventLoop& loop, LaunchPlan plan, Launched launched, std::unordered_set<pid_t>& children,
                 Ended ended)
    : plan_{std::move(plan)}, children_{children}, ended_{std::move(ended)}, gate_{std::move(launched.gate)},
      process_{loop, *this, 0, std::move(launched)} {
    children_.insert(process_.leader());
}

Command::Command(EventLoop& loop, std::string program, AdoptedProcess process,
                 std::unordered_set<pid_t>& children, ExitOf exit_of, Ended ended)
    : children_{children}, ended_{std::move(ended)}, exit_of_{std::move(exit_of)}, process_{
                                                                                       loop, *this, 0,
                                                                                       std::move(process)} {
    plan_.arguments.push_back(std::move(program));
    children_.insert(process_.leader());
}

Command::~Command() {
    if (!is_over_)
        process_.kill_group();
    children_.erase(process_.leader());
}

void Command::worker_not_launched(WorkerProcess&, LaunchFailure failure) {
    was_never_run_ = failure.stage == LaunchStage::Gate && process_.is_adopted();
    end(to_string(to_error(failure, plan_)));
}

void Command::worker_died(WorkerProcess&, ExitStatus status) {
    bool const is_well = status.is_known && status.signal == 0 && status.code == 0;
    end(is_well ? std::string{} : plan_.arguments.front() + ": " + to_string(status));
}

std::optional<ExitStatus> Command::exit_of(pid_t pid) {
    return exit_of_ ? exit_of_(pid) : std::nullopt;
}

void Command::end(std::string why) {
    is_over_ = true;
    auto const ended = std::move(ended_);
    ended(std::move(why));
}

} // namespace holdfast
