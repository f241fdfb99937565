// SPDX-License-Identifier: Apache-2.0
#include "supervisor/instances.h"

#include "base/scope_exit.h"
#include "lifecycle/happening.h"
#include "supervisor/policy.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace holdfast {

using namespace lifecycle;
using namespace std::chrono_literals;

namespace {

/// So long connections are taken in one turn of the loop: to start a process takes a tenth of it, and other
/// units wait no longer.
constexpr Duration longest_turn = 1ms;
/// Who is refused, or has gone again, takes so much of a turn, and then a fifth of the time: what is more
/// waits in its own queue, where the kernel drops it, and costs no other unit anything.
constexpr Duration longest_refusing = 500us;
constexpr int pauses_per_refusing = 4;
/// Where descriptors, memory or processes are used up, or the listener does not listen just now.
constexpr Duration pause_when_short = 100ms;
constexpr std::size_t most_ended = 16;

std::uint64_t refused_of(InstanceCounts const& counts) {
    return counts.refused_full + counts.refused_source;
}

std::uint32_t number_of(InstanceId id) {
    return static_cast<std::uint32_t>(id);
}

/// Of descriptors, processes or memory: it will pass.
bool is_want_of_room(int code) {
    return code == EMFILE || code == ENFILE || code == EAGAIN || code == ENOMEM || code == ENOBUFS;
}

template <class... Cases>
struct Match : Cases... {
    using Cases::operator()...;
};

} // namespace

Instances::Instances(Shared& shared, UnitRunner& unit, std::uint32_t number, SocketCustody& sockets,
                     UnitSpecPtr spec, std::function<void()> all_gone)
    : shared_{shared}, unit_{unit}, number_{number}, sockets_{sockets}, plan_{std::move(spec), shared.around},
      all_gone_{std::move(all_gone)}, rules_{rules_of(*plan_.spec())},
      words_{shared.loop, [this](Weight weight, std::string_view kind, std::string text) {
                 shared_.loop.set_owner(number_);
                 shared_.events.say(weight, kind, plan_.spec()->name, std::move(text));
             }} {}

/// What runs is found again by the next supervisor.
Instances::~Instances() {
    sockets_.unwatch();
    if (put_off_)
        reset_connection(std::move(*put_off_));
    shared_.instances -= running_.size();
    for (auto const& [id, running] : running_)
        shared_.leaders.remove(running.process.leader());
}

InstanceRules Instances::rules_of(UnitSpec const& spec) {
    auto const limit = trigger_limit_of(spec);
    return {.most = spec.service.max_connections,
            .most_per_source = spec.service.max_connections_per_source,
            .on_full = spec.service.on_full,
            .patience = spec.service.timeout_stop,
            .peace = spec.drain_timeout(),
            .limit_burst = limit.burst,
            .limit_interval = limit.interval};
}

std::string Instances::start_limit_text(UnitSpec const& spec, Duration pause) {
    auto const limit = trigger_limit_of(spec);
    return std::to_string(limit.burst) + " processes were started in " + to_string(limit.interval) +
           " (trigger_limit_burst): others wait in the queue, and are accepted in " + to_short_string(pause) +
           ", then one every " + to_short_string(limit.interval / limit.burst) + " as long as this lasts";
}

std::string Instances::name_of(InstanceId id, RemotePeer const& peer) const {
    return instance_name(plan_.spec()->name, id, peer);
}

// ---- wishes ----

void Instances::follow(UnitSpecPtr spec) {
    plan_.renew(std::move(spec));
    rules_ = rules_of(*plan_.spec());
    happen(RulesChanged{});
}

void Instances::open() {
    happen(Opened{});
}

void Instances::close() {
    if (state_.is_open || std::ranges::any_of(state_.live, [](Instance const& instance) {
            return instance.phase == InstancePhase::Running;
        }))
        happen(Closed{});
}

void Instances::suspend() {
    happen(Suspended{});
}

void Instances::kill_all() {
    for (auto& [id, running] : running_)
        running.process.kill_group();
}

void Instances::freeze() {
    is_frozen_ = true;
    for (auto* const source : {&patience_, &hold_, &pause_, &saving_})
        source->reset();
}

// ---- facts and orders ----

void Instances::happen(InstanceFact fact) {
    facts_.push_back(fact);
    if (is_settling_)
        return;
    is_settling_ = true;
    ScopeExit const settled{[this] { is_settling_ = false; }};
    while (!facts_.empty()) {
        auto const before = std::pair{state_.is_open, state_.live.empty()};
        auto const next = facts_.front();
        facts_.erase(facts_.begin());
        auto const now = MonotonicTime::now();
        auto const orders = step(state_, rules_, next, now);
        if (before != std::pair{state_.is_open, state_.live.empty()})
            since_ = now;
        for (auto const& order : orders)
            enact(order);
    }
    save_soon();
}

void Instances::enact(InstanceOrder const& order) {
    std::visit(
        Match{
            [&](StartInstance const& what) {
                if (auto const started = start(what.id, *arrived_); !started)
                    hear_start_failure(what.id, started.error());
            },
            [&](RefuseConnection const& what) {
                auto const& service = plan_.spec()->service;
                if (what.why == Refusal::Full)
                    words_.say(Weight::Warning, "connection-refused",
                               to_string(arrived_->peer) + " is refused: max_connections (" +
                                   std::to_string(service.max_connections) + ") are served");
                else if (what.why == Refusal::SourceFull)
                    words_.say(Weight::Warning, "connection-refused",
                               to_string(arrived_->peer) + " is refused: its source has " +
                                   std::to_string(service.max_connections_per_source) +
                                   " connections (max_connections_per_source)");
                reset_connection(std::move(*arrived_));
            },
            [&](TellInstance const& what) { tell_to_go(what.id); },
            [&](KillInstance const& what) {
                auto& running = running_.at(what.id);
                words_.say(Weight::Warning, "drain-deadline-passed",
                           name_of(what.id, running.peer) + " has not ended in time and is killed");
                running.process.kill_group();
            },
            [&](AbandonInstance const& what) {
                auto const& running = running_.at(what.id);
                words_.say(Weight::Failure, "worker-stuck",
                           name_of(what.id, running.peer) + " (pid " + std::to_string(running.process.pid()) +
                               ") is not ended by SIGKILL, and is no longer waited for");
                bury(what.id, "not ended by SIGKILL", false);
            },
            [&](AcceptConnections const& what) {
                if (what.on)
                    return watch();
                if (!state_.is_open)
                    return sockets_.unwatch();
                sockets_.rest(true);
                if (state_.live.size() >= rules_.most)
                    words_.say(Weight::Normal, "full",
                               "max_connections (" + std::to_string(state_.live.size()) +
                                   ") are served: others wait in the queue until one ends");
            },
            [&](AwaitPatience const& what) {
                if (is_frozen_)
                    return;
                patience_ =
                    what.at == MonotonicTime::never() ? EventSource{} : shared_.loop.at(what.at, [this] {
                        shared_.loop.set_owner(number_);
                        happen(PatienceEnded{});
                    });
            },
            [&](AwaitHold const& what) {
                hold_ = what.at == MonotonicTime::never() ? EventSource{} : shared_.loop.at(what.at, [this] {
                    shared_.loop.set_owner(number_);
                    happen(HoldEnded{});
                });
            },
            [&](StartLimitMet const& what) {
                shared_.events.say(Weight::Failure, to_name(Happening::TriggerLimitHit), plan_.spec()->name,
                                   start_limit_text(*plan_.spec(), what.until - MonotonicTime::now()));
            },
            [&](AllInstancesGone const&) { shared_.loop.post(all_gone_); },
        },
        order);
}

/// Accepting takes one descriptor, a process some more: who was accepted in a want of them waits as he would
/// in the queue. What will not pass is told to him at once.
void Instances::hear_start_failure(InstanceId id, Error const& error) {
    bool const is_want = is_want_of_room(error.code);
    words_.say(Weight::Failure, "instance-failed",
               name_of(id, arrived_->peer) + ": " + to_string(error) +
                   (is_want ? "; it is tried again, and others wait in the queue" : ""));
    if (is_want)
        put_off_ = std::move(*arrived_);
    else
        reset_connection(std::move(*arrived_));
    if (shared_.remains)
        shared_.remains->worker_ended({plan_.spec()->name, number_of(id)}, 0, true);
    is_want ? happen(StartPutOff{id}) : happen(InstanceEnded{id, true});
    pause(pause_when_short);
}

void Instances::tell_to_go(InstanceId id) {
    auto& running = running_.at(id);
    int const signal = plan_.spec()->service.drain_signal;
    if (shared_.keeping && !running.kept.empty() && shared_.keeping->signal(running.kept, signal))
        return;
    // A failure means that it is dead already; its death is about to be told.
    (void)running.process.send(signal);
}

// ---- accepting ----

void Instances::watch() {
    if (pause_ || is_frozen_)
        return;
    if (put_off_) // first, but not within this turn
        return pause(Duration{0});
    if (sockets_.is_watching_each())
        return sockets_.rest(false);
    sockets_.watch_each([this](Listener const& listener) {
        shared_.loop.set_owner(number_);
        accept_from(listener);
    });
}

void Instances::pause(Duration how_long) {
    if (pause_)
        return;
    sockets_.rest(true);
    pause_ = shared_.loop.at(MonotonicTime::now() + how_long, [this] {
        shared_.loop.set_owner(number_);
        pause_.reset();
        admit_put_off();
        if (state_.is_accepting)
            watch();
    });
}

void Instances::admit_put_off() {
    if (!put_off_ || is_frozen_)
        return;
    happen(ClientWaits{});
    if (!state_.is_accepting || !is_room_for_one())
        return;
    auto connection = std::move(*put_off_);
    put_off_.reset();
    admit(connection);
}

void Instances::admit(Connection& connection) {
    arrived_ = &connection;
    ScopeExit const done{[this] { arrived_ = nullptr; }};
    happen(ConnectionArrived{source_of(connection.peer)});
}

bool Instances::is_room_for_one() {
    if (shared_.instances < shared_.most_instances)
        return true;
    words_.say(Weight::Failure, "accept-failed",
               "units with accept = true serve " + std::to_string(shared_.instances) +
                   " connections together, the most that there may be; others wait in the queue");
    pause(pause_when_short);
    return false;
}

void Instances::accept_from(Listener const& listener) {
    admit_those_of(listener);
    if (refusing_ < longest_refusing)
        return;
    refusing_ = Duration{};
    pause(longest_refusing * pauses_per_refusing);
}

void Instances::admit_those_of(Listener const& listener) {
    auto now = MonotonicTime::now();
    auto const turn_ends = now + longest_turn;
    FdRef const from = listener.fd;
    bool const non_blocking = listener.bound_with.non_blocking;
    happen(ClientWaits{});
    while (state_.is_accepting && !pause_ && now < turn_ends && refusing_ < longest_refusing) {
        if (is_at_limit(state_, rules_, now) || !is_room_for_one())
            break; // whether anybody else waits is told by the next turn
        auto connection = accept_connection(from, non_blocking);
        bool const is_lost = !connection && connection.error().code == ECONNABORTED;
        if (!connection && !is_lost)
            return hear_accept_failure(listener, connection.error());
        auto const refused = refused_of(state_.counts);
        if (!is_lost)
            admit(*connection);
        auto const before = std::exchange(now, MonotonicTime::now());
        if (is_lost || refused_of(state_.counts) != refused)
            refusing_ += now - before;
    }
}

void Instances::hear_accept_failure(Listener const& listener, Error const& error) {
    if (error.code == EAGAIN)
        return;
    words_.say(Weight::Failure, "accept-failed",
               to_string(listener.bound()) + ": " + to_string(error) + "; who waits there goes on waiting");
    pause(pause_when_short);
}

// ---- processes ----

Outcome Instances::start(InstanceId id, Connection const& connection) {
    // A message of a dead process must not be taken for one of the process that is about to get its number.
    if (shared_.notify)
        shared_.notify->drain();
    shared_.loop.set_owner(number_); // those messages were of other units
    auto const plan = plan_.plan_for(id, connection, shared_.keeping != nullptr);
    if (!plan)
        return plan.error();
    auto launched = fork_worker(**plan); // a copy: it is used until the child has executed
    if (!launched)
        return std::move(launched).error();
    auto gate = std::move(launched.value().gate);
    bool const moves_itself = launched.value().moves_itself;
    auto kept = shared_.keeping ? kept_name("worker", plan_.spec()->name, {number_of(id)}) + ' ' +
                                      to_word(connection.peer)
                                : std::string{};
    auto const [place, is_new] =
        running_.try_emplace(id, connection.peer, MonotonicTime::now(), std::move(kept), shared_.loop,
                             static_cast<WorkerObserver&>(*this), number_of(id), std::move(launched).value());
    ++shared_.instances;
    auto& running = place->second;
    running.moves_itself = moves_itself;
    shared_.leaders.add(running.process.leader(), unit_);
    keep(running, std::move(gate));
    return {};
}

void Instances::worker_executed(WorkerProcess& worker) {
    auto const& running = running_.at(InstanceId{worker.id()});
    if (shared_.remains)
        shared_.remains->check(worker.pid(), {plan_.spec()->name, worker.id()}, running.moves_itself);
}

void Instances::worker_not_launched(WorkerProcess& worker, LaunchFailure failure) {
    shared_.loop.set_owner(number_);
    auto const* const plan = plan_.last();
    bury(InstanceId{worker.id()}, plan != nullptr ? to_string(to_error(failure, *plan)) : "was not launched",
         true);
}

void Instances::worker_died(WorkerProcess& worker, ExitStatus status) {
    shared_.loop.set_owner(number_);
    bury(InstanceId{worker.id()}, to_string(status), !is_clean(status));
}

std::optional<ExitStatus> Instances::exit_of(pid_t pid) {
    return shared_.keeping ? shared_.keeping->exit_of(pid) : std::nullopt;
}

void Instances::bury(InstanceId id, std::string how, bool is_failure) {
    auto const& running = running_.at(id);
    auto const known = std::ranges::find(state_.live, id, &Instance::id);
    // Who was told to go may end in any way.
    is_failure = is_failure && known != state_.live.end() && known->phase == InstancePhase::Running;
    if (is_failure)
        words_.say(Weight::Warning, "instance-failed",
                   name_of(id, running.peer) + " (pid " + std::to_string(running.process.pid()) +
                       "): " + how);
    ended_.push_back({name_of(id, running.peer), running.process.pid(), std::move(how), running.since,
                      MonotonicTime::now()});
    if (ended_.size() > most_ended)
        ended_.pop_front();
    auto const leader = running.process.leader();
    forget(id);
    if (shared_.remains)
        shared_.remains->worker_ended({plan_.spec()->name, number_of(id)}, leader, true);
    happen(InstanceEnded{id, is_failure});
}

void Instances::forget(InstanceId id) {
    auto const found = running_.find(id);
    shared_.leaders.remove(found->second.process.leader());
    if (!found->second.kept.empty())
        drop_soon(std::move(found->second.kept));
    running_.erase(found);
    --shared_.instances;
}

} // namespace holdfast
