// SPDX-License-Identifier: Apache-2.0
// All that was saved of a unit as one text, read. What cannot be read is left out; what is missing then is
// rebuilt by who adopts the unit.
#pragma once

#include "lifecycle/fact.h"
#include "lifecycle/order.h"
#include "lifecycle/state.h"
#include "lifecycle/trace.h"
#include "supervisor/saved_unit.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast {

struct SavedText {
    SavedUnit unit;                            ///< as new: it cannot be read, or is of another version
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

    [[nodiscard]] SavedWorker const* find(lifecycle::WorkerId worker) const;
    /// Of the worker that a descriptor is kept for: `numbers` are those in its name (three at least), `main`
    /// its process, -1 when that has been reaped. The text may be older than the descriptor: then what can be
    /// known without it; with `spec` where none is named.
    [[nodiscard]] SavedWorker worker_of(std::vector<std::uint32_t> const& numbers, pid_t main,
                                        lifecycle::SpecId spec) const;
};
[[nodiscard]] SavedText read_saved(std::string_view text);

} // namespace holdfast
