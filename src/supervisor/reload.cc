// SPDX-License-Identifier: Apache-2.0
// What a UnitRunner does so that a worker re-reads its configuration: its command, its signal, and for
// notify-reload the answer of sd_notify(3): RELOADING=1 with a MONOTONIC_USEC that is not from before the
// signal, and then READY=1. A signal alone is answered by nothing: there it has reloaded if it lives on for a
// moment, or where it is probed, if it is well then.
#include "supervisor/apply_plan.h"
#include "supervisor/policy.h"
#include "supervisor/saved_unit.h"
#include "supervisor/unit_runner.h"

#include <cstring>

namespace holdfast {

using namespace lifecycle;

char const* const no_way_to_reload = "it has no way to reload (`exec_reload`, `reload_signal`, type = "
                                     "\"notify-reload\"); a restart replaces its workers";

void UnitRunner::reload(WishAnswer answer) {
    shared_.loop.set_owner(number_);
    if (is_broken_ || is_leaving_)
        return answer({false, is_broken_ ? trouble_ : "it is being removed", std::nullopt});
    if (wanted_->service.accept)
        return answer({false,
                       "each connection has a process of its own (accept = true), and the next one reads its "
                       "configuration anew",
                       std::nullopt});
    auto const serving = serving_spec();
    if (!(serving ? serving : wanted_)->service.can_reload())
        return answer({false, no_way_to_reload, std::nullopt});
    underway().waiting.push_back({WishKind::Reload, std::move(answer)});
    happen(ReloadWished{});
}

bool UnitRunner::answer_for_reload(MonotonicTime asked, WishAnswer const& answer) {
    if (!last_reload_ || last_reload_->wished < asked)
        return false;
    if (!last_reload_->result) {
        underway().waiting.push_back({WishKind::Reload, answer});
        return true;
    }
    shared_.loop.post([answer, result = *last_reload_->result] { answer(result); });
    return true;
}

/// What runs can take by reloading is its configuration, not another program, environment or list of sockets:
/// that takes new processes, beside the old ones.
Strategy UnitRunner::strategy_for(Strategy wished) const {
    if (wished != Strategy::InPlace)
        return wished;
    auto const serving = serving_spec();
    bool const is_possible =
        serving && may_reload_in_place(state_) && serving->service.can_reload() &&
        (serving == wanted_ || plan_change(serving, wanted_).action != UnitAction::Restart);
    return is_possible ? Strategy::InPlace : Strategy::Overlap;
}

void UnitRunner::ask_to_reload(WorkerId id) {
    auto* const worker = find(id);
    if (worker == nullptr) // its death is about to be told
        return;
    worker->reloading = std::make_unique<Reloading>();
    if (!worker->spec->service.can_reload()) // another generation than the one that can
        return refuse_reload(*worker, no_way_to_reload);
    if (worker->spec->service.exec_reload.empty())
        return send_reload_signal(*worker);
    WorkerPlace const place{static_cast<std::uint16_t>(worker->slot),
                            static_cast<std::uint32_t>(worker->generation)};
    auto plan = make_reload_plan(*worker->spec, place, worker->process.pid(), shared_.around);
    if (!plan)
        return refuse_reload(*worker, to_string(plan.error()));
    plan.value().is_gated = memory_ != nullptr;
    auto command = Command::run(shared_.loop, std::move(plan).value(), shared_.other_mains,
                                [this, id](std::string why) { hear_reload_command(id, std::move(why)); });
    if (!command)
        return refuse_reload(*worker, to_string(command.error()));
    worker->reloading->command = std::move(command).value();
    if (memory_)
        memory_->keep_reload_command(*worker);
}

void UnitRunner::hear_reload_command(WorkerId id, std::string why) {
    shared_.loop.set_owner(number_);
    auto& asked = *find(id);
    auto const ended = std::move(asked.reloading->command);
    if (ended->was_never_run()) {
        if (memory_)
            memory_->save(); // else two of them could be found later
        ask_to_reload(id);
    } else if (why.empty())
        send_reload_signal(asked);
    else
        refuse_reload(asked, std::move(why));
}

/// Another supervisor of ours has asked it. Nothing is done yet: the unit is still being put together.
void UnitRunner::take_back_reload(RunningWorker& worker, SavedWorker const& saved, AdoptedProcess command) {
    auto const id = static_cast<WorkerId>(worker.process.id());
    worker.reloading = std::make_unique<Reloading>();
    auto& reloading = *worker.reloading;
    auto const& exec_reload = worker.spec->service.exec_reload;
    if (command.pidfd.is_open())
        reloading.command = Command::adopt(
            shared_.loop, exec_reload.empty() ? std::string{"exec_reload"} : exec_reload.front(),
            std::move(command), shared_.other_mains, [this](pid_t pid) { return exit_of(pid); },
            [this, id](std::string why) { hear_reload_command(id, std::move(why)); });
    reloading.asked_at = saved.reload_asked_at.value_or(MonotonicTime::never());
    reloading.has_begun = saved.reload_has_begun;
    reloading.awaits_probe = saved.reload_awaits_probe;
}

void UnitRunner::go_on_reloading(WorkerId id, bool is_told) {
    auto* const worker = find(id);
    if (worker == nullptr || !worker->reloading || worker->reloading->command)
        return;
    if (!is_told) {
        --worker->reload_signals;
        return send_reload_signal(*worker);
    }
    if (worker->reloading->awaits_probe)
        return prove_reload(*worker);
    await_reload(*worker);
}

/// Nobody waits any more for those who are not asked (it was too late, or another failed): a command that
/// still runs is killed.
void UnitRunner::end_reloads() {
    for (auto const& worker : workers_)
        if (worker->reloading && !is_asked_to_reload(state_, static_cast<WorkerId>(worker->process.id())))
            worker->reloading.reset();
}

void UnitRunner::send_reload_signal(RunningWorker& worker) {
    worker.reloading->asked_at = MonotonicTime::now();
    if (int const signal = worker.spec->service.signal_to_reload();
        signal != 0 && !send_counted(worker, signal))
        return; // it is dead already; its death is about to be told
    await_reload(worker);
}

/// Once, also if we die now: it is counted, and saved, before it is sent.
bool UnitRunner::send_counted(RunningWorker& worker, int signal) {
    if (memory_ && memory_->is_whole()) {
        ++worker.reload_signals;
        memory_->save();
        if (memory_->signal(worker, signal))
            return true;
        --worker.reload_signals;
    }
    return worker.process.send(signal).has_value();
}

void UnitRunner::await_reload(RunningWorker& worker) {
    auto const& service = worker.spec->service;
    if (service.type == ServiceType::NotifyReload)
        return; // it says when it is done
    if (worker.prober || !service.exec_reload.empty())
        return prove_reload(worker);
    worker.reloading->settles = shared_.loop.at(worker.reloading->asked_at + settle_time,
                                                [this, id = static_cast<WorkerId>(worker.process.id())] {
                                                    shared_.loop.set_owner(number_);
                                                    prove_reload(*find(id));
                                                });
}

/// It has reloaded. Where it is probed, that is believed when it is well.
void UnitRunner::prove_reload(RunningWorker& worker) {
    if (worker.prober) {
        worker.reloading->awaits_probe = true;
        return worker.prober->worker_is_up();
    }
    worker.reloading.reset();
    happen(Reloaded{static_cast<WorkerId>(worker.process.id())});
}

void UnitRunner::refuse_reload(RunningWorker& worker, std::string why) {
    worker.reloading.reset();
    auto const id = static_cast<WorkerId>(worker.process.id());
    underway().endings.push_back({id, worker.process.pid(), std::move(why)});
    happen(ReloadRefused{id});
}

void UnitRunner::hear_reload(RunningWorker& worker, NotifyMessage const& message) {
    if (!worker.reloading || worker.reloading->command || worker.reloading->awaits_probe)
        return;
    auto& reloading = *worker.reloading;
    // Without a time it might be of a reload that was under way when it was asked.
    if (message.reloading && message.sent_at && *message.sent_at >= reloading.asked_at)
        reloading.has_begun = true;
    if (!message.ready || !reloading.has_begun)
        return;
    prove_reload(worker);
}

} // namespace holdfast
