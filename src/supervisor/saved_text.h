// SPDX-License-Identifier: Apache-2.0
// All that was saved of a unit as one text, read. What cannot be read is left out; what is missing then is
// rebuilt by who adopts the unit.
#pragma once

#include "lifecycle/fact.h"
#include "lifecycle/order.h"
#include "lifecycle/state.h"
#include "lifecycle/trace.h"
#include "supervisor/saved_unit.h"

#include <optional>
#include <string_view>
#include <vector>

namespace holdfast {

struct SavedText {
    SavedUnit unit;
    std::optional<lifecycle::UnitState> state; ///< nothing: it is damaged
    std::vector<SavedWorker> workers;
    std::vector<SavedPin> pins;
    std::vector<SavedFormer> formers;
    std::vector<SavedWayBack> ways_back;
    std::vector<SavedRollout> rollouts;
    std::vector<SavedReload> reloads; ///< one, or none
    std::vector<lifecycle::Fact> queued;
    std::vector<lifecycle::Report> untold;
    std::vector<lifecycle::TraceLine> trace;
};
[[nodiscard]] SavedText read_saved(std::string_view text);

} // namespace holdfast
