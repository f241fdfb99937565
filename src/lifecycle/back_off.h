// SPDX-License-Identifier: Apache-2.0
// When is a slot filled again, and after which delay? Pure rules, those of systemd.service(5): the table of
// Restart=, and RestartSec=, RestartSteps=, RestartMaxDelaySec=.
#pragma once

#include "lifecycle/fact.h"
#include "lifecycle/policy.h"
#include "lifecycle/state.h"

namespace holdfast::lifecycle {

/// How a worker ended, in the rows of the Restart= table.
enum class Ending {
    Clean,
    UncleanCode,
    UncleanSignal, ///< core dumps too
    Timeout,       ///< it was not ready, or not gone, in time; or it ended cleanly before it was ready
    Watchdog,      ///< it did not say WATCHDOG=1 in time
};

/// `worker` is as it was before it ended, in a generation that serves.
[[nodiscard]] Ending ending_of(Worker const& worker, ExitKind kind);

[[nodiscard]] bool is_restarted(RestartWhen when, Ending ending);

/// The wait before the automatic restart number `tries` (from 0) in a row. The first is at once; from then on
/// it grows geometrically from restart_delay to restart_max_delay in restart_steps steps.
[[nodiscard]] Duration restart_delay(Policy const& policy, unsigned tries);

/// `worker` as it was before it ended. One that was ready for restart_max_delay starts its slot's count
/// again: even if it always ended after that time, it would not be restarted more often than the longest
/// delay allows.
[[nodiscard]] bool was_healthy(Worker const& worker, Policy const& policy, MonotonicTime now);

} // namespace holdfast::lifecycle
