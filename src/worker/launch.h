// SPDX-License-Identifier: Apache-2.0
// From a prepared LaunchPlan to a running program: a child that shares our memory until execve(2) (see
// launch_room.h) and makes nothing but system calls until then (launch_child.h). Every string and array is
// prepared before. A step that fails is sent back as {stage, errno} over a close-on-exec pipe, so that the
// operator hears which step failed, and end-of-file on that pipe means "executed".
#pragma once

#include "base/enum_names.h"
#include "base/fd.h"
#include "base/result.h"
#include "handoff/fd_batch.h"
#include "unit/spec.h"
#include "worker/identity.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast {

/// The steps of a launch that may fail, in their order: in the child, and last the parent's own.
enum class LaunchStage : unsigned char {
    Session,
    Signals,
    Input,
    Output,
    Descriptors,
    Limits,
    Groups,
    Group,
    User,
    WorkingDirectory,
    Execute,
    Watch,
    Gate, ///< before all of them: the supervisor died before it let the child go on
};
constexpr auto enum_table(LaunchStage) {
    return std::array{
        EnumName{LaunchStage::Session, "make a session of its own (setsid)"},
        EnumName{LaunchStage::Signals, "reset its signals"},
        EnumName{LaunchStage::Input, "open /dev/null as its input"},
        EnumName{LaunchStage::Output, "open its output"},
        EnumName{LaunchStage::Descriptors, "hand over its descriptors"},
        EnumName{LaunchStage::Limits, "set its resource limits"},
        EnumName{LaunchStage::Groups, "set its supplementary groups"},
        EnumName{LaunchStage::Group, "change to its group"},
        EnumName{LaunchStage::User, "change to its user"},
        EnumName{LaunchStage::WorkingDirectory, "change to its working directory"},
        EnumName{LaunchStage::Execute, "execute"},
        EnumName{LaunchStage::Watch, "watch its process"},
        EnumName{LaunchStage::Gate, "be let go by its supervisor"},
    };
}

struct LaunchFailure {
    LaunchStage stage{};
    int code = 0; ///< errno value
};

/// Where a worker's standard output and error go. Opened by the worker's own process, so that a full disk is
/// in nobody else's way. Without a journal that answers at once, its output is let through.
struct Output {
    enum class Kind { Through, File, Journal };
    Kind kind = Kind::Through;
    std::string path;       ///< File: opened for appending, mode 0640; a regular file, and no link
    std::string identifier; ///< Journal: SYSLOG_IDENTIFIER
    /// Journal: the unit of systemd whose line it is where the journal cannot ask: the process has ended.
    std::string unit;
};

struct LaunchPlan {
    char const* setting = "exec_start"; ///< that names the program
    std::vector<std::string> programs;  ///< absolute paths to try in turn, as execvp(3) does
    FdRef pinned;                       ///< if open: executed instead of them; see PinnedProgram
    std::vector<std::string> arguments; ///< argv, with argv[0]
    std::vector<std::string> environment;
    std::vector<NamedFd> listeners;   ///< become 3, 4, … in this order
    bool announces_listeners = false; ///< by LISTEN_FDS and its companions
    bool announces_watchdog = false;  ///< by WATCHDOG_PID; WATCHDOG_USEC is in the environment
    std::vector<FdRef> others;        ///< follow the listeners
    FdRef connection;                 ///< if open: becomes standard input and output, over `output`
    FdRef null;                       ///< open_null(), for standard input; none: the child opens its own
    Output output;
    std::string working_directory; ///< empty: stay
    std::optional<mode_t> umask;
    std::vector<LimitSpec> limits;
    std::optional<Identity> identity;
    std::shared_ptr<UniqueFd const> cgroup; ///< the folder of that which it is to be in; null: ours
    /// It waits before it does anything until open_gate(); if we end before that, it ends too.
    bool is_gated = false;
};

/// /dev/null to read from. Opened once for all workers: finding it takes each of them 6 us. None where it
/// cannot be had; then the child of a plan without it says so.
[[nodiscard]] UniqueFd open_null();

/// A process that exists and may or may not have been executed yet.
struct Launched {
    pid_t pid = 0;
    UniqueFd pidfd;
    UniqueFd status; ///< non-blocking; see read_launch_status()
    UniqueFd gate{}; ///< open where it waits; closed without open_gate(), it never becomes a worker
    /// It was not born in its cgroup, as clone3(2) refused that: it tries to go there itself, and works
    /// elsewhere where it may not.
    bool moves_itself = false;
};

/// The process goes on to its program.
void open_gate(UniqueFd gate);

/// Makes the process; returns at once, without waiting for the execve. Errors: those of pipe2(2) and
/// clone(2). By one thread alone.
[[nodiscard]] Result<Launched> fork_worker(LaunchPlan plan);

/// What the pipe says by now.
struct LaunchStatus {
    enum class State { Pending, Executed, Failed };
    State state = State::Pending;
    LaunchFailure failure;
};
[[nodiscard]] LaunchStatus read_launch_status(FdRef status);

/// "cannot execute /usr/bin/app: No such file or directory; …what to do".
[[nodiscard]] Error to_error(LaunchFailure failure, LaunchPlan const& plan);

/// The absolute paths at which `program` may be: itself, or below each folder of the default PATH for a bare
/// name.
[[nodiscard]] std::vector<std::string> program_candidates(std::string const& program,
                                                          std::string_view search_path);
inline constexpr std::string_view default_search_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

} // namespace holdfast
