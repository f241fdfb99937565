// SPDX-License-Identifier: Apache-2.0
// The supervisor dies at every place of a step, before the first of its orders and after each. What its
// successor makes of it must be what would have been without the death.
#pragma once

#include "lifecycle/resume.h"
#include "sim/history.h"

#include <functional>

namespace holdfast::sim {

/// resume(), or a mutant of it.
using Resume = Resumed (*)(UnitState const&, std::vector<FoundWorker> const&);
using Enact = std::function<void(Kernel&, Orders const&)>;

/// Complains where, after a death at any place of this step, the successor's kernel is not `scene.after`. By
/// induction everything that comes is then as without it.
void check_deaths(Scene const& scene, Resume resume, Enact const& enact, Complaints& complaints);

/// What the supervisor alone had: its timers and watches.
void forget_what_died(Kernel& kernel);
/// What its successor finds.
[[nodiscard]] std::vector<FoundWorker> found_in(Kernel const& kernel);

} // namespace holdfast::sim
