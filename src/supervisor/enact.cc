// SPDX-License-Identifier: Apache-2.0
// Orders of the lifecycle core become system calls. Nothing here decides, and nothing here calls step(): what
// comes of an order is a fact for the next turn.
#include "lifecycle/sharing.h"
#include "supervisor/hosting.h"
#include "supervisor/instances.h"
#include "supervisor/on_demand.h"
#include "supervisor/unit_runner.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

namespace holdfast {

using namespace lifecycle;

namespace {

template <class... Cases>
struct Match : Cases... {
    using Cases::operator()...;
};

bool asks_by_messages(UnitSpec const& spec) {
    auto const& kinds = spec.service.handoff;
    return std::find(kinds.begin(), kinds.end(), HandoffKind::ScmRights) != kinds.end();
}

void steer(ShardCustody& shards, Hosting const& hosting, Steer const& order) {
    shards.steer(hosting.hosted(order.shares), hosting.hosted(order.named));
}

WorkerPlace place_of(Slot slot, GenerationId generation) {
    return {static_cast<std::uint16_t>(slot), static_cast<std::uint32_t>(generation)};
}

} // namespace

void UnitRunner::enact(Orders const& orders) {
    // Before those are told to go whom a change of places leaves without clients.
    if (std::ranges::none_of(orders, [](Order const& it) { return std::holds_alternative<Steer>(it); }))
        follow_workers();
    for (auto const& order : orders)
        enact(order);
}

void UnitRunner::enact(Order const& order) {
    std::visit(
        Match{
            [&](Spawn const& what) { spawn(what); },
            [&](Drain const& what) { drain(what.worker); },
            [&](Kill const& what) {
                if (auto* const worker = find(what.worker))
                    worker->process.kill_group();
            },
            [&](Reload const& what) { ask_to_reload(what.worker); },
            [&](Watch const&) {
                if (instances_)
                    return open_instances();
                sockets_.watch_limited([this] {
                    shared_.loop.set_owner(number_);
                    happen(TrafficArrived{});
                });
            },
            [&](Unwatch const&) {
                if (!instances_)
                    return sockets_.unwatch();
                state_.pause ? instances_->suspend() : instances_->close();
            },
            [&](WatchQueues const&) { OnDemand{*this}.watch_queues(); },
            [&](UnwatchQueues const&) { OnDemand{*this}.unwatch_queues(); },
            [&](WatchIdle const&) { underway().idle_watch = std::make_unique<IdleWatch>(*this); },
            [&](UnwatchIdle const&) { underway().idle_watch.reset(); },
            [&](HoldShards const& what) {
                if (auto* const shards = sockets_.shards())
                    sockets_.change_shards([&] { shards->hold(wanted_, what.slots); });
            },
            [&](Steer const& what) {
                if (auto* const shards = sockets_.shards())
                    steer(*shards, Hosting{workers_, state_, *shards}, what);
            },
            [&](WatchRest const& what) { watch_rest(what.shards); },
            [&](WatchLoad const& what) {
                auto* const shards = sockets_.shards();
                if (shards == nullptr)
                    return;
                Hosting const hosting{workers_, state_, *shards};
                std::vector<ShardCustody::Hosted> judged;
                for (auto const shard : what.shards)
                    judged.push_back({shard, hosting.host_of(shard)});
                shards->watch_load(judged, [this](Shard shard, bool is_stuck) {
                    if (lifecycle::is_stuck(state_, shard) == is_stuck)
                        return; // as nearly always
                    shared_.loop.set_owner(number_);
                    is_stuck ? happen(ShardStuck{shard}) : happen(ShardMoving{shard});
                });
            },
            [&](Arm const& what) {
                std::erase_if(timers_, [&](ArmedTimer const& timer) { return timer.key == what.timer; });
                timers_.push_back({what.timer, what.at});
            },
            [&](Disarm const& what) {
                std::erase_if(timers_, [&](ArmedTimer const& timer) { return timer.key == what.timer; });
            },
            [&](Report const& what) {
                bool const is_of_all =
                    what.happening == Happening::Stopped || what.happening == Happening::Paused;
                if (!is_of_all || !has_instances()) // else when they have ended
                    tell(what);
                if (memory_)
                    memory_->note_told();
            },
        },
        order);
}

void UnitRunner::spawn(Spawn const& order) {
    pin_as_recorded(order.generation);
    if (state_.rollout && state_.rollout->stage == RolloutStage::RollingBack)
        take_sockets_back(); // who went first may have held them until now
    auto const spawned = try_spawn(order, spec_of(order.spec));
    if (spawned) {
        start_watchdog(*find(order.worker), ServiceType::Simple);
        return happen(Forked{order.worker});
    }
    end_remains(order.generation, 0);
    underway().endings.push_back({order.worker, 0, to_string(spawned.error())});
    happen(SpawnFailed{order.worker});
}

Outcome UnitRunner::try_spawn(Spawn const& order, UnitSpecPtr const& spec) {
    ensure(!spec->service.accept);
    // A message of a dead process must not be taken for one of the process that is about to get its number.
    if (shared_.notify)
        shared_.notify->drain();
    shared_.loop.set_owner(number_); // those messages were of other units
    UniqueFd ours, theirs;
    if (asks_by_messages(*spec)) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
            return system_error(errno, "make a hand-off socket");
        ours = UniqueFd{ends[0]};
        theirs = UniqueFd{ends[1]};
    }
    auto const own = shard_of(order);
    auto const place = sockets_.shards() == nullptr ? own : sockets_.shards()->place_of(own);
    auto handed = sockets_.hand_out(*spec, place);
    PrivateListener for_probes;
    if (spec->health) {
        auto made = private_listener(*spec);
        if (!made)
            return std::move(made).error();
        for_probes = std::move(made).value();
        handed.push_back({{health_listener_name, for_probes.fd}, for_probes.port});
    }
    if (store_)
        for (auto& stored : store_->look())
            handed.push_back({std::move(stored), 0, true});
    auto at = place_of(order.slot, order.generation);
    // A number that the byte cannot hold would be cut to another worker's.
    if (auto const id = steering_id(place);
        sockets_.shards() != nullptr &&
        (spec->steering.mode != SteeringMode::PayloadByte || id <= spec->steering.highest_id()))
        at.steering_id = id;
    auto plan = make_launch_plan(*spec, at, handed, theirs, shared_.around);
    if (!plan)
        return plan.error();
    // Only where it is needed: a process that is executed by its descriptor has a number for its name.
    auto const pinned = pinned_program(order.generation);
    if (pinned && pinned->is_replaced())
        plan.value().pinned = pinned->file();
    plan.value().is_gated = memory_ != nullptr;
    auto launched = fork_worker(std::move(plan).value());
    if (!launched)
        return std::move(launched).error();
    auto gate = std::move(launched.value().gate);
    workers_.push_back(std::make_unique<RunningWorker>(shared_.loop, static_cast<WorkerObserver&>(*this),
                                                       order, place, spec, std::move(launched).value()));
    auto& worker = *workers_.back();
    shared_.leaders.add(worker.process.leader(), *this);
    if (spec->health)
        add_prober(worker, std::move(for_probes));
    if (ours.is_open())
        worker.handoff = open_handoff(std::move(ours), worker);
    if (memory_)
        memory_->keep(worker, std::move(gate));
    return {};
}

void UnitRunner::follow_workers() {
    auto* const shards = sockets_.shards();
    if (shards == nullptr || state_.shares.empty())
        return;
    auto const is_guest = [](auto const& worker) {
        return worker->shard.slot != static_cast<std::uint16_t>(worker->slot);
    };
    if (shards->shares() == state_.shares && std::ranges::none_of(workers_, is_guest))
        return; // as nearly always
    Hosting const hosting{workers_, state_, *shards};
    auto const shares = hosting.hosted(state_.shares);
    auto const named = hosting.hosted(named_shards(state_));
    if (shares != shards->shares() || named != shards->named())
        shards->steer(shares, named);
    shards->follow_load([&](Shard shard) { return hosting.host_of(shard); });
}

void UnitRunner::watch_rest(std::vector<Shard> const& restless) {
    auto* const shards = sockets_.shards();
    if (shards == nullptr)
        return;
    Hosting const hosting{workers_, state_, *shards};
    std::vector<ShardCustody::Hosted> watched;
    for (auto const shard : restless)
        watched.push_back({shard, hosting.host_of(shard)});
    shards->watch_rest(watched, [this](Shard shard) { hear_rest(shard); });
}

void UnitRunner::pin_program(WorkerProcess const& process) {
    auto const* const worker = find(static_cast<WorkerId>(process.id()));
    if (worker == nullptr || pinned_program(worker->generation) != nullptr)
        return;
    for (auto const& path : program_candidates(worker->spec->service.exec_start.front(), default_search_path))
        if (auto pinned = PinnedProgram::of(process.pid(), path)) {
            pins_.push_back({worker->generation, std::make_shared<PinnedProgram const>(std::move(*pinned))});
            return;
        }
}

/// A generation that goes back runs what the earlier one ran, from its first worker on.
void UnitRunner::pin_as_recorded(GenerationId id) {
    if (auto const* const record = underway().rollouts.find(id);
        record != nullptr && record->program && pinned_program(id) == nullptr)
        pins_.push_back({id, record->program});
}

std::shared_ptr<PinnedProgram const> UnitRunner::pinned_program(GenerationId id) const {
    auto const found =
        std::find_if(pins_.begin(), pins_.end(), [&](Pin const& pin) { return pin.generation == id; });
    return found == pins_.end() ? nullptr : found->program;
}

/// The plan is made again for this: to keep it with every worker until the execution would cost more, where a
/// thousand are started at once.
std::string UnitRunner::launch_failure_text(RunningWorker const& worker, LaunchFailure failure) const {
    auto const place = place_of(worker.slot, worker.generation);
    auto const plan = make_launch_plan(*worker.spec, place, sockets_.hand_out(*worker.spec, worker.shard), {},
                                       shared_.around);
    return to_string(plan ? to_error(failure, *plan) : plan.error());
}

std::unique_ptr<HandoffPort> UnitRunner::open_handoff(UniqueFd socket, RunningWorker& worker) {
    auto const lookup = [this, spec = worker.spec, place = worker.shard,
                         &worker](std::string const&) -> Result<std::vector<NamedFd>> {
        std::vector<NamedFd> named;
        // By its own spec what it was started with, and by the wanted one what was added since.
        for (auto const* of : {spec.get(), wanted_.get()})
            for (auto& held : sockets_.hand_out(*of, place))
                if (std::none_of(named.begin(), named.end(),
                                 [&](NamedFd const& known) { return known.fd == held.listener.fd; }))
                    named.push_back(std::move(held.listener));
        if (worker.prober)
            named.push_back(worker.prober->listener().listener);
        if (store_)
            std::ranges::move(store_->look(), std::back_inserter(named));
        return named;
    };
    return std::make_unique<HandoffPort>(shared_.loop, std::move(socket), RequestScope::OwnUnit, lookup,
                                         [&worker] { worker.handoff.reset(); });
}

void UnitRunner::arm_timer() {
    auto const earliest = std::min_element(
        timers_.begin(), timers_.end(), [](ArmedTimer const& a, ArmedTimer const& b) { return a.at < b.at; });
    auto next = earliest == timers_.end() ? MonotonicTime::never() : earliest->at;
    for (auto const& worker : workers_)
        next = std::min(next, worker->watchdog.due());
    if (is_broken_)
        next = MonotonicTime::never();
    shared_.alarms.move(number_, std::exchange(alarm_, next), next);
}

void UnitRunner::ring() {
    shared_.loop.set_owner(number_);
    alarm_ = MonotonicTime::never();
    auto const now = MonotonicTime::now();
    for (auto const& timer : timers_)
        if (timer.at <= now)
            happen(TimerExpired{timer.key});
    std::erase_if(timers_, [&](ArmedTimer const& timer) { return timer.at <= now; });
    ring_watchdogs(now);
    arm_timer();
}

} // namespace holdfast
