// SPDX-License-Identifier: Apache-2.0
// What the operator wishes of a rollout. One that is under way is undone by the core; one that has ended, by
// a rollout of what ran before it.
#include "supervisor/on_demand.h"
#include "supervisor/unit_runner.h"
#include "supervisor/unit_words.h"

#include <iterator>
#include <ranges>

namespace holdfast {

using namespace lifecycle;

void UnitRunner::change_rollout(RolloutWish wish, WishAnswer answer) {
    shared_.loop.set_owner(number_);
    if (is_broken_ || is_leaving_)
        return answer({false, is_broken_ ? trouble_ : "it is being removed", std::nullopt});
    auto const wait = [&](WishKind kind, Fact const& fact) {
        underway().waiting.push_back({kind, std::move(answer)});
        happen(fact);
    };
    switch (wish) {
    case RolloutWish::Undo:
        return wait(WishKind::Undo, UndoWished{});
    case RolloutWish::Pause:
        return wait(WishKind::Pause, PauseRolloutWished{});
    case RolloutWish::Resume:
        return wait(WishKind::Resume, ResumeRolloutWished{});
    }
}

bool UnitRunner::answer_again(WishKind kind, MonotonicTime asked, WishAnswer const& answer) {
    auto const answer_later = [&](WishResult result) {
        shared_.loop.post([answer, result = std::move(result)] { answer(result); });
        return true;
    };
    if (kind == WishKind::PauseUnit)
        return OnDemand{*this}.answer_again(answer);
    if (kind == WishKind::Reload)
        return answer_for_reload(asked, answer);
    if (kind == WishKind::Resume) // it was resumed, or still is paused
        return underway_ && !underway_->rollouts.is_empty() && !is_paused(state_) &&
               answer_later({true, "the rollout goes on", std::nullopt});
    if (underway_)
        for (auto const& record : underway_->rollouts.records() | std::views::reverse)
            if (record.began >= asked) {
                underway_->rollouts.find(record.generation)->answers.push_back(answer);
                return true;
            }
    auto const* const last = history_ ? history_->find(std::nullopt) : nullptr;
    if (last == nullptr)
        return false;
    auto const& report = last->report;
    auto const began = MonotonicTime::now().since_boot() -
                       std::chrono::duration_cast<Duration>(std::chrono::system_clock::now() - report.began);
    bool const is_done = report.verdict == Verdict::Done;
    auto const done = "the rollout of " + to_text(GenerationId{report.generation}) + " is done";
    if (began >= asked.since_boot())
        return answer_later({is_done, is_done ? done : report.reason, report});
    // One that was under way then, and was undone.
    return kind == WishKind::Undo && report.verdict == Verdict::Failed &&
           began + report.lasted >= asked.since_boot() && answer_later({true, report.reason, report});
}

/// What a wish will mean is known before the core takes it.
void UnitRunner::take_rollout_wish(Fact const& fact) {
    auto const answer_all = [&](WishKind kind, WishResult const& result) {
        for (auto& answer : take_waiting(kind))
            shared_.loop.post([answer = std::move(answer), result] { answer(result); });
    };
    auto const name = [](GenerationId id) { return "the rollout of " + to_text(id); };
    if (std::holds_alternative<UndoWished>(fact))
        take_undo();
    else if (std::holds_alternative<PauseRolloutWished>(fact)) {
        auto const id = rollout_to_pause(state_);
        answer_all(WishKind::Pause,
                   id == no_generation ? WishResult{false, "no rollout is under way that could be paused", {}}
                                       : WishResult{true, name(id) + " is paused", {}});
    } else if (std::holds_alternative<ResumeRolloutWished>(fact))
        answer_all(WishKind::Resume, is_paused(state_)
                                         ? WishResult{true, name(rollout_to_pause(state_)) + " goes on", {}}
                                         : WishResult{false, "no rollout is paused", {}});
}

/// The undo is taken in this moment: whoever waits for it waits for the end of the rollout that it undoes. If
/// there is none, the way back is a change of the spec, with rules of its own: a matter of the next turn.
void UnitRunner::take_undo() {
    if (auto* const record = underway().rollouts.find(rollout_to_undo(state_))) {
        auto waiting = take_waiting(WishKind::Undo);
        std::move(waiting.begin(), waiting.end(), std::back_inserter(record->undoers));
        return;
    }
    shared_.loop.post(later(&UnitRunner::go_back));
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
    if (OnDemand{*this}.is_paused())
        return answer({false, "it is paused; resume it first", std::nullopt});
    if (state_.generations.empty() || !is_wanted_up())
        return answer({false, "it does not run: there is nothing to undo", std::nullopt});
    if (before == nullptr)
        return answer({false, "there is no earlier release to go back to", std::nullopt});
    auto const release = *before;
    auto const others = underway().waiting.size();
    shared_.events.say(Weight::Normal, "going-back", wanted_->name, "goes back to the release before");
    // To reload what runs brings nothing back.
    bool const is_in_place = wanted_->rollout.strategy == Strategy::InPlace;
    if (release.spec == wanted_)
        restart(is_in_place ? std::optional{Strategy::Overlap} : std::nullopt, answer);
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
