// SPDX-License-Identifier: Apache-2.0
// Reports of the lifecycle core become sentences for people, answers for those who wait, and entries of a
// rollout's report.
#include "lifecycle/sharing.h"
#include "supervisor/unit_runner.h"

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
std::string text(WorkerId id) {
    return "worker " + std::to_string(number_of(id));
}
std::string text(GenerationId id) {
    return "generation " + std::to_string(number_of(id));
}

std::string until_text(Report const& report) {
    return report.until ? to_short_string(std::max(Duration{0}, *report.until - MonotonicTime::now()))
                        : "a while";
}

/// "2 connections still wait in shard 1 of bank blue".
std::string waiting_text(SocketCustody const& sockets, Shard shard) {
    auto const* const shards = sockets.shards();
    auto const queued = shards != nullptr ? shards->queued_in(shard) : 0;
    return std::to_string(queued) + (queued == 1 ? " connection still waits" : " connections still wait") +
           " in shard " + std::to_string(shard.slot) + " of bank " + std::string{to_name(shard.bank)};
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

/// Why a worker that is probed may not have been ready in time.
std::string last_probe_text(std::vector<std::unique_ptr<RunningWorker>> const& workers, WorkerId id) {
    for (auto const& worker : workers)
        if (worker->process.id() == number_of(id) && worker->prober && !worker->prober->why().empty())
            return "; " + worker->prober->why();
    return {};
}

std::string reload_time_text(std::vector<std::unique_ptr<RunningWorker>> const& workers, WorkerId id) {
    for (auto const& worker : workers)
        if (worker->process.id() == number_of(id))
            return to_string(worker->spec->service.timeout_start) + " (timeout_start)";
    return "its time";
}

} // namespace

std::string UnitRunner::ending_text(WorkerId id) const {
    if (!underway_)
        return "it ended";
    auto const& endings = underway_->endings;
    auto const found = std::find_if(endings.begin(), endings.end(),
                                    [&](Ending const& ending) { return ending.worker == id; });
    return found == endings.end() ? "it ended" : found->text;
}

std::string UnitRunner::reason(Report const& report) const {
    switch (report.cause) {
    case Cause::None:
        return {};
    case Cause::SpawnFailed:
        return ending_text(report.worker);
    case Cause::ExitedBeforeReady:
        return text(report.worker) + " ended before it was ready: " + ending_text(report.worker);
    case Cause::StartDeadline: {
        auto const spec = generation_spec(report.generation);
        return text(report.worker) + " was not ready within " +
               (spec ? to_string(spec->service.timeout_start) + " (timeout_start)" : "its time") +
               last_probe_text(workers_, report.worker);
    }
    case Cause::ExitedSoon:
        return text(report.worker) + " was ready and ended: " + ending_text(report.worker);
    case Cause::Unhealthy:
        return text(report.worker) + " is not healthy: " + unhealthy_text(report.worker);
    case Cause::Watchdog:
        return text(report.worker) + " did not say WATCHDOG=1 in time";
    case Cause::Undone:
        return "it was undone";
    case Cause::ReloadRefused:
        return text(report.worker) + " does not reload: " + ending_text(report.worker);
    case Cause::ReloadDeadline:
        return text(report.worker) + " has not reloaded within " + reload_time_text(workers_, report.worker);
    }
    return {};
}

/// "5 % of new connections"; on listeners that all accept from, as much as comes nearest to that.
std::string UnitRunner::canary_text(unsigned share) const {
    auto const own = canary_part(state_);
    auto const workers = std::to_string(own.canary) + " of the " + std::to_string(own.canary + own.others) +
                         " workers that accept";
    auto const percent = std::to_string(share) + " %";
    auto const& sockets = wanted_->sockets;
    bool const on_shards = sockets_.shards() != nullptr;
    bool const on_one = std::any_of(sockets.begin(), sockets.end(),
                                    [](SocketSpec const& socket) { return !socket.reuse_port; });
    if (!on_shards)
        return "about " + std::to_string(own.percent()) + " % of new connections: " + workers +
               " (the step is " + percent + ")";
    return percent + " of new connections" +
           (on_one ? " on `reuse_port` sockets, and of the others " + workers : "");
}

/// Where it has been rolled back, who failed is gone by now; the reason was noted when that began.
std::string UnitRunner::reason_of_failure(Report const& report) const {
    auto const* const record = underway_ ? underway_->rollouts.find(report.generation) : nullptr;
    return record != nullptr && !record->report.reason.empty() ? record->report.reason : reason(report);
}

std::string UnitRunner::count_text() const {
    auto const count = policy().workers;
    return std::to_string(count) + (count == 1 ? " worker" : " workers");
}

std::string UnitRunner::sentence(Report const& report) const {
    auto const& service = wanted_->service;
    switch (report.happening) {
    case Happening::Starting:
        return "starting";
    case Happening::Started:
        return state_.listening ? "waits for the first client" : "started";
    case Happening::StartFailed:
        return "cannot be started: " + reason(report);
    case Happening::WorkerDied:
        if (report.cause == Cause::Watchdog)
            return reason(report);
        return text(report.worker) + " died: " + ending_text(report.worker);
    case Happening::WorkerUnhealthy:
        return text(report.worker) + " of " + text(report.generation) +
               " is not healthy: " + unhealthy_text(report.worker);
    case Happening::WorkerReady:
        return text(report.worker) + " of " + text(report.generation) + " is ready";
    case Happening::WorkerGone:
        return text(report.worker) + " of " + text(report.generation) +
               " is gone: " + ending_text(report.worker);
    case Happening::WorkerStuck:
        return text(report.worker) + " of " + text(report.generation) +
               " does not end even by SIGKILL and is given up";
    case Happening::BackingOff:
        return "next try in " + until_text(report);
    case Happening::StartLimitHit:
        return "started " + std::to_string(service.start_limit_burst) + " times in " +
               to_string(service.start_limit_interval) + ": paused for " + until_text(report) +
               ", then tried again (`holdfast start " + wanted_->name + "` tries at once)";
    case Happening::RolloutBegan:
        return text(report.generation) + " is being rolled out" +
               (is_no_longer_in_place_
                    ? " by overlap: what runs is another program, or nothing, so it cannot reload in place"
                    : "");
    case Happening::RolloutWaits:
        return text(report.generation) + " waits: too many generations are alive, one must end first";
    case Happening::TookOver:
        return text(report.generation) + " is ready and takes over" +
               (report.until ? "; it is on probation for " + until_text(report) : "");
    case Happening::TookEffect:
        return "all workers have reloaded" +
               (report.until ? "; they are on probation for " + until_text(report) : "");
    case Happening::Proved:
        return text(report.generation) + " has held its probation";
    case Happening::RolloutDone:
        return "rollout of " + text(report.generation) + " is done";
    case Happening::CanaryStep:
        return text(report.generation) + " gets " + canary_text(report.share.value_or(0)) + " for " +
               until_text(report);
    case Happening::RolloutPaused:
        return "rollout of " + text(report.generation) + " is paused";
    case Happening::RolloutResumed:
        return "rollout of " + text(report.generation) + " goes on" +
               (report.until ? ", and waits for " + until_text(report) : "");
    case Happening::RollingBack:
        return text(report.generation) + " is rolled back: " + reason(report);
    case Happening::RolledBack:
        return text(report.generation) + " is rolled back";
    case Happening::RolloutFailed:
        return "rollout of " + text(report.generation) + " failed: " + reason_of_failure(report);
    case Happening::RolloutSuperseded:
        return "rollout of " + text(report.generation) + " was superseded by a newer one";
    case Happening::RolloutStopped:
        return "rollout of " + text(report.generation) + " was ended by a stop";
    case Happening::DrainDeadlinePassed:
        return text(report.worker) + " did not end in time and is killed";
    case Happening::StartDeadlinePassed:
        return text(report.worker) + " was not ready in time";
    case Happening::RestDeadlinePassed:
        return waiting_text(sockets_, *report.shard) + "; " + text(report.worker) +
               " has had half of its time for them and is told to go";
    case Happening::ShardLent:
        return waiting_text(sockets_, *report.shard) + " and nobody serves it: " + text(report.worker) +
               " is started for them";
    case Happening::ShardGivenUp:
        return waiting_text(sockets_, *report.shard) +
               "; they are served by the next generation of that bank, if any";
    case Happening::Resizing:
        return "is to have " + count_text();
    case Happening::Resized:
        return "has " + count_text();
    case Happening::ResizeFailed:
        return "cannot have " + count_text() + ": " + reason(report);
    case Happening::Reloading:
        return "its workers reload";
    case Happening::WorkerReloaded:
        return text(report.worker) + " of " + text(report.generation) + " has reloaded";
    case Happening::ReloadDone:
        return "all workers have reloaded";
    case Happening::ReloadFailed:
        return "not reloaded: " + reason(report);
    case Happening::Stopping:
        return "stopping";
    case Happening::Stopped:
        return "stopped";
    case Happening::Finished:
        return "ended by itself";
    }
    return {};
}

void UnitRunner::tell(Report const& report) {
    Event event;
    event.unit = wanted_->name;
    event.kind = to_name(report.happening);
    event.text = sentence(report);
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
            record->report.reason = reason(report);
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
            (record->report.previous_generation ? text(GenerationId{*record->report.previous_generation})
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
