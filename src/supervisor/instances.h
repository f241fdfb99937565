// SPDX-License-Identifier: Apache-2.0
// The instances of a unit with `accept = true`: accepts, starts a process for each connection, and sees them
// end. What may be accepted and who is ended is lifecycle/instances.h's to say. Owned by its UnitRunner,
// which says when connections are wanted.
//
// What outlives us (promise P3): each process waits at its gate until the keeper has its pidfd, so that who
// comes after us counts it, sees it end and ends it. If we die in that moment, or between accept(2) and
// fork(2), that one connection is closed; no program has begun to serve it. Nobody is served twice.
#pragma once

#include "lifecycle/instances.h"
#include "supervisor/few_words.h"
#include "supervisor/instance_plan.h"
#include "supervisor/keeping.h"
#include "supervisor/shared.h"
#include "supervisor/socket_custody.h"
#include "worker/process.h"

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace holdfast {

/// What was kept of the instances of a unit.
struct FoundInstances {
    FoundThings processes;
    std::optional<HeldFd> text;
    [[nodiscard]] bool is_empty() const { return processes.empty(); }
};

class Instances final : private WorkerObserver {
public:
    using Id = lifecycle::InstanceId;
    struct Running {
        template <class Process>
        Running(RemotePeer who, MonotonicTime from, std::string name, EventLoop& loop,
                WorkerObserver& observer, std::uint32_t id, Process of)
            : peer{std::move(who)}, since{from}, kept{std::move(name)}, process{loop, observer, id,
                                                                                std::move(of)} {}
        RemotePeer peer;
        MonotonicTime since;
        std::string kept;          ///< its name at the keeper; empty: nowhere
        bool moves_itself = false; ///< into its cgroup, where it may (Launched)
        WorkerProcess process;
    };
    struct Ended {
        std::string name;
        pid_t pid = 0;
        std::string how; ///< "exit code 3"
        MonotonicTime since;
        MonotonicTime at;
    };

    /// `all_gone`: it is closed, and the last one has ended.
    Instances(Shared& shared, UnitRunner& unit, std::uint32_t number, SocketCustody& sockets,
              UnitSpecPtr spec, std::function<void()> all_gone);
    ~Instances();

    /// The next connections get this; the limits hold from now on.
    void follow(UnitSpecPtr spec);
    void open();
    /// Nobody is accepted any more, and those who serve are told to finish.
    void close();
    /// Nobody is accepted for now, and those who serve may finish: they are told to when they have had
    /// drain_timeout for it.
    void suspend();
    void kill_all();
    void freeze(); ///< nobody is accepted any more, nobody is told anything, and nothing is saved

    [[nodiscard]] bool is_open() const { return state_.is_open; }
    [[nodiscard]] bool is_empty() const { return state_.live.empty(); }
    [[nodiscard]] bool is_any_untold() const; ///< to go
    [[nodiscard]] bool has(Id id) const { return running_.contains(id); }
    [[nodiscard]] lifecycle::InstancesState const& state() const { return state_; }
    /// When somebody came, the last one went, or it was opened or closed; 0: never.
    [[nodiscard]] MonotonicTime since() const { return since_; }
    [[nodiscard]] std::map<Id, Running> const& running() const { return running_; }
    [[nodiscard]] std::deque<Ended> const& ended() const { return ended_; } ///< the last ones
    [[nodiscard]] UnitSpec const& spec() const { return *plan_.spec(); }

    /// Takes what is of instances out of what was found of a unit.
    [[nodiscard]] static FoundInstances take_from(FoundThings& found, std::string_view unit);
    void adopt(FoundInstances found);
    void save_now();  ///< what was put off
    void put_again(); ///< the keeper may lack anything of it
    void drop_all();  ///< nobody comes after us

private:
    void worker_executed(WorkerProcess& worker) override;
    void worker_is_ending(WorkerProcess&) override {}
    void worker_not_launched(WorkerProcess& worker, LaunchFailure failure) override;
    void worker_died(WorkerProcess& worker, ExitStatus status) override;
    std::optional<ExitStatus> exit_of(pid_t pid) override;

    void happen(lifecycle::InstanceFact fact);
    void enact(lifecycle::InstanceOrder const& order);
    void accept_from(Listener const& listener);
    void admit_those_of(Listener const& listener);
    void admit(Connection& connection);
    void admit_put_off();
    [[nodiscard]] bool is_room_for_one();
    void hear_start_failure(Id id, Error const& error);
    void hear_accept_failure(Listener const& listener, Error const& error);
    void pause(Duration how_long);
    void watch();
    [[nodiscard]] Outcome start(Id id, Connection const& connection);
    void tell_to_go(Id id);
    void bury(Id id, std::string how, bool is_failure);
    void forget(Id id);
    [[nodiscard]] static lifecycle::InstanceRules rules_of(UnitSpec const& spec);
    [[nodiscard]] static std::string start_limit_text(UnitSpec const& spec, Duration pause);
    [[nodiscard]] std::string name_of(Id id, RemotePeer const& peer) const;
    void keep(Running const& running, UniqueFd gate);
    void drop_soon(std::string name);
    void save_soon();
    void save();

    Shared& shared_;
    UnitRunner& unit_;
    std::uint32_t number_;
    SocketCustody& sockets_;
    InstancePlan plan_;
    std::function<void()> all_gone_;
    lifecycle::InstanceRules rules_;
    lifecycle::InstancesState state_;
    MonotonicTime since_;
    std::map<Id, Running> running_;
    std::deque<Ended> ended_;
    Connection* arrived_ = nullptr;     ///< that is being taken or refused
    std::optional<Connection> put_off_; ///< accepted, and no process could be made for it yet
    std::vector<lifecycle::InstanceFact> facts_;
    bool is_settling_ = false;
    bool is_frozen_ = false;
    FewWords words_;
    EventSource patience_;
    EventSource hold_;    ///< until some of what was started is long ago (trigger_limit_burst)
    Duration refusing_{}; ///< it took, since the last pause for it
    EventSource pause_;   ///< nobody is accepted until it rings
    EventSource saving_;
    std::shared_ptr<std::vector<std::string>> to_drop_ = std::make_shared<std::vector<std::string>>();
};

} // namespace holdfast
