// SPDX-License-Identifier: Apache-2.0
// What all units of one supervisor share. Owned by the Supervisor; outlives every unit.
#pragma once

#include "base/ration.h"
#include "event/loop.h"
#include "socket/passed.h"
#include "supervisor/alarms.h"
#include "supervisor/arrival_watch.h"
#include "supervisor/event_log.h"
#include "supervisor/hangup_watch.h"
#include "supervisor/leaders.h"
#include "supervisor/remains.h"
#include "unit/daemon_spec.h"
#include "worker/exec_context.h"
#include "worker/notify_socket.h"

#include <unordered_map>
#include <unordered_set>

namespace holdfast {

class Keeping;
class UnitRunner;

struct Shared {
    EventLoop& loop;
    EventLog events;
    Surroundings around;
    Alarms alarms;
    std::unique_ptr<Keeping> keeping{}; ///< null: nothing outlives us
    /// Told of a unit whose sockets are other ones now, where that is kept.
    std::function<void(std::uint32_t unit)> sockets_changed{};
    /// Some are about to be closed: that is to be known before.
    std::function<void(std::uint32_t unit)> save_sockets{};
    Passed passed{}; ///< sockets that units may use and that are not ours
    std::unique_ptr<NotifySocket> notify{};
    std::unique_ptr<HangupWatch> hangups{};                 ///< always there once the supervisor is made
    std::unique_ptr<ArrivalWatch> arrivals{};               ///< the same
    std::unique_ptr<Remains> remains{};                     ///< the same; null again when we end
    std::unordered_map<std::uint32_t, UnitRunner*> units{}; ///< by number; a number is never used again
    Leaders leaders{};
    std::unordered_set<pid_t> other_mains{}; ///< main processes (MAINPID=) that are no leader
    Ration counting{std::chrono::milliseconds{100}, std::chrono::seconds{1}}; ///< of open connections
    std::size_t instances = 0;                            ///< that live, of all units with `accept`
    std::size_t most_instances = most_connections_of_all; ///< beyond it nobody is accepted
    unsigned sampled_units = 0; ///< whose queues are sampled: a rollout is under way, it is
                                ///< paused, or its load counts (least_loaded)
    unsigned idle_watches = 0;  ///< units that are to end when nobody is there
};

} // namespace holdfast
