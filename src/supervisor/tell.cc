// SPDX-License-Identifier: Apache-2.0
// Reports of the lifecycle core become events, answers for those who wait, and entries of a rollout's report.
#include "supervisor/on_demand.h"
#include "supervisor/unit_runner.h"
#include "supervisor/unit_words.h"

#include <algorithm>
#include <array>

namespace holdfast {

using namespace lifecycle;

namespace {

std::uint32_t number_of(WorkerId id) {
    return static_cast<std::uint32_t>(id);
}
std::uint32_t number_of(GenerationId id) {
    return static_cast<std::uint32_t>(id);
}

/// What a happening means for the unit's last trouble, as `status` shows it.
enum class Trouble { Keeps, Begins, Ends };

/// What each happening is, besides its sentence: one row each.
struct Meaning {
    Happening happening;
    Weight weight;
    Trouble trouble;
    std::optional<Verdict> verdict; ///< of the rollout that it ends
};
constexpr std::array meanings{
    Meaning{Happening::Starting, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::Started, Weight::Normal, Trouble::Ends, {}},
    Meaning{Happening::StartFailed, Weight::Failure, Trouble::Begins, {}},
    Meaning{Happening::WorkerDied, Weight::Warning, Trouble::Begins, {}},
    Meaning{Happening::WorkerUnhealthy, Weight::Warning, Trouble::Begins, {}},
    Meaning{Happening::WorkerReady, Weight::Normal, Trouble::Ends, {}},
    Meaning{Happening::WorkerGone, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::WorkerStuck, Weight::Failure, Trouble::Begins, {}},
    Meaning{Happening::BackingOff, Weight::Warning, Trouble::Keeps, {}},
    Meaning{Happening::StartLimitHit, Weight::Failure, Trouble::Begins, {}},
    Meaning{Happening::TriggerLimitHit, Weight::Failure, Trouble::Begins, {}},
    Meaning{Happening::RolloutBegan, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::RolloutWaits, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::TookOver, Weight::Normal, Trouble::Ends, {}},
    Meaning{Happening::TookEffect, Weight::Normal, Trouble::Ends, {}},
    Meaning{Happening::Proved, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::RolloutDone, Weight::Normal, Trouble::Keeps, Verdict::Done},
    Meaning{Happening::CanaryStep, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::RolloutPaused, Weight::Warning, Trouble::Keeps, {}},
    Meaning{Happening::RolloutResumed, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::RollingBack, Weight::Warning, Trouble::Begins, {}},
    Meaning{Happening::RolledBack, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::RolloutFailed, Weight::Failure, Trouble::Begins, Verdict::Failed},
    Meaning{Happening::RolloutSuperseded, Weight::Warning, Trouble::Keeps, Verdict::Superseded},
    Meaning{Happening::RolloutStopped, Weight::Warning, Trouble::Keeps, Verdict::Stopped},
    Meaning{Happening::DrainDeadlinePassed, Weight::Warning, Trouble::Keeps, {}},
    Meaning{Happening::StartDeadlinePassed, Weight::Warning, Trouble::Keeps, {}},
    Meaning{Happening::RestDeadlinePassed, Weight::Warning, Trouble::Keeps, {}},
    Meaning{Happening::ShardLent, Weight::Warning, Trouble::Keeps, {}},
    Meaning{Happening::ShardGivenUp, Weight::Warning, Trouble::Keeps, {}},
    Meaning{Happening::Resizing, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::Resized, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::ResizeFailed, Weight::Failure, Trouble::Begins, {}},
    Meaning{Happening::Reloading, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::WorkerReloaded, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::ReloadDone, Weight::Normal, Trouble::Ends, {}},
    Meaning{Happening::ReloadFailed, Weight::Failure, Trouble::Begins, {}},
    Meaning{Happening::IdleStopped, Weight::Normal, Trouble::Ends, {}},
    Meaning{Happening::Pausing, Weight::Normal, Trouble::Ends, {}},
    Meaning{Happening::Paused, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::Resumed, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::Stopping, Weight::Normal, Trouble::Keeps, {}},
    Meaning{Happening::Stopped, Weight::Normal, Trouble::Ends, {}},
    Meaning{Happening::Finished, Weight::Normal, Trouble::Keeps, {}},
};
static_assert(meanings.size() == enum_table(Happening{}).size());

constexpr Meaning const& meaning_of(Happening happening) {
    for (auto const& meaning : meanings)
        if (meaning.happening == happening)
            return meaning;
    return meanings.front();
}

} // namespace

void UnitRunner::tell(Report const& report) {
    Event event;
    event.unit = wanted_->name;
    event.kind = to_name(report.happening);
    event.text = UnitWords{*this}.sentence(report);
    if (report.happening == Happening::DrainDeadlinePassed) // told before it is killed
        event.text += note_cut(report.worker);
    auto const& meaning = meaning_of(report.happening);
    event.weight = meaning.weight;
    if (report.generation != no_generation)
        event.generation = number_of(report.generation);
    if (report.worker != WorkerId{}) {
        event.worker = number_of(report.worker);
        if (auto* const worker = find(report.worker))
            event.pid = worker->process.pid();
        else
            for (auto const& ending : underway().endings)
                if (ending.worker == report.worker && ending.pid != 0)
                    event.pid = ending.pid;
    }
    switch (meaning.trouble) {
    case Trouble::Begins:
        trouble_ = event.text;
        break;
    case Trouble::Ends:
        trouble_.clear();
        break;
    case Trouble::Keeps:
        break;
    }
    follow_rollouts(report, event.text);
    shared_.events.add(event);
    answer_wishes(report, event.text);
    OnDemand{*this}.tell(report, event.text);
}

void UnitRunner::follow_rollouts(Report const& report, std::string const& told) {
    underway().rollouts.sample(sockets_);
    if (report.happening == Happening::RolloutBegan || report.happening == Happening::RolloutWaits)
        begin_rollout(report.generation);
    else if (report.happening == Happening::TookEffect)
        underway().rollouts.took_over(report.generation);
    else if (report.happening == Happening::TookOver || report.happening == Happening::Proved) {
        if (report.happening == Happening::TookOver)
            underway().rollouts.took_over(report.generation);
        else
            underway().rollouts.proved(report.generation);
        if (!report.until) { // on probation the old generation keeps all that it would serve again
            if (auto const* const record = underway().rollouts.find(report.generation))
                keep_former(*record);
            retire_unlisted(true); // before the old workers are told to go: only they serve it
        }
    } else if (report.happening == Happening::Stopped || report.happening == Happening::Finished)
        retire_unlisted(is_running());
    else if (report.happening == Happening::RollingBack) {
        if (auto* const record = underway().rollouts.find(report.generation))
            record->report.reason = UnitWords{*this}.reason(report);
        take_sockets_back();
    } else if (auto const verdict = meaning_of(report.happening).verdict) {
        if (auto const serving = serving_spec(); *verdict == Verdict::Failed && serving && is_running())
            sockets_.withdraw(*serving);
        finish_rollout(report, *verdict, told);
        if (serving_spec() == wanted_) // what was kept for another release, until this one is proved
            retire_unlisted(is_running());
    }
}

void UnitRunner::begin_rollout(GenerationId id) {
    if (underway().rollouts.has(id)) // it waited, and its answers are with it
        return;
    // The one that serves, or has until now: not one that failed and is still being ended.
    std::optional<GenerationId> previous;
    for (auto const& generation : state_.generations)
        if (generation.id != id && generation.role == Role::Serving)
            previous = generation.id;
    if (!previous)
        for (auto const& worker : state_.workers)
            if (worker.was_ready && worker.generation != id && (!previous || worker.generation > *previous))
                previous = worker.generation;
    Release before;
    if (previous && strategy_of_next_ != Strategy::InPlace)
        before = {generation_spec(*previous), pinned_program(*previous), id};
    std::shared_ptr<PinnedProgram const> program;
    std::vector<WishAnswer> answers;
    auto& wishes = underway().waiting;
    auto const restart = std::find_if(wishes.begin(), wishes.end(), [](Waiting const& waiting) {
        return waiting.kind == WishKind::Restart;
    });
    if (restart != wishes.end()) {
        answers.push_back(std::move(restart->answer));
        program = std::move(restart->program);
        wishes.erase(restart);
    }
    underway().rollouts.begin(id, wanted_->name, strategy_of_next_, previous, sockets_, std::move(answers));
    auto& record = *underway().rollouts.find(id);
    record.previous = std::move(before);
    record.program = std::move(program);
    pin_as_recorded(id);
    underway().rollouts.observe(state_);
    watch_queues();
}

void UnitRunner::watch_queues() {
    if (!underway().sampler)
        underway().sampler = std::make_unique<Sampler>(shared_, [this] {
            shared_.loop.set_owner(number_);
            underway().rollouts.sample(sockets_);
        });
}

void UnitRunner::finish_rollout(Report const& report, Verdict verdict, std::string const& told) {
    auto const generation = report.generation;
    underway().rollouts.observe(state_);
    auto record = underway().rollouts.finish(generation, verdict,
                                             verdict == Verdict::Done ? std::string{} : told, sockets_);
    if (!record)
        return;
    if (underway().rollouts.is_empty())
        underway().sampler.reset();
    if (!history_)
        history_ = std::make_unique<RolloutHistory>();
    history_->add(record->report, std::move(record->timeline));
    auto const still_serves =
        std::any_of(state_.workers.begin(), state_.workers.end(), [&](Worker const& worker) {
            return worker.generation != generation && worker.phase == WorkerPhase::Ready;
        });
    auto message = told;
    if (verdict == Verdict::Failed && still_serves)
        message +=
            "; " +
            (record->report.previous_generation ? to_text(GenerationId{*record->report.previous_generation})
                                                : std::string{"the old one"}) +
            " serves on";
    bool const serves =
        std::any_of(state_.generations.begin(), state_.generations.end(), [&](Generation const& known) {
            return known.id == generation && known.role == Role::Serving;
        });
    if ((verdict == Verdict::Failed && serves) || (verdict == Verdict::Superseded && record->took_over))
        keep_former(*record);
    WishResult result{verdict == Verdict::Done, std::move(message), std::move(record->report)};
    // After this turn, and after the event itself was told to those who follow.
    for (auto const& answer : record->answers)
        shared_.loop.post([answer, result] { answer(result); });
    result.ok = verdict == Verdict::Failed && still_serves && !serves;
    for (auto const& answer : record->undoers)
        shared_.loop.post([answer, result] { answer(result); });
}

void UnitRunner::answer_wishes(Report const& report, std::string const& told) {
    auto const answer_all = [&](WishKind kind, bool ok) {
        WishResult const result{ok, told, std::nullopt};
        if (kind == WishKind::Reload && last_reload_ && !last_reload_->result)
            last_reload_->result = result;
        for (auto& answer : take_waiting(kind))
            shared_.loop.post([answer = std::move(answer), result] { answer(result); });
    };
    if (report.happening == Happening::Started)
        answer_all(WishKind::Start, true);
    else if (report.happening == Happening::StartFailed)
        answer_all(WishKind::Start, false);
    else if (report.happening == Happening::Resized)
        answer_all(WishKind::Scale, true);
    else if (report.happening == Happening::ResizeFailed)
        answer_all(WishKind::Scale, false);
    else if (report.happening == Happening::ReloadDone)
        answer_all(WishKind::Reload, true);
    else if (report.happening == Happening::ReloadFailed)
        answer_all(WishKind::Reload, false);
    else if (report.happening == Happening::Stopped) {
        answer_all(WishKind::Scale, false);
        answer_all(WishKind::Reload, false);
        if (!state_.start_owed) // else a start came after the stop, and has its own answer to come
            answer_all(WishKind::Start, false);
        answer_all(WishKind::Stop, true);
    }
}

std::vector<WishAnswer> UnitRunner::take_waiting(WishKind kind) {
    std::vector<WishAnswer> taken;
    auto& wishes = underway().waiting;
    for (auto& waiting : wishes)
        if (waiting.kind == kind)
            taken.push_back(std::move(waiting.answer));
    std::erase_if(wishes, [&](Waiting const& waiting) { return waiting.kind == kind; });
    return taken;
}

} // namespace holdfast
