// SPDX-License-Identifier: Apache-2.0
// One unit at work: its spec, its sockets, its workers, and the lifecycle core's state. Facts come in from
// the kernel and the operator, are queued, and are taken by step() one after the other; its orders are
// enacted here. What comes of an order returns as a fact, never as a call of step().
#pragma once

#include "lifecycle/levels.h"
#include "lifecycle/step.h"
#include "supervisor/fact_ring.h"
#include "supervisor/fd_store.h"
#include "supervisor/rollout_history.h"
#include "supervisor/running_worker.h"
#include "supervisor/shared.h"
#include "supervisor/socket_custody.h"
#include "supervisor/underway.h"
#include "supervisor/unit_memory.h"
#include "supervisor/unit_parts.h"
#include "worker/process.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

class UnitRunner final : private WorkerObserver {
public:
    /// `number` names the unit to the event loop (EventLoop::set_owner), never 0.
    UnitRunner(Shared& shared, std::uint32_t number, UnitSpecPtr spec);
    ~UnitRunner();
    [[nodiscard]] bool adopt(FoundThings found); ///< before anything else, see UnitMemory::adopt()
    void save();                                 ///< what is to outlive us, where there is a keeper
    [[nodiscard]] UnitMemory* memory() { return memory_.get(); } ///< null: there is no keeper

    [[nodiscard]] std::uint32_t number() const { return number_; }
    [[nodiscard]] UnitSpec const& spec() const { return *wanted_; }
    [[nodiscard]] UnitSpecPtr const& spec_ptr() const { return wanted_; }
    [[nodiscard]] lifecycle::UnitState const& state() const { return state_; }
    [[nodiscard]] SocketCustody const& sockets() const { return sockets_; }
    [[nodiscard]] std::vector<std::unique_ptr<RunningWorker>> const& workers() const { return workers_; }
    [[nodiscard]] MonotonicTime since() const { return since_; }
    [[nodiscard]] std::string const& trouble() const { return trouble_; }
    [[nodiscard]] bool is_broken() const { return is_broken_; }
    [[nodiscard]] Instances const* instances() const { return instances_.get(); } ///< null: no `accept`
    [[nodiscard]] FdStore const* store() const { return store_.get(); }           ///< null: nothing is stored
    [[nodiscard]] bool starts_when_held() const { return starts_when_held_; }
    [[nodiscard]] bool is_leaving() const { return is_leaving_; }
    [[nodiscard]] bool is_wanted_up() const; ///< also by the wishes that are not taken yet
    [[nodiscard]] bool is_running() const { return !state_.workers.empty(); }
    [[nodiscard]] bool has_workers_of(lifecycle::GenerationId generation) const; ///< also one that dumps core
    /// What serves was started from (not spec() after a failed rollout); null when nothing serves.
    [[nodiscard]] UnitSpecPtr serving_spec() const;
    [[nodiscard]] FactRing const& trace() const { return trace_; }
    [[nodiscard]] lifecycle::Policy policy() const; ///< of the wanted spec
    [[nodiscard]] std::vector<RolloutReport> rollouts_under_way() const;
    [[nodiscard]] RolloutHistory const* history() const { return history_.get(); } ///< null: there was none

    // ---- wishes ----
    bool hold_sockets();    ///< what cannot be bound is tried again by itself
    void start_when_held(); ///< at boot, and when an apply brings it: as soon as all sockets are held
    void start(WishAnswer answer);
    void stop(WishAnswer answer);
    void restart(std::optional<Strategy> strategy, WishAnswer answer);
    void reload(WishAnswer answer); ///< the workers re-read their configuration, one after the other
    /// From now on so many workers, 1 to most_workers; until a change brings another number. `answer` when
    /// all of them are ready and those that are too many are gone, or one did not come up.
    void scale(std::uint16_t workers, WishAnswer answer);
    void change_rollout(RolloutWish wish, WishAnswer answer);
    /// Who asked for it at `asked`, and whose supervisor died since (Restart, Reload, Undo): false where
    /// nothing of it has begun since, and it is to be asked for again.
    [[nodiscard]] bool answer_again(WishKind kind, MonotonicTime asked, WishAnswer const& answer);
    /// The first half of change(): binds what `spec` lists and is not held or coming. Where something runs, a
    /// socket that cannot be bound refuses the change with nothing changed.
    [[nodiscard]] Result<std::vector<Listener>> prepare(UnitSpec const& spec, Arrivals const& arrivals);
    /// Takes over a changed spec and what was made ready for it. `restart`: what runs is replaced by it, and
    /// a rollout that fails leaves the old generation with all it had.
    void change(UnitSpecPtr spec, bool restart, std::vector<Listener> arrived, WishAnswer answer);
    void change(UnitSpecPtr spec, bool restart, WishAnswer answer); ///< both
    /// A unit that an apply brings is given what comes from others, before hold_sockets().
    void take_in(std::vector<Listener> arrived) { sockets_.take_over(wanted_, std::move(arrived)); }
    [[nodiscard]] Listener release(ListenerIdentity const& listener) { return sockets_.release(listener); }
    void mark_replaced(ListenerIdentity const& listener) { sockets_.mark_replaced(listener); }
    /// Stops, and gives the sockets up; `removed` is called when nothing is left.
    void remove(std::function<void()> removed);
    void kill_all(); ///< SIGKILL to every worker, now: all that a broken unit still does
    /// It is no more, or nobody comes after us: all is given up, whatever waits in its sockets, unless they
    /// are left as they are. What is just destroyed is found again by the next supervisor.
    void end(bool leaves_sockets);

    // ---- facts ----
    void hear(NotifySender const& sender, NotifyMessage& message);
    void ring();                    ///< the earliest of its timers has come (shared_.alarms)
    void hear_core_dump(pid_t pid); ///< a process of ours begins to dump core
    void hear_hangup(int fd);       ///< somebody has shut that listener of ours down
    /// A promise was broken while we worked for this unit: no further orders, sockets and workers stay.
    void mark_broken(std::string_view what);

private:
    friend class OnDemand; ///< pauses it, among other things
    friend class IdleWatch;
    friend class UnitMemory;
    friend class UnitWords;

    void worker_executed(WorkerProcess& worker) override;
    void worker_is_ending(WorkerProcess& worker) override;
    void worker_not_launched(WorkerProcess& worker, LaunchFailure failure) override;
    void worker_has_ended(WorkerProcess& worker, ExitStatus status) override;
    void worker_died(WorkerProcess& worker, ExitStatus status) override;
    std::optional<ExitStatus> exit_of(pid_t pid) override;

    void happen(lifecycle::Fact fact);
    void settle();
    void take(lifecycle::Fact& fact, lifecycle::Policy const& rules);
    /// Does `what` when it is called. It finds the unit by its number: the unit may be gone by then.
    [[nodiscard]] std::function<void()> later(void (UnitRunner::*what)()) const;

    // a changed or removed spec (change.cc)
    void change_at_rest(UnitSpecPtr spec, bool restart, std::vector<Listener> arrived, WishAnswer answer);
    /// The wanted spec is another one; returns the one before.
    UnitSpecPtr want(UnitSpecPtr spec);
    void push_fresh(std::vector<int> const& known);
    /// A listener is another socket now: who can get it while it lives gets it, of the others it is said.
    void tell_renewed(Listener const& listener);
    void retire_unlisted(bool is_served); ///< in the wanted spec. Until it is done, who is to go serves on
    void take_sockets_back();
    void drain(lifecycle::WorkerId id);
    void tell_to_go(lifecycle::WorkerId id);
    void send_postponed_drains();
    void note_shards();
    void hear_rest(Shard shard);
    void answer_scale_at_rest(); ///< of one that changed nothing that runs

    void take_rollout_wish(lifecycle::Fact const& fact);
    void take_undo();
    void go_back();
    [[nodiscard]] Release const* release_before();
    void keep_former(RolloutRecord const& record);

    // orders (enact.cc)
    void enact(lifecycle::Orders const& orders);
    void enact(lifecycle::Order const& order);
    void spawn(lifecycle::Spawn const& order);
    [[nodiscard]] Outcome try_spawn(lifecycle::Spawn const& order, UnitSpecPtr const& spec);
    [[nodiscard]] std::unique_ptr<HandoffPort> open_handoff(UniqueFd socket, RunningWorker& worker);
    void follow_workers(); ///< a shard's may be another one, elsewhere, though the shares are the same
    void watch_rest(std::vector<Shard> const& restless);
    void arm_timer();
    void forget(WorkerProcess const& worker);
    void bury(WorkerProcess const& worker); ///< it has ended; what it left behind may have to
    void end_remains(lifecycle::GenerationId generation, pid_t leader);
    void replace_dumping(lifecycle::WorkerId id);
    void look_for_dump(RunningWorker& worker);
    [[nodiscard]] bool forget_dumped(WorkerProcess const& worker, ExitStatus status);
    void pin_program(WorkerProcess const& worker); ///< holds the file that its generation runs
    void pin_as_recorded(lifecycle::GenerationId id);
    [[nodiscard]] std::shared_ptr<PinnedProgram const> pinned_program(lifecycle::GenerationId id) const;
    void change_main(WorkerProcess& worker, pid_t pid);

    // reload.cc
    [[nodiscard]] Strategy strategy_for(Strategy wished) const;
    [[nodiscard]] bool answer_for_reload(MonotonicTime asked, WishAnswer const& answer);
    void end_reloads();
    void ask_to_reload(lifecycle::WorkerId id);
    void hear_reload_command(lifecycle::WorkerId id, std::string why);
    void take_back_reload(RunningWorker& worker, SavedWorker const& saved, AdoptedProcess command);
    void go_on_reloading(lifecycle::WorkerId id, bool is_told);
    void send_reload_signal(RunningWorker& worker);
    [[nodiscard]] bool send_counted(RunningWorker& worker, int signal);
    void await_reload(RunningWorker& worker);
    void prove_reload(RunningWorker& worker);
    void refuse_reload(RunningWorker& worker, std::string why);
    void hear_reload(RunningWorker& worker, NotifyMessage const& message);

    // unit_accept.cc
    [[nodiscard]] bool is_served() const; ///< by workers, or we accept ourselves
    [[nodiscard]] bool has_instances() const;
    void follow_accept(FoundInstances found);
    void open_instances();
    void hear_instances_gone();

    // watchdog.cc
    void hear_watchdog(RunningWorker& worker, NotifyMessage const& message);
    void start_watchdog(RunningWorker& worker, ServiceType sign);
    void ring_watchdogs(MonotonicTime now);
    void miss_watchdog(RunningWorker& worker, MonotonicTime now);

    // health.cc
    [[nodiscard]] Result<PrivateListener> private_listener(UnitSpec const& spec) const;
    void add_prober(RunningWorker& worker, PrivateListener listener);
    void hear_probe(lifecycle::WorkerId id, bool passed);
    [[nodiscard]] std::string unhealthy_text(lifecycle::WorkerId id) const;
    void end_watches(RunningWorker& worker); ///< it goes: it need neither ping nor pass any more

    // telling (tell.cc)
    void tell(lifecycle::Report const& report);
    void follow_rollouts(lifecycle::Report const& report, std::string const& told);
    [[nodiscard]] std::string note_cut(lifecycle::WorkerId id); ///< by its kill: for reports, and in words
    [[nodiscard]] std::vector<ListenAddress> served_addresses() const;
    [[nodiscard]] std::string launch_failure_text(RunningWorker const& worker, LaunchFailure failure) const;
    void begin_rollout(lifecycle::GenerationId id);
    void watch_queues();
    void finish_rollout(lifecycle::Report const& report, Verdict verdict, std::string const& told);
    void answer_wishes(lifecycle::Report const& report, std::string const& told);

    [[nodiscard]] std::vector<WishAnswer> take_waiting(WishKind kind);
    [[nodiscard]] std::string reason_to_refuse() const; ///< why it cannot be started; empty when it can

    [[nodiscard]] RunningWorker* find(lifecycle::WorkerId id);
    [[nodiscard]] RunningWorker* find_by_process(pid_t pid); ///< whose session it is in
    [[nodiscard]] UnitSpecPtr generation_spec(lifecycle::GenerationId id) const;
    [[nodiscard]] UnitSpecPtr const& spec_of(lifecycle::SpecId id) const;
    [[nodiscard]] lifecycle::SpecId spec_id(UnitSpecPtr const& spec) const;
    void drop_unused_specs();

    [[nodiscard]] Underway& underway();
    void drop_underway();

    Shared& shared_;
    std::uint32_t number_;
    lifecycle::SpecId wanted_id_{1};
    bool is_broken_ = false;
    bool is_leaving_ = false;
    bool starts_when_held_ = false;
    std::uint16_t scaled_to_ = 0; ///< what scale() said; 0: what the spec says
    bool is_settling_posted_ = false;
    bool is_no_longer_in_place_ = false; ///< the restart that is being taken was to be, and cannot
    Strategy strategy_of_next_{};        ///< of the restart that is being taken
    UnitSpecPtr wanted_;
    lifecycle::UnitState state_;
    std::vector<KnownSpec> older_specs_; ///< those that a generation still uses
    std::vector<Pin> pins_;              ///< of the generations that are there
    std::unique_ptr<Release> former_;    ///< that an undo goes back to; null: there was no rollout
    SocketCustody sockets_;
    std::vector<std::unique_ptr<RunningWorker>> workers_;
    std::vector<std::unique_ptr<RunningWorker>> dumping_; ///< replaced already; their cores are being written
    std::vector<lifecycle::ArmedTimer> timers_;
    MonotonicTime alarm_ = MonotonicTime::never(); ///< as it is set in shared_.alarms
    FactRing trace_;
    MonotonicTime since_; ///< when phase_of(state) last changed
    std::string trouble_; ///< the last thing that went wrong, in words
    std::unique_ptr<RolloutHistory> history_;
    std::unique_ptr<LastReload> last_reload_; ///< for who asks again
    std::unique_ptr<Underway> underway_;
    std::unique_ptr<UnitMemory> memory_;
    std::unique_ptr<FdStore> store_;
    std::unique_ptr<Instances> instances_; ///< of a unit with `accept`; destroyed before sockets_
};

} // namespace holdfast
