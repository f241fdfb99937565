// SPDX-License-Identifier: Apache-2.0
#include "supervisor/unit_words.h"

#include "lifecycle/sharing.h"
#include "supervisor/unit_runner.h"

#include <algorithm>

namespace holdfast {

using namespace lifecycle;

namespace {

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

/// Why a worker that is probed may not have been ready in time.
std::string last_probe_text(std::vector<std::unique_ptr<RunningWorker>> const& workers, WorkerId id) {
    for (auto const& worker : workers)
        if (WorkerId{worker->process.id()} == id && worker->prober && !worker->prober->why().empty())
            return "; " + worker->prober->why();
    return {};
}

std::string reload_time_text(std::vector<std::unique_ptr<RunningWorker>> const& workers, WorkerId id) {
    for (auto const& worker : workers)
        if (WorkerId{worker->process.id()} == id)
            return to_string(worker->spec->service.timeout_start) + " (timeout_start)";
    return "its time";
}

} // namespace

std::string to_text(WorkerId id) {
    return "worker " + std::to_string(static_cast<std::uint32_t>(id));
}

std::string to_text(GenerationId id) {
    return "generation " + std::to_string(static_cast<std::uint32_t>(id));
}

std::string UnitWords::ending_text(WorkerId id) const {
    if (!unit_.underway_)
        return "it ended";
    auto const& endings = unit_.underway_->endings;
    auto const found = std::find_if(endings.begin(), endings.end(),
                                    [&](Ending const& ending) { return ending.worker == id; });
    return found == endings.end() ? "it ended" : found->text;
}

std::string UnitWords::reason(Report const& report) const {
    switch (report.cause) {
    case Cause::None:
        return {};
    case Cause::SpawnFailed:
        return ending_text(report.worker);
    case Cause::ExitedBeforeReady:
        return to_text(report.worker) + " ended before it was ready: " + ending_text(report.worker);
    case Cause::StartDeadline: {
        auto const spec = unit_.generation_spec(report.generation);
        return to_text(report.worker) + " was not ready within " +
               (spec ? to_string(spec->service.timeout_start) + " (timeout_start)" : "its time") +
               last_probe_text(unit_.workers_, report.worker);
    }
    case Cause::ExitedSoon:
        return to_text(report.worker) + " was ready and ended: " + ending_text(report.worker);
    case Cause::Unhealthy:
        return to_text(report.worker) + " is not healthy: " + unit_.unhealthy_text(report.worker);
    case Cause::Watchdog:
        return to_text(report.worker) + " did not say WATCHDOG=1 in time";
    case Cause::Undone:
        return "it was undone";
    case Cause::ReloadRefused:
        return to_text(report.worker) + " does not reload: " + ending_text(report.worker);
    case Cause::ReloadDeadline:
        return to_text(report.worker) + " has not reloaded within " +
               reload_time_text(unit_.workers_, report.worker);
    case Cause::Paused:
        return "it was paused";
    case Cause::PauseDeadline:
        return "its time is over";
    case Cause::QueueNearlyFull:
        return "a queue is nearly full";
    }
    return {};
}

/// "5 % of new connections"; on listeners that all accept from, as much as comes nearest to that.
std::string UnitWords::canary_text(unsigned share) const {
    auto const own = canary_part(unit_.state_);
    auto const workers = std::to_string(own.canary) + " of the " + std::to_string(own.canary + own.others) +
                         " workers that accept";
    auto const percent = std::to_string(share) + " %";
    auto const& sockets = unit_.wanted_->sockets;
    bool const on_shards = unit_.sockets_.shards() != nullptr;
    bool const on_one = std::any_of(sockets.begin(), sockets.end(),
                                    [](SocketSpec const& socket) { return !socket.reuse_port; });
    if (!on_shards)
        return "about " + std::to_string(own.percent()) + " % of new connections: " + workers +
               " (the step is " + percent + ")";
    return percent + " of new connections" +
           (on_one ? " on `reuse_port` sockets, and of the others " + workers : "");
}

/// Where it has been rolled back, who failed is gone by now; the reason was noted when that began.
std::string UnitWords::reason_of_failure(Report const& report) const {
    auto const* const record = unit_.underway_ ? unit_.underway_->rollouts.find(report.generation) : nullptr;
    return record != nullptr && !record->report.reason.empty() ? record->report.reason : reason(report);
}

std::string UnitWords::count_text() const {
    auto const count = unit_.policy().workers;
    return std::to_string(count) + (count == 1 ? " worker" : " workers");
}

std::string UnitWords::sentence(Report const& report) const {
    auto const& service = unit_.wanted_->service;
    switch (report.happening) {
    case Happening::Starting:
        return "starting";
    case Happening::Started:
        if (unit_.wanted_->service.accept)
            return "accepts connections";
        return unit_.state_.listening ? "waits for the first client" : "started";
    case Happening::StartFailed:
        return "cannot be started: " + reason(report);
    case Happening::WorkerDied:
        if (report.cause == Cause::Watchdog)
            return reason(report);
        return to_text(report.worker) + " died: " + ending_text(report.worker);
    case Happening::WorkerUnhealthy:
        return to_text(report.worker) + " of " + to_text(report.generation) +
               " is not healthy: " + unit_.unhealthy_text(report.worker);
    case Happening::WorkerReady:
        return to_text(report.worker) + " of " + to_text(report.generation) + " is ready";
    case Happening::WorkerGone:
        return to_text(report.worker) + " of " + to_text(report.generation) +
               " is gone: " + ending_text(report.worker);
    case Happening::WorkerStuck:
        return to_text(report.worker) + " of " + to_text(report.generation) +
               " does not end even by SIGKILL and is given up";
    case Happening::BackingOff:
        return "next try in " + until_text(report);
    case Happening::StartLimitHit:
        return "started " + std::to_string(service.start_limit_burst) + " times in " +
               to_string(service.start_limit_interval) + ": paused for " + until_text(report) +
               ", then tried again (`holdfast start " + unit_.wanted_->name + "` tries at once)";
    case Happening::TriggerLimitHit: {
        auto const rules = unit_.policy();
        return "started by traffic " + std::to_string(rules.trigger_limit_burst) + " times in " +
               to_string(rules.trigger_limit_interval) +
               " (trigger_limit_burst): its clients wait, and it listens again in " + until_text(report) +
               " (`holdfast start " + unit_.wanted_->name + "` at once)";
    }
    case Happening::RolloutBegan:
        return to_text(report.generation) + " is being rolled out" +
               (unit_.is_no_longer_in_place_
                    ? " by overlap: what runs is another program, or nothing, so it cannot reload in place"
                    : "");
    case Happening::RolloutWaits: {
        bool const is_crowded = unit_.state_.generations.size() >= unit_.policy().max_generations;
        return to_text(report.generation) +
               (is_crowded
                    ? " waits: too many generations are alive, one must end first"
                    : " waits: where it would read (payload_byte) an older generation still serves its "
                      "flows, which must end first");
    }
    case Happening::TookOver:
        return to_text(report.generation) + " is ready and takes over" +
               (report.until ? "; it is on probation for " + until_text(report) : "");
    case Happening::TookEffect:
        return "all workers have reloaded" +
               (report.until ? "; they are on probation for " + until_text(report) : "");
    case Happening::Proved:
        return to_text(report.generation) + " has held its probation";
    case Happening::RolloutDone:
        if (unit_.wanted_->service.accept)
            return "the next connections get what it is now; who is served is left alone";
        return "rollout of " + to_text(report.generation) + " is done";
    case Happening::CanaryStep:
        return to_text(report.generation) + " gets " + canary_text(report.share.value_or(0)) + " for " +
               until_text(report);
    case Happening::RolloutPaused:
        return "rollout of " + to_text(report.generation) + " is paused";
    case Happening::RolloutResumed:
        return "rollout of " + to_text(report.generation) + " goes on" +
               (report.until ? ", and waits for " + until_text(report) : "");
    case Happening::RollingBack:
        return to_text(report.generation) + " is rolled back: " + reason(report);
    case Happening::RolledBack:
        return to_text(report.generation) + " is rolled back";
    case Happening::RolloutFailed:
        return "rollout of " + to_text(report.generation) + " failed: " + reason_of_failure(report);
    case Happening::RolloutSuperseded:
        return "rollout of " + to_text(report.generation) + " was superseded by a newer one";
    case Happening::RolloutStopped:
        return "rollout of " + to_text(report.generation) + " was ended by a " +
               (report.cause == Cause::Paused ? "pause" : "stop");
    case Happening::DrainDeadlinePassed:
        return to_text(report.worker) + " did not end in time and is killed";
    case Happening::StartDeadlinePassed:
        return to_text(report.worker) + " was not ready in time";
    case Happening::RestDeadlinePassed:
        return waiting_text(unit_.sockets_, *report.shard) + "; " + to_text(report.worker) +
               " has had half of its time for them and is told to go";
    case Happening::ShardLent:
        return waiting_text(unit_.sockets_, *report.shard) +
               " and nobody serves it: " + to_text(report.worker) + " is started for them";
    case Happening::ShardGivenUp:
        return waiting_text(unit_.sockets_, *report.shard) +
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
        return to_text(report.worker) + " of " + to_text(report.generation) + " has reloaded";
    case Happening::ReloadDone:
        return "all workers have reloaded";
    case Happening::ReloadFailed:
        return "not reloaded: " + reason(report);
    case Happening::IdleStopped:
        return "nobody was there for " + to_string(service.idle_stop) +
               ": it ends, and the next client starts it";
    case Happening::Pausing:
        return "is being paused for " + until_text(report) +
               (unit_.wanted_->service.accept ? ": who is served may finish, others wait"
                                              : ": its workers drain, clients wait");
    case Happening::Paused:
        return "paused: nothing of it runs, clients wait; it resumes by itself in " + until_text(report);
    case Happening::Resumed:
        return report.cause == Cause::None ? "resumed" : "resumed by itself: " + reason(report);
    case Happening::Stopping:
        return "stopping";
    case Happening::Stopped:
        return "stopped";
    case Happening::Finished:
        return "ended by itself";
    }
    return {};
}

} // namespace holdfast
