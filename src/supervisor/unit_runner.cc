// SPDX-License-Identifier: Apache-2.0
#include "supervisor/unit_runner.h"

#include "lifecycle/resume.h"
#include "lifecycle/sharing.h"
#include "supervisor/instances.h"
#include "supervisor/on_demand.h"
#include "supervisor/policy.h"

#include <algorithm>
#include <csignal>

#include <unistd.h>

namespace holdfast {

using namespace lifecycle;

namespace {

ExitKind kind_of(ExitStatus const& status) {
    if (!status.is_known) // better started once too often than never again
        return ExitKind::UncleanCode;
    if (status.dumped_core)
        return ExitKind::CoreDump;
    if (is_clean(status))
        return ExitKind::Clean;
    return status.signal == 0 ? ExitKind::UncleanCode : ExitKind::UncleanSignal;
}

FdStore& opened(std::unique_ptr<FdStore>& store, Shared& shared, std::string const& unit) {
    if (!store)
        store = std::make_unique<FdStore>(shared, unit);
    return *store;
}

/// By a wish or by itself, as FileDescriptorStorePreserve=no of systemd.service(5).
void drop_when_stopped(std::unique_ptr<FdStore>& store, UnitState const& state) {
    if (!store || phase_of(state) != UnitPhase::Inactive)
        return;
    store->drop_all();
    store.reset();
}

WishResult refused(std::string message) {
    return {false, std::move(message), std::nullopt};
}

} // namespace

UnitRunner::UnitRunner(Shared& shared, std::uint32_t number, UnitSpecPtr spec)
    : shared_{shared}, number_{number}, wanted_{std::move(spec)}, sockets_{shared, number, wanted_},
      since_{MonotonicTime::now()} {
    shared_.units.emplace(number_, this);
    if (shared_.keeping)
        memory_ = std::make_unique<UnitMemory>(*this, *shared_.keeping);
    follow_accept({});
}

UnitRunner::~UnitRunner() {
    while (!workers_.empty())
        forget(workers_.back()->process);
    while (!dumping_.empty())
        bury(dumping_.back()->process);
    shared_.alarms.move(number_, alarm_, MonotonicTime::never());
    shared_.units.erase(number_);
}

void UnitRunner::end(bool leaves_sockets) {
    leaves_sockets ? sockets_.leave_all() : sockets_.give_up_all();
    for (auto const& worker : dumping_) // they hold our listeners, and nobody will wait for them
        worker->process.kill_group();
    if (memory_)
        memory_->end();
    if (store_)
        store_->drop_all();
    if (instances_)
        instances_->drop_all();
}

bool UnitRunner::adopt(FoundThings found) {
    shared_.loop.set_owner(number_);
    if (FdStore::is_any_in(found))
        opened(store_, shared_, wanted_->name).adopt(found);
    bool const goes_on = memory_ && memory_->adopt(std::move(found));
    drop_when_stopped(store_, state_);
    return goes_on;
}

void UnitRunner::save() {
    shared_.loop.set_owner(number_);
    if (!memory_ || is_broken_) // what was saved before it broke is better
        return;
    memory_->save();
    if (instances_)
        instances_->save_now();
}

// ---- wishes ----

bool UnitRunner::hold_sockets() {
    bool const is_held = sockets_.hold(wanted_, [this] {
        shared_.loop.set_owner(number_);
        note_shards();
        if (std::exchange(starts_when_held_, false))
            happen(StartWished{});
    });
    note_shards();
    return is_held;
}

void UnitRunner::start_when_held() {
    shared_.loop.set_owner(number_);
    starts_when_held_ = !hold_sockets();
    if (!starts_when_held_)
        happen(StartWished{});
}

std::string UnitRunner::reason_to_refuse() const {
    if (is_broken_)
        return trouble_;
    if (is_leaving_)
        return "it is being removed";
    if (!sockets_.is_complete())
        return "its sockets cannot be bound: " + to_string(sockets_.failed().front().error);
    return too_few_numbers(wanted_->steering, policy().workers);
}

void UnitRunner::start(WishAnswer answer) {
    if (!is_broken_ && !is_leaving_)
        hold_sockets();
    if (auto reason = reason_to_refuse(); !reason.empty())
        return answer(refused(std::move(reason)));
    starts_when_held_ = false;
    underway().waiting.push_back({WishKind::Start, std::move(answer)});
    happen(StartWished{});
}

void UnitRunner::stop(WishAnswer answer) {
    starts_when_held_ = false;
    if (is_broken_) {
        kill_all();
        return answer({true, "its workers are killed", std::nullopt});
    }
    send_postponed_drains();
    underway().waiting.push_back({WishKind::Stop, std::move(answer)});
    happen(StopWished{});
}

void UnitRunner::restart(std::optional<Strategy> strategy, WishAnswer answer) {
    if (!is_broken_ && !is_leaving_)
        hold_sockets();
    if (auto reason = reason_to_refuse(); !reason.empty())
        return answer(refused(std::move(reason)));
    if (strategy == Strategy::InPlace && !wanted_->service.can_reload())
        return answer(refused(no_way_to_reload));
    starts_when_held_ = false;
    follow_accept({}); // what its program and its user are is looked up anew
    underway().waiting.push_back({WishKind::Restart, std::move(answer)});
    happen(RestartWished{strategy});
}

void UnitRunner::kill_all() {
    for (auto const* const of : {&workers_, &dumping_})
        for (auto const& worker : *of)
            worker->process.kill_group();
    if (instances_)
        instances_->kill_all();
}

// ---- facts ----

void UnitRunner::happen(Fact fact) {
    if (is_broken_)
        return;
    underway().facts.push_back(fact);
    if (std::exchange(is_settling_posted_, true))
        return;
    shared_.loop.post(later(&UnitRunner::settle));
}

std::function<void()> UnitRunner::later(void (UnitRunner::*what)()) const {
    return [shared = &shared_, number = number_, what] {
        if (auto const found = shared->units.find(number); found != shared->units.end())
            (found->second->*what)();
    };
}

void UnitRunner::take(Fact& fact, Policy const& rules) {
    auto const now = MonotonicTime::now();
    if (auto* const restart = std::get_if<RestartWished>(&fact)) {
        auto const wished = restart->strategy.value_or(rules.strategy);
        strategy_of_next_ = strategy_for(wished);
        is_no_longer_in_place_ = strategy_of_next_ != wished;
        if (is_no_longer_in_place_)
            restart->strategy = strategy_of_next_;
    }
    if (std::holds_alternative<ReloadWished>(fact))
        last_reload_ = std::make_unique<LastReload>(LastReload{now});
    OnDemand{*this}.take(fact);
    trace_.add(fact, now);
    take_rollout_wish(fact);
    auto const orders = step(state_, rules, fact, now);
    if (memory_)
        memory_->save_before(orders);
    enact(orders);
    if (instances_ && state_.goal == Goal::Down) // it may have been paused, and nobody was told
        instances_->close();
    if (underway_)
        underway_->rollouts.observe(state_);
    if (std::holds_alternative<PolicyChanged>(fact) && !state_.resize_owed)
        answer_scale_at_rest();
}

void UnitRunner::settle() {
    shared_.loop.set_owner(number_);
    is_settling_posted_ = false;
    auto const phase_before = phase_of(state_);
    auto const rules = policy();
    // What enacting adds is taken in the same turn, in its order. One at a time: the rest is saved as queued.
    while (underway_ && !underway_->facts.empty()) {
        auto fact = underway_->facts.front();
        underway_->facts.erase(underway_->facts.begin());
        take(fact, rules);
    }
    end_reloads();
    drop_underway();
    drop_unused_specs();
    arm_timer();
    if (phase_of(state_) != phase_before)
        since_ = MonotonicTime::now();
    drop_when_stopped(store_, state_);
    if (memory_)
        memory_->save();
}

Underway& UnitRunner::underway() {
    if (!underway_)
        underway_ = std::make_unique<Underway>();
    return *underway_;
}

void UnitRunner::drop_underway() {
    if (!underway_)
        return;
    underway_->open.reset();
    if (!underway_->facts.empty())
        return;
    underway_->endings.clear();
    if (underway_->waiting.empty() && underway_->rollouts.is_empty() && underway_->postponed_drains.empty() &&
        !underway_->queue_watch && !underway_->idle_watch)
        underway_.reset();
}

void UnitRunner::hear(NotifySender const& sender, NotifyMessage& message) {
    shared_.loop.set_owner(number_);
    auto* const worker = find_by_process(sender.pid);
    if (worker == nullptr)
        return;
    auto const id = static_cast<WorkerId>(worker->process.id());
    if (message.store)
        opened(store_, shared_, wanted_->name)
            .hear(*message.store, std::move(message.descriptors), wanted_->service.fd_store_max);
    if (message.status)
        worker->status = *message.status;
    if (message.main_pid)
        change_main(worker->process, *message.main_pid);
    if (message.extend_timeout)
        happen(TimeExtended{id, *message.extend_timeout});
    hear_reload(*worker, message);
    if (message.ready) {
        start_watchdog(*worker, ServiceType::Notify);
        if (worker->prober)
            worker->prober->worker_is_up();
        happen(ReadySaid{id});
    }
    if (message.ping || message.trigger || message.watchdog)
        hear_watchdog(*worker, message);
    if (message.stopping) {
        end_watches(*worker);
        happen(StoppingSaid{id});
    }
    if (memory_ && (underway_ || message.main_pid || message.watchdog)) // the message is about to be gone
        memory_->save();
}

void UnitRunner::change_main(WorkerProcess& worker, pid_t pid) {
    auto const before = worker.pid();
    if (auto const changed = worker.change_main(pid); !changed)
        return shared_.events.say(Weight::Warning, "main-pid-refused", wanted_->name,
                                  to_string(changed.error()));
    shared_.other_mains.erase(before);
    if (pid != worker.leader())
        shared_.other_mains.insert(pid);
    if (memory_)
        memory_->keep(*find(static_cast<WorkerId>(worker.id())));
}

void UnitRunner::hear_hangup(int fd) {
    shared_.loop.set_owner(number_);
    sockets_.hear_hangup(fd, [this](Listener const& listener) { tell_renewed(listener); });
}

void UnitRunner::worker_executed(WorkerProcess& worker) {
    shared_.loop.set_owner(number_);
    pin_program(worker);
    auto const id = static_cast<WorkerId>(worker.id());
    auto& started = *find(id);
    shared_.remains->check(worker.pid(), {wanted_->name, static_cast<std::uint32_t>(started.generation)},
                           started.moves_itself);
    start_watchdog(started, ServiceType::Exec);
    if (started.prober)
        started.prober->start(worker.pid());
    happen(Executed{id});
}

void UnitRunner::worker_is_ending(WorkerProcess&) {
    if (shared_.notify)
        shared_.notify->drain();
}

void UnitRunner::worker_not_launched(WorkerProcess& worker, LaunchFailure failure) {
    shared_.loop.set_owner(number_);
    auto const id = static_cast<WorkerId>(worker.id());
    auto const known = std::ranges::find(state_.workers, id, &Worker::id);
    if (failure.stage == LaunchStage::Gate && worker.is_adopted() && known != state_.workers.end() &&
        known->phase == WorkerPhase::Starting) { // the supervisor before us died while it started it
        forget(worker);
        return spawn(spawn_order(state_, *known));
    }
    underway().endings.push_back({id, worker.pid(), launch_failure_text(*find(id), failure)});
    bury(worker);
    happen(SpawnFailed{id});
}

void UnitRunner::worker_has_ended(WorkerProcess& worker, ExitStatus status) {
    shared_.loop.set_owner(number_);
    auto const id = static_cast<WorkerId>(worker.id());
    if (find(id) == nullptr) // it was replaced while it dumped core
        return;
    happen(Exited{id, kind_of(status)});
    if (memory_)
        memory_->save();
}

std::optional<ExitStatus> UnitRunner::exit_of(pid_t pid) {
    return shared_.keeping ? shared_.keeping->exit_of(pid) : std::nullopt;
}

void UnitRunner::worker_died(WorkerProcess& worker, ExitStatus status) {
    shared_.loop.set_owner(number_);
    if (forget_dumped(worker, status))
        return;
    auto const id = static_cast<WorkerId>(worker.id());
    auto const& running = *find(id);
    underway().endings.push_back(
        {id, worker.pid(), missed_text(running) + to_string(status) + dump_cost(running, status)});
    bury(worker);
    sockets_.mend([this](Listener const& listener) { tell_renewed(listener); });
}

void UnitRunner::forget(WorkerProcess const& worker) {
    shared_.leaders.remove(worker.leader());
    shared_.other_mains.erase(worker.pid());
    for (auto* const of : {&workers_, &dumping_})
        std::erase_if(*of, [&](auto const& known) { return &known->process == &worker; });
}

bool UnitRunner::has_workers_of(GenerationId generation) const {
    auto const is_of_it = [&](auto const& worker) { return worker->generation == generation; };
    return std::ranges::any_of(workers_, is_of_it) || std::ranges::any_of(dumping_, is_of_it) ||
           (instances_ && instances_->has(InstanceId{static_cast<std::uint32_t>(generation)}));
}

void UnitRunner::bury(WorkerProcess const& worker) {
    auto generation = GenerationId{};
    for (auto const* const of : {&workers_, &dumping_})
        for (auto const& known : *of)
            if (&known->process == &worker)
                generation = known->generation;
    auto const leader = worker.leader();
    forget(worker);
    end_remains(generation, leader);
}

void UnitRunner::end_remains(GenerationId generation, pid_t leader) {
    if (shared_.remains)
        shared_.remains->worker_ended({wanted_->name, static_cast<std::uint32_t>(generation)}, leader,
                                      !has_workers_of(generation));
}

void UnitRunner::mark_broken(std::string_view what) {
    is_broken_ = true;
    timers_.clear();
    for (auto const& worker : workers_)
        end_watches(*worker);
    arm_timer();
    sockets_.unwatch();
    if (auto* const shards = sockets_.shards()) {
        shards->watch_load({}, {});
        shards->watch_rest({}, {});
    }
    if (instances_)
        instances_->freeze();
    trouble_ = "a fault in holdfast itself: " + std::string{what};
    shared_.events.say(Weight::Failure, "broken", wanted_->name,
                       trouble_ +
                           "; its sockets and workers stay as they are, and nothing more is done for it (a "
                           "stop kills its workers)");
    if (!underway_)
        return;
    auto const ended = std::move(underway_);
    auto answers = ended->rollouts.abandon();
    for (auto& waiting : ended->waiting)
        answers.push_back(std::move(waiting.answer));
    for (auto const& answer : answers)
        answer(refused(trouble_));
}

// ---- looking ----

std::vector<RolloutReport> UnitRunner::rollouts_under_way() const {
    if (!underway_)
        return {};
    auto reports = underway_->rollouts.so_far();
    for (auto& report : reports) {
        bool const waits = state_.next && state_.next->id == GenerationId{report.generation};
        bool const comes = state_.rollout && state_.rollout->id == GenerationId{report.generation};
        report.stage = waits ? "waiting" : comes ? to_name(state_.rollout->stage) : "draining";
        if (comes && state_.rollout->stage == RolloutStage::Canary)
            report.share =
                sockets_.shards() != nullptr ? state_.rollout->share : canary_part(state_).percent();
        report.is_paused = (waits && state_.next->is_paused) || (comes && state_.rollout->is_paused);
    }
    return reports;
}

RunningWorker* UnitRunner::find(WorkerId id) {
    auto const found = std::find_if(workers_.begin(), workers_.end(), [&](auto const& worker) {
        return worker->process.id() == static_cast<std::uint32_t>(id);
    });
    return found == workers_.end() ? nullptr : found->get();
}

RunningWorker* UnitRunner::find_by_process(pid_t pid) {
    auto const session = ::getsid(pid);
    auto const found = std::find_if(workers_.begin(), workers_.end(), [&](auto const& worker) {
        return worker->process.pid() == pid || worker->process.leader() == pid ||
               worker->process.leader() == session;
    });
    return found == workers_.end() ? nullptr : found->get();
}

Policy UnitRunner::policy() const {
    auto policy = policy_of(*wanted_, wanted_id_);
    if (scaled_to_ != 0)
        policy.workers = scaled_to_;
    return policy;
}

UnitSpecPtr const& UnitRunner::spec_of(SpecId id) const {
    if (id == wanted_id_)
        return wanted_;
    auto const found = std::find_if(older_specs_.begin(), older_specs_.end(),
                                    [&](KnownSpec const& known) { return known.id == id; });
    ensure(found != older_specs_.end(), "a generation's spec is kept");
    return found->spec;
}

SpecId UnitRunner::spec_id(UnitSpecPtr const& spec) const {
    auto const found = std::find_if(older_specs_.begin(), older_specs_.end(),
                                    [&](KnownSpec const& known) { return known.spec == spec; });
    return found == older_specs_.end() ? wanted_id_ : found->id;
}

UnitSpecPtr UnitRunner::generation_spec(GenerationId id) const {
    for (auto const& generation : state_.generations)
        if (generation.id == id)
            return spec_of(generation.policy.spec);
    return nullptr;
}

void UnitRunner::drop_unused_specs() {
    std::erase_if(pins_, [&](Pin const& pin) { return generation_spec(pin.generation) == nullptr; });
    std::erase_if(older_specs_, [&](KnownSpec const& known) {
        return std::none_of(state_.generations.begin(), state_.generations.end(),
                            [&](Generation const& generation) { return generation.policy.spec == known.id; });
    });
}

} // namespace holdfast
