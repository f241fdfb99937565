// SPDX-License-Identifier: Apache-2.0
// What a UnitRunner holds only while something is under way.
#pragma once

#include "lifecycle/fact.h"
#include "socket/open_connections.h"
#include "supervisor/idle_watch.h"
#include "supervisor/rollout_record.h"
#include "supervisor/sampler.h"
#include "supervisor/unit_parts.h"

#include <memory>
#include <vector>

namespace holdfast {

/// There are many units, and most rest: none of it is there then.
struct Underway {
    std::vector<lifecycle::Fact> facts; ///< not yet taken by step()
    std::vector<Ending> endings;        ///< of the workers that these facts are about
    std::vector<Ending> unhealthy;      ///< why their probes failed
    std::vector<Waiting> waiting;
    RolloutRecords rollouts;
    std::unique_ptr<Sampler> sampler;      ///< of the queues, while there are such records
    std::unique_ptr<Sampler> queue_watch;  ///< while the unit is paused
    std::unique_ptr<IdleWatch> idle_watch; ///< while it is to end when nobody is there
    /// Workers that are told to go as soon as nobody waits any more in listeners that only they serve.
    std::vector<lifecycle::WorkerId> postponed_drains;
    std::unique_ptr<OpenConnections> open; ///< of one turn: many may be killed in it
};

} // namespace holdfast
