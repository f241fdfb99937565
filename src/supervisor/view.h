// SPDX-License-Identifier: Apache-2.0
// Units, sockets, events and plans in the shapes of io.holdfast.Manager.varlink. Looks at everything, changes
// nothing.
#pragma once

#include "socket/queue_snapshot.h"
#include "supervisor/supervisor.h"

#include <string_view>
#include <unordered_map>

#include <nlohmann/json.hpp>

namespace holdfast::view {

[[nodiscard]] nlohmann::json of(Event const& event);
[[nodiscard]] nlohmann::json of(RolloutReport const& report);
/// What a picture of it is drawn from; null where that is forgotten.
[[nodiscard]] nlohmann::json of(PastRollout const& past);
[[nodiscard]] nlohmann::json of(Diagnostic const& diagnostic);
[[nodiscard]] nlohmann::json of(std::vector<Diagnostic> const& diagnostics);
[[nodiscard]] nlohmann::json of(UnitStep const& step);
[[nodiscard]] nlohmann::json of(WishResult const& result);
/// What an answer about many units asks for once, not unit by unit. Of one moment: made for one answer.
struct Look {
    explicit Look(Supervisor const& supervisor);
    Supervisor const& supervisor;
    QueueSnapshot queues;
    std::unordered_map<std::string_view, std::string_view> last_events; ///< the text, by unit
};
/// `full`: with what must be asked of the kernel worker by worker (memory, CPU).
[[nodiscard]] nlohmann::json unit(UnitRunner const& unit, Look& look, bool full);
[[nodiscard]] nlohmann::json bad_unit(std::string const& name, std::vector<Diagnostic> const& diagnostics);
[[nodiscard]] nlohmann::json sockets(UnitRunner const& unit, Look& look);
/// Null where the unit has no `accept`; `full`: with the instances themselves.
[[nodiscard]] nlohmann::json connections(UnitRunner const& unit, Look const& look, bool full);
/// One with `accept` is active while anybody is served, and stopping while the last are.
[[nodiscard]] std::string state_name(UnitRunner const& unit);
/// Since when that is its state.
[[nodiscard]] MonotonicTime state_since(UnitRunner const& unit);

} // namespace holdfast::view
