// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder share: workers that are watched until they end, and
// parents in a state that a test program itself cannot be in.
#pragma once

#include "catch.h"
#include "support/child.h"
#include "support/temp_folder.h"
#include "support/turning.h"
#include "worker/process.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::test {

/// A file of that name, open and close-on-exec.
[[nodiscard]] UniqueFd open_new(std::string const& path);

/// /bin/sh with a script, its output in a file.
[[nodiscard]] LaunchPlan shell(std::string const& script, std::string const& output);
/// A program without a shell around it, its output in a file.
[[nodiscard]] LaunchPlan program(std::vector<std::string> arguments, std::string const& output);

/// What a process that ran this script was given.
inline constexpr char const* show_script = "echo pid $$; ls -l /proc/$$/fd; cat /proc/$$/status; "
                                           "tr '\\0' '\\n' < /proc/$$/environ; pwd; umask; ulimit -n";
/// Of the output of show_script: descriptor -> what it refers to.
[[nodiscard]] std::map<int, std::string> shown_descriptors(std::string const& output);
/// Of the output of show_script (or of /proc/PID/status): the rest of the line that begins so, or "none".
[[nodiscard]] std::string shown(std::string const& output, std::string const& beginning);

/// Runs workers on a loop and remembers what is told of them.
class Watched final : public WorkerObserver, public Turning {
public:
    ~Watched();
    WorkerProcess& start(LaunchPlan const& plan);
    /// Starts it and waits for its end; its output.
    std::string run(LaunchPlan const& plan);

    bool until_over() {
        return until([this] { return deaths > 0 || failure.has_value(); });
    }

    std::unique_ptr<WorkerProcess> worker;
    int executions = 0;
    int deaths = 0;
    ExitStatus exit;
    std::optional<LaunchFailure> failure;
    std::function<void(WorkerProcess&)> hear_last_words;

private:
    void worker_executed(WorkerProcess&) override { ++executions; }
    void worker_is_ending(WorkerProcess& ending) override {
        if (hear_last_words)
            hear_last_words(ending);
    }
    void worker_not_launched(WorkerProcess&, LaunchFailure why) override {
        failure = why;
        worker.reset();
    }
    void worker_died(WorkerProcess&, ExitStatus status) override {
        ++deaths;
        exit = status;
        worker.reset();
    }
};

/// For in_child: forks the worker and waits for its end; "" or why it was not launched, in words.
[[nodiscard]] std::string launch_and_wait(LaunchPlan const& plan);

/// What waitpid(2) says of a child at once: "running", "exit N", "signal N", or "no child".
[[nodiscard]] std::string look_at_child(pid_t pid);
/// SIGPIPE is ignored from the very beginning, as in a supervisor that was started so.
extern bool const ignores_broken_pipes;
/// Processes that our children leave behind come to us.
void become_reaper();

} // namespace holdfast::test
