// SPDX-License-Identifier: Apache-2.0
// What the supervisor keeps of each worker process: its place, and what listens to it, speaks to it and
// watches over it. Made and ended by its UnitRunner; decides nothing.
#pragma once

#include "lifecycle/order.h"
#include "supervisor/watchdog.h"
#include "worker/command.h"
#include "worker/handoff_port.h"
#include "worker/probe.h"
#include "worker/process.h"

#include <memory>
#include <string>

namespace holdfast {

struct SavedWorker;

/// A reload that a worker was asked for.
struct Reloading {
    std::unique_ptr<Command> command; ///< exec_reload, while it runs
    MonotonicTime asked_at = MonotonicTime::never();
    bool has_begun = false;    ///< it has said RELOADING=1 since
    bool awaits_probe = false; ///< it is done, and has to show that it is well
    EventSource settles;       ///< nothing says that it is done; it has to live on for a moment
};

/// A worker process and what belongs to it.
struct RunningWorker {
    RunningWorker(EventLoop& loop, WorkerObserver& observer, lifecycle::Spawn const& order, Shard place,
                  UnitSpecPtr used, Launched launched)
        : generation{order.generation}, slot{order.slot}, shard{place}, spec{std::move(used)},
          moves_itself{launched.moves_itself}, watchdog{spec->service.watchdog},
          process{loop, observer, static_cast<std::uint32_t>(order.worker), std::move(launched)} {}

    /// One that another supervisor of ours has started.
    RunningWorker(EventLoop& loop, WorkerObserver& observer, lifecycle::Spawn const& order, Shard place,
                  UnitSpecPtr used, AdoptedProcess adopted)
        : generation{order.generation}, slot{order.slot}, shard{place}, spec{std::move(used)},
          watchdog{spec->service.watchdog}, process{loop, observer, static_cast<std::uint32_t>(order.worker),
                                                    std::move(adopted)} {}

    lifecycle::GenerationId generation;
    lifecycle::Slot slot;
    Shard shard; ///< of `reuse_port` sockets: from which it accepts, maybe another slot's
                 ///< (ShardCustody::place_of)
    UnitSpecPtr spec;
    bool moves_itself = false; ///< into its cgroup, where it may (Launched)
    std::string status;        ///< what it said last by STATUS=
    Watchdog watchdog;
    std::unique_ptr<HandoffPort> handoff;
    std::unique_ptr<Reloading> reloading;
    unsigned reload_signals = 0;    ///< that the keeper was told to send
    std::unique_ptr<Prober> prober; ///< of a unit with [health]
    EventSource dump_grace;         ///< it dumps core; a small one is waited for
    MonotonicTime dumps_since = MonotonicTime::never();
    WorkerProcess process;
};

/// What it cost that nobody told us of the dump of a worker that has ended: "; its place was empty for …", or
/// nothing where there was none, or that cannot be known.
[[nodiscard]] std::string dump_cost(RunningWorker const& worker, ExitStatus status);
/// What comes before how it ended: it missed its watchdog, or nothing.
[[nodiscard]] inline char const* missed_text(RunningWorker const& worker) {
    return worker.watchdog.is_missed() ? "did not say WATCHDOG=1 in time, and was " : "";
}

} // namespace holdfast
