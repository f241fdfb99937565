// SPDX-License-Identifier: Apache-2.0
// The way back that the operator wishes: a rollout that is under way is undone by the core; one that has
// ended, by a rollout of what ran before it.
#include "supervisor/unit_runner.h"

#include <iterator>

namespace holdfast {

using namespace lifecycle;

void UnitRunner::undo(WishAnswer answer) {
    shared_.loop.set_owner(number_);
    if (is_broken_ || is_leaving_)
        return answer({false, is_broken_ ? trouble_ : "it is being removed", std::nullopt});
    underway().waiting.push_back({WishKind::Undo, std::move(answer)});
    happen(UndoWished{});
}

/// The undo is taken in this moment: whoever waits for it waits for the end of the rollout that it undoes. If
/// there is none, the way back is a change of the spec, with rules of its own: a matter of the next turn.
void UnitRunner::take_undo() {
    if (auto* const record = underway().rollouts.find(rollout_to_undo(state_))) {
        auto waiting = take_waiting(WishKind::Undo);
        std::move(waiting.begin(), waiting.end(), std::back_inserter(record->undoers));
        return;
    }
    shared_.loop.post([shared = &shared_, number = number_] {
        if (auto const found = shared->units.find(number); found != shared->units.end())
            found->second->go_back();
    });
}

void UnitRunner::go_back() {
    shared_.loop.set_owner(number_);
    auto waiting = take_waiting(WishKind::Undo);
    if (waiting.empty())
        return;
    auto const answer = [waiting = std::move(waiting)](WishResult const& result) {
        for (auto const& each : waiting)
            each(result);
    };
    auto const* const before = release_before();
    if (state_.generations.empty() || !is_wanted_up())
        return answer({false, "it does not run: there is nothing to undo", std::nullopt});
    if (before == nullptr)
        return answer({false, "there is no earlier release to go back to", std::nullopt});
    auto const release = *before;
    auto const others = underway().waiting.size();
    shared_.events.say(Weight::Normal, "going-back", wanted_->name, "goes back to the release before");
    if (release.spec == wanted_)
        restart(std::nullopt, answer);
    else
        change(release.spec, true, answer);
    if (underway().waiting.size() > others) // it was not refused
        underway().waiting.back().program = release.program;
}

/// What ran before that which serves, or is to serve.
Release const* UnitRunner::release_before() {
    for (auto const& generation : state_.generations)
        if (generation.role == Role::Serving && underway_)
            if (auto const* const record = underway_->rollouts.find(generation.id);
                record != nullptr && record->previous.spec)
                return &record->previous;
    return former_.get();
}

/// A rollout has put its generation in the place of another: that is the one to go back to.
void UnitRunner::keep_former(RolloutRecord const& record) {
    if (record.previous.spec)
        former_ = std::make_unique<Release>(record.previous);
}

} // namespace holdfast
