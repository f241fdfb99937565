// SPDX-License-Identifier: Apache-2.0
// What a worker is started with: program, arguments, environment, identity, limits, descriptors, made from
// its unit's spec and its place in the pool. Everything that can be refused before the fork is refused here,
// in words.
#pragma once

#include "base/folders.h"
#include "base/result.h"
#include "handoff/fd_batch.h"
#include "unit/spec.h"
#include "worker/launch.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

/// What is the same for every worker of a supervisor.
struct Surroundings {
    RunMode mode = RunMode::System;
    std::string notify_path;
    /// Variables that every worker starts with. system: none but PATH; user, `holdfast run`: the supervisor's
    /// own.
    std::vector<std::string> environment;
    /// Limits that workers start with where their unit says nothing else: those the supervisor had before it
    /// raised its own.
    std::vector<LimitSpec> limits;
    std::shared_ptr<UniqueFd const> null = std::make_shared<UniqueFd const>(open_null());
    Output::Kind output = Output::Kind::Through;
    std::string journal_unit; ///< for Output::Kind::Journal: that the workers' lines belong to, maybe empty
    std::string log_folder;   ///< for Output::Kind::File: log_folder/UNIT.log
    /// The folder of the cgroup of a generation; null: it has none. Empty where there are none at all.
    std::function<std::shared_ptr<UniqueFd const>(std::string const& unit, std::uint32_t generation)>
        cgroup_for{};
};

struct HeldListener {
    NamedFd listener;
    std::uint16_t port = 0; ///< 0: none
    /// A worker has left it for the next ones: it comes after all others, has a name that no placeholder
    /// finds, and is there only for who is told of it by LISTEN_FDS.
    bool is_stored = false;
};

struct WorkerPlace {
    std::uint16_t slot = 0;
    std::uint32_t generation = 0;
    std::uint16_t steering_id = 0; ///< that packets name it by: HOLDFAST_STEERING_ID; 0: it has none
};

/// `handoff` is the worker's end of its hand-off socket; not open where the unit does not use scm_rights.
[[nodiscard]] Result<LaunchPlan> make_launch_plan(UnitSpec const& spec, WorkerPlace place,
                                                  std::vector<HeldListener> const& listeners, FdRef handoff,
                                                  Surroundings const& around);

/// exec_reload, for the worker at `place` whose main process is `pid` (MAINPID, as in systemd.service(5)): as
/// the worker in everything, but without its sockets and without those of its variables that name one.
[[nodiscard]] Result<LaunchPlan> make_reload_plan(UnitSpec const& spec, WorkerPlace place, int pid,
                                                  Surroundings const& around);

/// The command of [health], for the worker at `place`: in the same way.
struct ProbeTarget {
    std::uint16_t port = 0; ///< of its private listener: HOLDFAST_PROBE_ADDRESS
    int pid = 0;            ///< of its main process: HOLDFAST_PROBE_PID
};
[[nodiscard]] Result<LaunchPlan> make_probe_plan(UnitSpec const& spec, WorkerPlace place, ProbeTarget target,
                                                 Surroundings const& around);

/// The supervisor's own environment without what was meant for itself (LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*,
/// …).
[[nodiscard]] std::vector<std::string> inherited_environment();
/// The same without what the service manager says of the supervisor's own service (INVOCATION_ID,
/// RUNTIME_DIRECTORY, …): for workers that are services of their own.
[[nodiscard]] std::vector<std::string> services_environment();

[[nodiscard]] std::string log_path(Surroundings const& around, std::string const& unit);

} // namespace holdfast
