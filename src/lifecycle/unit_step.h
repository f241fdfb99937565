// SPDX-License-Identifier: Apache-2.0
// UnitStep: one step of one unit, the inside of step(). A fact marks what happened (the on() functions),
// settle() then draws the conclusions, and step() emits the levels. Each part of the state is changed in one
// place: a worker's phase in enter(), a generation's part in retire(), arrive(), take_the_seat() and
// begin_next().
#pragma once

#include "lifecycle/back_off.h"
#include "lifecycle/order.h"
#include "lifecycle/state.h"

namespace holdfast::lifecycle {

class UnitStep {
public:
    UnitStep(UnitState& state, Policy const& wanted_policy, MonotonicTime now, Orders& orders)
        : state_{state}, wanted_{wanted_policy}, now_{now}, orders_{orders} {}

    // wishes.cc: what the operator's wishes mean
    void on(StartWished const&);
    void on(StopWished const&);
    void on(RestartWished const&);
    void on(UndoWished const&);
    void on(PauseRolloutWished const&);
    void on(ResumeRolloutWished const&);
    void on(PolicyChanged const&);
    void on(ReloadWished const&);

    // pause.cc: clients wait for a while
    void on(PauseWished const&);
    void on(ResumeWished const&);
    void on(QueueNearlyFull const&);

    // idle.cc: nobody is there
    void on(IdleBegan const&);
    void on(IdleEnded const&);
    void note_idle(); ///< after all else: who is lent is somebody too

    // step.cc: what a fact means
    void on(TrafficArrived const&);
    void on(Forked const&);
    void on(Executed const&);
    void on(SpawnFailed const&);
    void on(ReadySaid const&);
    void on(StoppingSaid const&);
    void on(ProbePassed const&);
    void on(ProbeFailed const&);
    void on(WatchdogMissed const&);
    void on(TimeExtended const&);
    void on(Exited const&);
    void on(TimerExpired const&);

    // reload.cc
    void on(Reloaded const&);
    void on(ReloadRefused const&);

    // shard_rest.cc: shards that have lost their share
    void on(ShardsHeld const&);
    void on(ShardAtRest const&);
    void on(ShardStuck const&);
    void on(ShardMoving const&);
    void judge_workers();
    /// The shares are other ones from here on, and other shards are named.
    void note_shares(Shares shares, std::vector<Shard> const& named_before);
    /// What follows from that, and from who is in them.
    void tend_shards();

    // rollout.cc: what follows from it
    void settle();

private:
    /// A slot that waits for its next try goes on waiting, or is tried now.
    enum class Promised : std::uint8_t { Stays, IsTried };
    /// Who is to drain no longer: those who may for ever, or whoever has more time than a stop would give
    /// him.
    enum class Hurry : std::uint8_t { TheEndless, All };
    /// Workers of all generations that have not been told to go, together.
    struct Pool {
        unsigned ready = 0;   ///< and well
        unsigned unwell = 0;  ///< ready: they serve until another one does, and are not counted on
        unsigned alive = 0;   ///< ready, starting or promised
        unsigned floor = 1;   ///< so many ready ones we leave
        unsigned ceiling = 1; ///< so many alive ones we make
    };

    // wishes.cc
    void start_from_nothing(bool is_wished = true);
    void resize(Generation& generation);

    // step.cc
    void on_start_deadline(Worker& worker);
    void on_stop_deadline(Worker& worker);
    void come_up(WorkerId id, ServiceType type);

    // rollout.cc: generations come and go
    void propose(NextGeneration const& next);
    void supersede(GenerationId by, Strategy strategy);
    void leave(Generation& old);
    void park(Generation& old);
    void end_probation();
    void retire(Generation& generation, GenerationId by);
    void promote(Generation& incoming, GenerationId by);
    void fail(GenerationId generation, WorkerId worker, Cause cause, std::optional<ExitKind> exit);
    void tell_that_it_failed(Report what, bool resizers_too = true);
    void stop_rollouts(Cause cause = Cause::None);
    void arrive();
    void drop_gone();
    void take_the_seat();
    void make_way();
    void answer_resize();
    void answer_stop();
    void begin_next();
    void hurry_for(NextGeneration const& next);
    void cut_short_surplus();
    void hurry(Generation const& generation, Hurry which);
    void finish();
    [[nodiscard]] bool may_begin(NextGeneration const& next) const;
    [[nodiscard]] bool is_served() const;
    [[nodiscard]] bool is_in_the_way(Generation const& generation, GenerationId next) const;
    [[nodiscard]] bool may_take_over(Generation const& incoming) const;
    [[nodiscard]] bool is_coming(GenerationId rollout) const;
    [[nodiscard]] bool is_draining_for(GenerationId rollout) const;

    // rolling.cc: slots pass from one generation to another, and back
    [[nodiscard]] Pool pool(Policy const& policy, GenerationId alone = no_generation) const;
    [[nodiscard]] bool has_well(GenerationId generation) const;
    static bool can_spare(Worker const& worker, Pool& pool);
    void dismiss(Worker& worker);
    void cede(Slot slot, GenerationId to, bool ready, Pool& pool);
    void roll();
    void trim();
    void release_withdrawn();
    void relieve();
    void let_go(std::vector<WorkerId> candidates, Policy const& policy, GenerationId alone = no_generation);

    // way_back.cc
    [[nodiscard]] bool is_leaned_on(Strategy strategy);
    void retire_withdrawn(GenerationId by);
    void roll_back(Generation& generation, Report const& why);
    void fall_back(Generation* failed, Report const& why);
    [[nodiscard]] bool waits_to_recover();
    void recover();
    void fail_rollout(Report const& why);
    void finish_roll_back();
    void end_roll_back(bool is_restored);
    void keep_what_is_ready();
    [[nodiscard]] bool is_recovering(Generation const& generation) const;

    // canary.cc
    void advance_canary();
    void end_hold();

    // idle.cc
    void stop_when_idle();

    // pause.cc
    void end_what_waits();
    void end_pause(Cause cause);
    void resume_by_itself(Cause cause);
    void answer_pause();

    // reload.cc
    void begin_in_place(GenerationId id);
    ReloadRound& want_reload();
    void advance_reload();
    void finish_reload();
    [[nodiscard]] bool is_reload_held() const;
    void fail_reload(Report what);
    void note_fault(Report const& what);
    void end_in_place(GenerationId rollout);
    void leave_reload();
    void on_reload_deadline(WorkerId id);

    // shard_rest.cc
    void tell_the_leaving();
    void tell_to_go(Worker& worker);
    void look_after(RestlessShard& restless);
    void lend(RestlessShard& restless, Generation const& serving);
    [[nodiscard]] bool is_attended(Shard shard) const;

    // workers.cc: slots are filled and emptied
    void enter(Worker& worker, WorkerPhase phase, MonotonicTime deadline);
    void spawn(Generation const& generation, Slot slot, unsigned tries);
    void fill(Generation const& generation, Promised promised);
    void promise_empty_slots(Generation const& generation);
    void replace(Worker& unhealthy);
    [[nodiscard]] bool is_open(Generation const& generation, Slot slot) const;
    void show_sign(Worker& worker);
    void become_ready(Worker& worker);
    void send_away(Worker& worker, Duration patience);
    void lose(Worker& lost, Cause cause, Ending ending, std::optional<ExitKind> exit);
    void give_up(Worker const& stuck);
    void take_out(WorkerId id);
    void vacate(Worker const& gone, Ending ending);
    void refill(Generation const& generation, Worker const& gone, Ending ending);
    void promise(Refill refill, Policy const& policy);
    void try_now(Refill refill);
    void start_limit_hit(Refill refill, MonotonicTime until);
    [[nodiscard]] std::optional<MonotonicTime> count_automatic_start(Policy const& policy, Slot slot);
    void reset_counters();

    // workers.cc: looking
    [[nodiscard]] Worker* find(WorkerId id);
    [[nodiscard]] Generation* find(GenerationId id);
    [[nodiscard]] Generation* find(Role role);
    [[nodiscard]] Generation* find_ready(Role role);
    [[nodiscard]] Generation& the(GenerationId id);
    [[nodiscard]] Generation& the(Role role);
    [[nodiscard]] Duration patience_for(Generation const& generation) const;
    [[nodiscard]] Duration patience_for(Worker const& worker);
    [[nodiscard]] bool all_ready(Generation const& generation) const;
    [[nodiscard]] bool has_ready(GenerationId generation) const;
    [[nodiscard]] bool has_worker(GenerationId generation) const;
    [[nodiscard]] GenerationId new_generation(Strategy strategy);

    void report(Report const& what) {
        ++changes_;
        orders_.emplace_back(what);
    }

    UnitState& state_;
    Policy const& wanted_;
    MonotonicTime now_;
    Orders& orders_;
    unsigned changes_ = 0; ///< in this step: of what a worker or a generation is, or was reported
};

} // namespace holdfast::lifecycle
