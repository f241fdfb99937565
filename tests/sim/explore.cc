// SPDX-License-Identifier: Apache-2.0
#include "sim/explore.h"

#include <algorithm>
#include <unordered_set>

namespace holdfast::sim {

std::vector<TraceLine> possible_lines(World const& world) {
    std::vector<TraceLine> lines;
    auto const now = world.now;
    auto const add = [&](Fact const& fact) {
        if (world.kernel.may_happen(fact, now))
            lines.push_back({now, fact});
    };
    add(StartWished{});
    add(StopWished{});
    add(RestartWished{Strategy::Overlap});
    add(RestartWished{Strategy::Replace});
    if (world.wanted.strategy == Strategy::Rolling)
        add(RestartWished{Strategy::Rolling});
    if (world.wanted.strategy == Strategy::Canary)
        add(RestartWished{Strategy::Canary});
    if (world.wanted.strategy == Strategy::InPlace) {
        add(RestartWished{Strategy::InPlace});
        add(ReloadWished{});
    }
    if (world.resizes) {
        auto other = world.wanted;
        other.workers = static_cast<std::uint16_t>(3 - other.workers);
        lines.push_back({now, other});
        add(PolicyChanged{});
    }
    if (world.wanted.probation > Duration{0} || world.wanted.strategy == Strategy::Canary)
        add(UndoWished{});
    if (world.wanted.is_sharded && world.state.last_generation == no_generation)
        add(ShardsHeld{2});
    for (auto const shard : world.kernel.watched)
        add(ShardAtRest{shard});
    for (auto const shard : world.kernel.judged)
        add(ShardStuck{shard});
    for (auto const shard : world.kernel.stuck)
        add(ShardMoving{shard});
    if (world.pauses_unit) {
        add(PauseWished{std::chrono::seconds{4}});
        add(ResumeWished{});
        if (world.kernel.watching_queues)
            add(QueueNearlyFull{});
    }
    if (world.pauses) {
        add(PauseRolloutWished{});
        add(ResumeRolloutWished{});
    }
    add(TrafficArrived{});
    if (world.kernel.watching_idle && world.wanted.idle_stop > Duration{0}) {
        add(IdleBegan{});
        if (world.state.idle_since != MonotonicTime::never())
            add(IdleEnded{});
    }
    for (auto const& process : world.kernel.processes) {
        auto const id = process.id;
        add(Forked{id});
        add(Executed{id});
        add(SpawnFailed{id});
        if (process.reloads) {
            add(Reloaded{id});
            add(ReloadRefused{id});
        }
        if (!process.is_leaving()) {
            if (process.type == ServiceType::Notify)
                add(ReadySaid{id});
            if (process.ready)
                add(StoppingSaid{id});
            if (process.probed) {
                add(ProbePassed{id});
                add(ProbeFailed{id});
            }
            if (process.ready && world.wanted.probation > Duration{0})
                add(WatchdogMissed{id});
        }
        add(Exited{id, ExitKind::Clean});
        if (!process.told)
            add(Exited{id, ExitKind::UncleanCode});
    }
    if (auto const* const timer = world.kernel.earliest_timer())
        lines.push_back({std::max(now, timer->at), Fact{TimerExpired{timer->key}}});
    return lines;
}

namespace {

/// Hashes what it is given; ids by the order in which they are first met, times as distances from now.
class Fingerprint {
public:
    explicit Fingerprint(MonotonicTime now) : now_{now} {}
    void add(std::uint64_t value) {
        hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15ULL;
        hash_ ^= hash_ >> 29;
    }
    void add(WorkerId id) { add(rank(workers_, static_cast<std::uint32_t>(id))); }
    void add(GenerationId id) {
        add(id == no_generation ? 0 : 1 + rank(generations_, static_cast<std::uint32_t>(id)));
    }
    void add(MonotonicTime time) {
        add(time == MonotonicTime::never() ? ~0ULL : static_cast<std::uint64_t>((time - now_).count()));
    }
    void add(MonotonicTime time, Duration at_most) { add(now_ - time > at_most ? now_ + -at_most : time); }
    [[nodiscard]] std::uint64_t value() const { return hash_; }

private:
    static std::uint64_t rank(std::vector<std::uint32_t>& known, std::uint32_t id) {
        auto const it = std::ranges::find(known, id);
        auto const place = static_cast<std::uint64_t>(it - known.begin());
        if (it == known.end())
            known.push_back(id);
        return place;
    }
    MonotonicTime now_;
    std::uint64_t hash_ = 0xcbf29ce484222325ULL;
    std::vector<std::uint32_t> workers_;
    std::vector<std::uint32_t> generations_;
};

void add_state(Fingerprint& print, UnitState const& state, Duration long_ago) {
    for (auto const& generation : state.generations) {
        print.add(generation.id);
        print.add(static_cast<std::uint64_t>(generation.role) << 20 |
                  std::uint64_t{generation.has_served} << 17 | std::uint64_t{generation.is_thinned} << 16 |
                  generation.policy.workers);
        print.add(generation.retired_by);
    }
    for (auto const& worker : state.workers) {
        print.add(worker.id);
        print.add(worker.generation);
        print.add(static_cast<std::uint64_t>(worker.slot) << 32 | std::uint64_t{worker.tries} << 8 |
                  std::uint64_t{worker.missed_watchdog} << 24 | std::uint64_t{worker.is_stuck} << 48 |
                  std::uint64_t{worker.sent} << 25 | std::uint64_t{worker.is_lent} << 26 |
                  static_cast<std::uint64_t>(worker.bank) << 27 |
                  static_cast<std::uint64_t>(worker.phase) << 5 | std::uint64_t{worker.dismissed} << 4 |
                  std::uint64_t{worker.shown} << 3 | std::uint64_t{worker.was_ready} << 2 |
                  std::uint64_t{worker.forked} << 1 | std::uint64_t{worker.told});
        print.add(worker.ready_at, long_ago);
        print.add(worker.deadline);
    }
    print.add(static_cast<std::uint64_t>(state.goal) << 8 | std::uint64_t{state.listening} << 4 |
              std::uint64_t{state.start_owed} << 3 | std::uint64_t{state.stop_owed} << 2);
    print.add(state.idle_since);
    print.add(state.quick_ends);
    if (state.stop_owed)
        print.add(state.stop_covers);
    if (state.pause) {
        print.add(std::uint64_t{state.pause->is_owed});
        print.add(state.pause->until);
    }
    if (state.next) {
        print.add(state.next->id);
        print.add(static_cast<std::uint64_t>(state.next->strategy) << 2 |
                  std::uint64_t{state.next->is_urgent} << 7 | std::uint64_t{state.next->is_paused} << 8 |
                  std::uint64_t{state.next->is_rollout} << 1 | std::uint64_t{state.next->announced});
    }
    for (auto const& refill : state.refills) {
        print.add(refill.generation);
        print.add(static_cast<std::uint64_t>(refill.slot) << 32 | std::uint64_t{refill.tries} << 1 |
                  std::uint64_t{refill.limited});
        print.add(refill.at);
    }
    print.add(state.automatic_starts.size());
    for (auto const& start : state.automatic_starts) {
        print.add(static_cast<std::uint64_t>(start.slot));
        print.add(start.at, long_ago);
    }
    print.add(std::uint64_t{state.resize_owed});
    for (auto const& [shard, weight] : state.shares)
        print.add(std::uint64_t{shard.slot} << 1 | static_cast<std::uint64_t>(shard.bank));
    for (auto const& restless : state.restless) {
        print.add(std::uint64_t{restless.shard.slot} << 16 |
                  static_cast<std::uint64_t>(restless.shard.bank) << 9 |
                  std::uint64_t{restless.is_stranded} << 8 | restless.lent);
        print.add(restless.at);
    }
    if (state.reload) {
        print.add(state.reload->rollout);
        print.add(state.reload->worker);
        print.add(state.reload->reloaded);
        print.add(std::uint64_t{state.reload->is_wished} | std::uint64_t{state.reload->is_again} << 1 |
                  std::uint64_t{state.reload->is_asked} << 2 |
                  std::uint64_t{state.reload->last == state.last_worker} << 3);
        print.add(state.reload->deadline);
    }
    if (state.rollout) {
        print.add(state.rollout->id);
        print.add(static_cast<std::uint64_t>(state.rollout->strategy) << 8 |
                  static_cast<std::uint64_t>(state.rollout->stage));
        print.add(state.rollout->until);
        print.add(std::uint64_t{state.rollout->share} << 8 | state.rollout->aim);
        print.add(static_cast<std::uint64_t>(state.rollout->left.count()) << 1 |
                  std::uint64_t{state.rollout->is_paused});
    }
}

void add_processes(Fingerprint& print, Kernel const& kernel) {
    for (auto const& process : kernel.processes)
        print.add(static_cast<std::uint64_t>(process.stage) << 6 | std::uint64_t{process.late} << 5 |
                  std::uint64_t{process.ready} << 4 | std::uint64_t{process.stopping} << 3 |
                  std::uint64_t{process.told} << 2 | std::uint64_t{process.killed} << 1 |
                  std::uint64_t{process.extended} | std::uint64_t{process.signed_on} << 12 |
                  std::uint64_t{process.unhealthy} << 13 | std::uint64_t{process.lent} << 14 |
                  std::uint64_t{process.excused} << 15 | std::uint64_t{process.reloads} << 16);
    for (auto const& [shard, since] : kernel.dirty)
        print.add(std::uint64_t{shard.slot} << 1 | static_cast<std::uint64_t>(shard.bank));
}

void add_history(Fingerprint& print, History const& history) {
    print.add(std::uint64_t{history.up} << 1 | static_cast<std::uint64_t>(history.strategy));
    print.add(history.parked.size());
    for (auto const& waiter : history.waiters) {
        print.add(static_cast<std::uint64_t>(waiter.kind));
        print.add(waiter.acknowledged);
    }
}

} // namespace

std::uint64_t fingerprint(World const& world) {
    auto const long_ago = std::max(world.wanted.restart_max_delay, world.wanted.start_limit_interval);
    Fingerprint print{world.now};
    print.add(std::uint64_t{world.wanted.workers});
    add_state(print, world.state, long_ago);
    add_processes(print, world.kernel);
    add_history(print, world.history);
    return print.value();
}

namespace {

struct Node {
    std::size_t parent;
    TraceLine line;
};

std::vector<TraceLine> trace_to(std::vector<Node> const& nodes, std::size_t node) {
    std::vector<TraceLine> trace;
    for (; node != 0; node = nodes[node].parent)
        trace.push_back(nodes[node].line);
    std::ranges::reverse(trace);
    return trace;
}

/// Looks where the last worlds lead when the world calms down, in both ways.
Complaints check_ends(World const& world) {
    auto calm = world;
    if (auto complaints = come_to_rest(calm); !complaints.empty())
        return complaints;
    return outlast_stubborn_workers(world);
}

} // namespace

Exploration explore(World const& start, int depth) {
    Exploration result;
    std::vector<Node> nodes{{0, {}}};
    std::unordered_set<std::uint64_t> seen{fingerprint(start)};
    std::vector<std::pair<std::size_t, World>> frontier{{0, start}};
    auto const fail = [&](std::size_t node, Complaints complaints) {
        result.complaints = std::move(complaints);
        result.trace = trace_to(nodes, node);
        return result;
    };
    for (int level = 0; level < depth; ++level) {
        std::vector<std::pair<std::size_t, World>> next;
        bool const last = level + 1 == depth;
        for (auto const& [node, world] : frontier) {
            for (auto const& line : possible_lines(world)) {
                World after = world;
                auto complaints = after.deliver(line);
                ++result.steps;
                if (complaints.empty()) {
                    auto const print = fingerprint(after);
                    if (!seen.insert(print).second)
                        continue;
                    if (level < 4 || print % 16 == 0)
                        complaints = check_ends(after);
                }
                nodes.push_back({node, line});
                if (!complaints.empty())
                    return fail(nodes.size() - 1, std::move(complaints));
                if (!last)
                    next.emplace_back(nodes.size() - 1, std::move(after));
            }
        }
        frontier = std::move(next);
    }
    result.states = seen.size();
    return result;
}

} // namespace holdfast::sim
