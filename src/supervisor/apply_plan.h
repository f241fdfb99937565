// SPDX-License-Identifier: Apache-2.0
// What an apply would do: the units that are, against the unit files as they are read now. Pure: computed
// before anything is touched, so that `holdfast plan` shows exactly what `holdfast apply` does.
#pragma once

#include "base/enum_names.h"
#include "socket/plan.h"
#include "unit/load.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

enum class UnitAction { Keep, Add, Remove, Restart, Update, Bad };
constexpr auto enum_table(UnitAction) {
    return std::array{EnumName{UnitAction::Keep, "keep"},     EnumName{UnitAction::Add, "add"},
                      EnumName{UnitAction::Remove, "remove"}, EnumName{UnitAction::Restart, "restart"},
                      EnumName{UnitAction::Update, "update"}, EnumName{UnitAction::Bad, "bad"}};
}

struct UnitStep {
    std::string unit;
    UnitAction action{};
    std::vector<std::string> why; ///< what differs: "service.timeout_stop: \"30s\" -> \"10s\""
    std::vector<ListenerStep> listeners;
    std::vector<Diagnostic> diagnostics;
    UnitSpecPtr spec; ///< the new one; null for Remove and Bad
    // What came of it, once it is applied; nothing for Keep and Bad.
    std::optional<bool> ok;
    std::string message;
};

struct ApplyPlan {
    std::vector<UnitStep> steps; ///< by name
    std::vector<Diagnostic> folder_errors;
    std::vector<Diagnostic> warnings; ///< of good units and of folders; they stop nothing
    [[nodiscard]] bool is_complete() const;
};

/// A unit that is and has no file of its own (of `holdfast run`) is passed over: its file cannot be gone.
/// The step of one unit that is and stays.
[[nodiscard]] UnitStep plan_change(UnitSpecPtr const& now, UnitSpecPtr const& wanted);

/// Finds the listeners that one unit loses and another one gains, and those that are in the way of a new one
/// and go: says so in the steps. Called once, when all steps are known.
void link_listeners(ApplyPlan& plan);

[[nodiscard]] ApplyPlan plan_apply(std::map<std::string, UnitSpecPtr> const& now, LoadedUnits const& files);

} // namespace holdfast
