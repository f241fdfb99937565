// SPDX-License-Identifier: Apache-2.0
#include "supervisor/on_demand.h"

#include "socket/queue_snapshot.h"
#include "supervisor/unit_runner.h"
#include "supervisor/unit_words.h"

namespace holdfast {

using namespace lifecycle;

bool is_nearly_full(QueueState const& queue) {
    return queue.limit > 0 && std::uint64_t{queue.waiting} * 5 >= std::uint64_t{queue.limit} * 4;
}

// ---- wishes ----

void OnDemand::pause(Duration time, WishAnswer answer) {
    unit_.shared_.loop.set_owner(unit_.number_);
    if (unit_.is_broken_ || unit_.is_leaving_)
        return answer({false, unit_.is_broken_ ? unit_.trouble_ : "it is being removed", std::nullopt});
    unit_.underway().waiting.push_back({WishKind::PauseUnit, std::move(answer)});
    unit_.happen(PauseWished{time});
}

void OnDemand::resume(bool or_restart, WishAnswer answer) {
    if (or_restart && !unit_.is_broken_ && !unit_.is_leaving_ && !is_paused()) {
        unit_.shared_.events.say(
            Weight::Warning, "resumed-early", unit_.wanted_->name,
            "it was resumed before it was wished; what is installed now is started by a restart");
        return unit_.restart(std::nullopt, std::move(answer));
    }
    if (!unit_.is_broken_ && !unit_.is_leaving_)
        unit_.hold_sockets();
    if (auto reason = unit_.reason_to_refuse(); !reason.empty())
        return answer({false, std::move(reason), std::nullopt});
    unit_.underway().waiting.push_back({WishKind::ResumeUnit, std::move(answer)});
    unit_.happen(ResumeWished{});
}

bool OnDemand::is_paused() const {
    bool is_paused = unit_.state_.pause.has_value();
    if (unit_.underway_)
        for (auto const& fact : unit_.underway_->facts) {
            if (std::holds_alternative<PauseWished>(fact))
                is_paused = true;
            else if (std::holds_alternative<StartWished>(fact) ||
                     std::holds_alternative<ResumeWished>(fact) ||
                     std::holds_alternative<RestartWished>(fact) || std::holds_alternative<StopWished>(fact))
                is_paused = false;
        }
    return is_paused;
}

bool OnDemand::answer_again(WishAnswer const& answer) {
    auto const& pause = unit_.state_.pause;
    if (!pause)
        return false;
    if (pause->is_owed || unit_.has_instances())
        unit_.underway().waiting.push_back({WishKind::PauseUnit, answer});
    else
        unit_.shared_.loop.post([answer] { answer({true, "paused", std::nullopt}); });
    return true;
}

void OnDemand::take(Fact& fact) {
    auto* const idle = unit_.underway_ ? unit_.underway_->idle_watch.get() : nullptr;
    if (fact == Fact{TimerExpired{{TimerKind::IdleStop, 0}}} && idle != nullptr &&
        !idle->is_nobody_there_still()) {
        fact = IdleEnded{};
        idle->look_later();
    }
    auto const& state = unit_.state_;
    bool const is_down = state.goal == Goal::Down;
    if (std::holds_alternative<PauseWished>(fact) && is_down)
        answer_all(WishKind::PauseUnit, {false, "it is stopped", std::nullopt});
    if (!std::holds_alternative<ResumeWished>(fact))
        return;
    if (is_down)
        answer_all(WishKind::ResumeUnit, {false, "it is stopped", std::nullopt});
    else if (!state.pause)
        unit_.shared_.events.say(Weight::Warning, "not-paused", unit_.wanted_->name,
                                 "it is not paused, or not any more");
}

void OnDemand::tell(Report const& report, std::string const& told) {
    switch (report.happening) {
    case Happening::Paused:
        return answer_all(WishKind::PauseUnit, {true, told, std::nullopt});
    case Happening::Resumed:
        return answer_all(WishKind::PauseUnit, {false, told, std::nullopt});
    case Happening::Started:
    case Happening::StartFailed:
        return answer_all(WishKind::ResumeUnit, {report.happening == Happening::Started, told, std::nullopt});
    case Happening::Stopped:
        if (unit_.state_.goal == Goal::Up) // it is of a stop before
            return;
        answer_all(WishKind::PauseUnit, {false, told, std::nullopt});
        return answer_all(WishKind::ResumeUnit, {false, told, std::nullopt});
    default:
        return;
    }
}

void OnDemand::hear_arrival() {
    unit_.shared_.loop.set_owner(unit_.number_);
    if (unit_.underway_ && unit_.underway_->idle_watch)
        unit_.underway_->idle_watch->hear();
}

/// After this turn, and after the event itself was told to those who follow.
void OnDemand::answer_all(WishKind kind, WishResult const& result) {
    for (auto& answer : unit_.take_waiting(kind))
        unit_.shared_.loop.post([answer = std::move(answer), result] { answer(result); });
}

// ---- the queues of a paused unit ----

void OnDemand::watch_queues() {
    unit_.underway().queue_watch = std::make_unique<Sampler>(unit_.shared_, [&unit = unit_] {
        unit.shared_.loop.set_owner(unit.number_);
        OnDemand{unit}.look();
    });
}

void OnDemand::unwatch_queues() {
    unit_.underway().queue_watch.reset();
}

void OnDemand::look() {
    if (!is_paused())
        return;
    QueueSnapshot queues;
    std::string full;
    auto const see = [&](Listener const& listener) {
        auto const queue = full.empty() ? queues.queue_of(listener) : Result<QueueState>{QueueState{}};
        if (queue && is_nearly_full(*queue))
            full = std::to_string(queue->waiting) + " of " + std::to_string(queue->limit) +
                   (listener.wanted.transport == Transport::Udp ? " bytes" : " connections") + " wait at " +
                   to_string(listener.bound());
    };
    unit_.sockets_.each_with_clients(see);
    if (full.empty())
        return;
    unit_.shared_.events.say(Weight::Warning, "queue-nearly-full", unit_.wanted_->name, full);
    unit_.happen(QueueNearlyFull{});
}

} // namespace holdfast
