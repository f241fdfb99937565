// SPDX-License-Identifier: Apache-2.0
// Units, sockets, events and plans in the shapes of io.holdfast.Manager.varlink. Looks at everything, changes
// nothing.
#pragma once

#include "supervisor/supervisor.h"

#include <nlohmann/json.hpp>

namespace holdfast::view {

[[nodiscard]] nlohmann::json of(Event const& event);
[[nodiscard]] nlohmann::json of(RolloutReport const& report);
[[nodiscard]] nlohmann::json of(Diagnostic const& diagnostic);
[[nodiscard]] nlohmann::json of(std::vector<Diagnostic> const& diagnostics);
[[nodiscard]] nlohmann::json of(UnitStep const& step);
[[nodiscard]] nlohmann::json of(WishResult const& result);
/// `full`: with what must be asked of the kernel (queues, memory, CPU).
[[nodiscard]] nlohmann::json unit(UnitRunner const& unit, Supervisor& supervisor, bool full);
[[nodiscard]] nlohmann::json bad_unit(std::string const& name, std::vector<Diagnostic> const& diagnostics);
[[nodiscard]] nlohmann::json sockets(UnitRunner const& unit);

} // namespace holdfast::view
