// SPDX-License-Identifier: Apache-2.0
// A unit that is paused: its workers go, clients wait in the queues, and nobody comes until it is resumed.
#include "lifecycle/unit_step.h"

namespace holdfast::lifecycle {

void UnitStep::on(PauseWished const& wish) {
    if (state_.goal == Goal::Down)
        return;
    Pause const pause{.is_owed = true, .until = now_ + wish.time};
    Report const pausing{
        .happening = Happening::Pausing, .generation = state_.last_generation, .until = pause.until};
    if (state_.pause) {
        ++changes_;
        state_.pause = pause;
        return report(pausing);
    }
    reset_counters();
    end_what_waits();
    state_.pause = pause;
    report(pausing);
    for (auto& generation : state_.generations)
        retire(generation, no_generation);
}

/// Rollouts end here, as by a stop: what is wished then is what a resume starts. Whoever waits for something
/// else is told that it does not come.
void UnitStep::end_what_waits() {
    stop_rollouts(Cause::Paused);
    state_.listening = false;
    state_.next.reset();
    state_.refills.clear();
    Report const why{.generation = state_.last_generation, .cause = Cause::Paused};
    tell_that_it_failed(why);
    if (!state_.reload)
        return;
    state_.reload->rollout = no_generation; // it was stopped just now
    if (state_.reload->is_wished)
        fail_reload(why);
    state_.reload.reset();
}

void UnitStep::on(ResumeWished const&) {
    if (state_.goal == Goal::Up)
        on(StartWished{});
}

void UnitStep::on(QueueNearlyFull const&) {
    if (state_.pause)
        resume_by_itself(Cause::QueueNearlyFull);
}

void UnitStep::end_pause(Cause cause) {
    if (!state_.pause)
        return;
    state_.pause.reset();
    report({.happening = Happening::Resumed, .generation = state_.last_generation, .cause = cause});
}

void UnitStep::resume_by_itself(Cause cause) {
    end_pause(cause);
    start_from_nothing(false);
}

/// Whoever waits for it may replace files now: nothing that was started from them runs.
void UnitStep::answer_pause() {
    if (!state_.pause || !state_.pause->is_owed || !state_.workers.empty())
        return;
    state_.pause->is_owed = false;
    report(
        {.happening = Happening::Paused, .generation = state_.last_generation, .until = state_.pause->until});
}

} // namespace holdfast::lifecycle
