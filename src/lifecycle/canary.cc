// SPDX-License-Identifier: Apache-2.0
// A canary: the incoming generation gets a growing part of the new connections, step by step, before it takes
// over. The old one keeps all of its workers meanwhile, so that giving everything back takes nothing but
// sending the canary away.
#include "lifecycle/sharing.h"
#include "lifecycle/unit_step.h"

#include <algorithm>

namespace holdfast::lifecycle {

/// Opens the slots of the step that comes next; when all of them are ready the step has begun, and is held. A
/// pool that grows meanwhile may give it more slots.
void UnitStep::advance_canary() {
    auto const* const incoming = find(Role::Incoming);
    if (incoming == nullptr || !state_.rollout || state_.rollout->strategy != Strategy::Canary ||
        state_.rollout->is_paused)
        return;
    auto& rollout = *state_.rollout;
    auto const id = incoming->id;
    auto const open =
        canary_slots(rollout.aim, slots_of(incoming->policy), slots_of(the(Role::Serving).policy));
    bool const is_held = rollout.share == rollout.aim;
    auto const has = std::ranges::count_if(
        state_.workers, [&](Worker const& worker) { return worker.generation == id && !worker.dismissed; });
    if (is_held && has >= open)
        return;
    std::uint16_t ready = 0;
    for (std::uint16_t number = 0; number < open; ++number) {
        if (is_open(the(id), Slot{number})) {
            spawn(the(id), Slot{number}, 0);
            continue;
        }
        ready += std::ranges::any_of(state_.workers, [&](Worker const& worker) {
            return worker.generation == id && worker.slot == Slot{number} && is_well(worker);
        });
    }
    if (is_held || rollout.aim >= all_percent || ready < open)
        return;
    rollout.share = rollout.aim;
    rollout.stage = RolloutStage::Canary;
    rollout.until = now_ + the(id).policy.hold;
    report({.happening = Happening::CanaryStep,
            .generation = id,
            .until = rollout.until,
            .share = rollout.share});
}

void UnitStep::end_hold() {
    if (!state_.rollout || state_.rollout->stage != RolloutStage::Canary || now_ < state_.rollout->until)
        return;
    auto& rollout = *state_.rollout;
    rollout.until = MonotonicTime::never();
    rollout.aim = next_step(the(rollout.id).policy, rollout.share);
}

} // namespace holdfast::lifecycle
