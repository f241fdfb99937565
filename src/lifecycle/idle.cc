// SPDX-License-Identifier: Apache-2.0
// A lazy unit that nobody has asked anything of for a while ends, and traffic starts it again. Who looks at
// its listeners says since when nobody is there; they are watched for traffic before anybody is told to go.
#include "lifecycle/unit_step.h"

namespace holdfast::lifecycle {

void UnitStep::on(IdleBegan const&) {
    if (may_idle(state_) && state_.idle_since == MonotonicTime::never())
        state_.idle_since = now_;
}

void UnitStep::on(IdleEnded const&) {
    state_.idle_since = MonotonicTime::never();
}

/// Whatever else is under way, it counts anew after that.
void UnitStep::note_idle() {
    if (!may_idle(state_))
        state_.idle_since = MonotonicTime::never();
}

/// It has done its work: starts before now were no failures.
void UnitStep::stop_when_idle() {
    if (state_.idle_since == MonotonicTime::never() || !may_idle(state_))
        return;
    auto& serving = the(Role::Serving);
    if (now_ < state_.idle_since + serving.policy.idle_stop)
        return;
    std::erase_if(state_.automatic_starts,
                  [](AutomaticStart const& start) { return start.slot != by_traffic; });
    state_.quick_ends = 0;
    report({.happening = Happening::IdleStopped, .generation = serving.id});
    state_.listening = true;
    retire(serving, no_generation);
}

} // namespace holdfast::lifecycle
