// SPDX-License-Identifier: Apache-2.0
#include "sim/world.h"

#include "base/ensure.h"
#include "sim/invariants.h"

#include <algorithm>

namespace holdfast::sim {

Complaints World::deliver(TraceLine const& line) {
    now = std::max(now, line.at);
    if (auto const* const policy = std::get_if<Policy>(&line.what)) {
        wanted = *policy;
        return {};
    }
    auto const& fact = std::get<Fact>(line.what);
    if (!kernel.may_happen(fact, now))
        return {};
    Kernel const before = kernel;
    auto const id = worker_of(fact);
    bool const settles = std::ranges::any_of(state.workers, [&](Worker const& worker) {
        return worker.id == id && std::ranges::any_of(state.generations, [&](Generation const& generation) {
                   return (generation.id == worker.generation && generation.role == Role::Incoming) ||
                          generation.role == Role::Parked;
               });
    });
    kernel.happen(fact, now, settles);
    Kernel const between = kernel;
    Orders orders;
    try {
        orders = step(state, wanted, fact, now);
    } catch (BrokenPromise const& broken) {
        return {{"promises-are-kept", broken.what()}};
    }
    enact(kernel, orders);
    Scene const scene{.wanted = wanted,
                      .fact = fact,
                      .now = now,
                      .orders = orders,
                      .before = before,
                      .between = between,
                      .after = kernel,
                      .history = history,
                      .state = state};
    Complaints complaints;
    check_invariants(scene, only, complaints);
    if (dies)
        check_deaths(
            scene, resume, [this](Kernel& in, Orders const& some) { enact(in, some); }, complaints);
    auto waiters = waiters_after(scene, complaints);
    remember(scene, history, std::move(waiters));
    return heard(std::move(complaints));
}

void World::enact(Kernel& in, Orders const& orders) const {
    for (auto const& order : orders) {
        auto const* const spawn = std::get_if<Spawn>(&order);
        auto const* const memory = spawn != nullptr ? history.find(spawn->generation) : nullptr;
        in.enact(order, memory != nullptr ? memory->policy : wanted, now);
    }
}

Complaints World::die() {
    forget_what_died(kernel);
    auto const resumed = resume(state, found_in(kernel));
    enact(kernel, resumed.orders);
    for (auto const& fact : resumed.facts)
        if (auto complaints = deliver({now, fact}); !complaints.empty())
            return complaints;
    return {};
}

Complaints World::heard(Complaints complaints) const {
    std::erase_if(complaints,
                  [&](Complaint const& complaint) { return !only.empty() && complaint.invariant != only; });
    return complaints;
}

namespace {

constexpr int long_enough = 400;

/// What a worker that behaves well does next, if it does not just serve.
std::optional<Fact> good_next(Process const& process) {
    switch (process.stage) {
    case Stage::Ordered:
        return Forked{process.id};
    case Stage::Forked:
        if (process.killed)
            return Exited{process.id, ExitKind::UncleanSignal};
        return Executed{process.id};
    case Stage::Executed:
        break;
    }
    if (process.lent && !process.told && !process.killed)
        return std::nullopt;
    if (process.is_leaving() && (!process.excused || process.told || process.killed))
        return Exited{process.id, process.killed ? ExitKind::UncleanSignal : ExitKind::Clean};
    if (process.is_leaving())
        return std::nullopt;
    if (process.reloads && process.serves())
        return Reloaded{process.id};
    if (!process.ready && process.signed_on && !process.late)
        return ProbePassed{process.id};
    if (!process.ready && !process.settles_since)
        return ReadySaid{process.id};
    return std::nullopt;
}

/// A worker that hangs does nothing but be born and be killed.
std::optional<Fact> stubborn_next(Process const& process) {
    if (process.stage != Stage::Executed || process.killed)
        return good_next(process);
    return std::nullopt;
}

/// As that, and its program is never executed.
std::optional<Fact> unexecuted_next(Process const& process) {
    if (process.stage == Stage::Forked && !process.killed)
        return std::nullopt;
    return stubborn_next(process);
}

/// As that, and not even SIGKILL ends it.
std::optional<Fact> immortal_next(Process const& process) {
    return process.killed ? std::nullopt : stubborn_next(process);
}

/// Who is in a shard serves all who wait there.
std::optional<Fact> next_rest(Kernel const& kernel) {
    for (auto const shard : kernel.watched)
        if (std::ranges::any_of(kernel.processes, [&](Process const& process) {
                return process.stage == Stage::Executed && process.attends(shard);
            }))
            return ShardAtRest{shard};
    return std::nullopt;
}

std::optional<TraceLine> next_line(World const& world, std::optional<Fact> (*next)(Process const&)) {
    if (auto const rest = next_rest(world.kernel); rest && next == good_next)
        return TraceLine{world.now, *rest};
    for (auto const& process : world.kernel.processes)
        if (auto const fact = next(process))
            return TraceLine{world.now, *fact};
    if (auto const* const timer = world.kernel.earliest_timer())
        return TraceLine{std::max(world.now, timer->at), Fact{TimerExpired{timer->key}}};
    return std::nullopt;
}

} // namespace

bool is_settled(History const& history) {
    return history.waiters.empty();
}

Complaints come_to_rest(World& world) {
    if (auto complaints = world.deliver({world.now, Fact{ResumeRolloutWished{}}}); !complaints.empty())
        return complaints;
    for (int i = 0; i < long_enough; ++i) {
        auto const line = next_line(world, good_next);
        if (!line) {
            bool const serves =
                world.kernel.watching || std::ranges::any_of(world.kernel.processes, &Process::serves);
            if (world.history.up != serves)
                return world.heard(
                    {{"rest-is-what-was-wished",
                      world.history.up ? "up, but nothing serves" : "down, but something serves"}});
            if (world.history.up && !world.kernel.dirty.empty())
                return world.heard({{"stranded-are-served", "all is quiet, and somebody waits in a shard"}});
            if (!is_settled(world.history))
                return world.heard({{"wishes-are-answered-once", "all is quiet and somebody still waits"}});
            return {};
        }
        if (auto complaints = world.deliver(*line); !complaints.empty())
            return complaints;
    }
    return world.heard({{"rest-is-what-was-wished", "it does not come to rest"}});
}

Complaints outlast_stubborn_workers(World const& world) {
    for (auto const next : {stubborn_next, unexecuted_next, immortal_next}) {
        if (is_settled(world.history))
            return {};
        auto hung = world;
        if (auto complaints = hung.deliver({hung.now, Fact{ResumeRolloutWished{}}}); !complaints.empty())
            return complaints;
        for (int i = 0; i < 5 * long_enough && !is_settled(hung.history); ++i) {
            auto const line = next_line(hung, next);
            if (!line)
                break;
            if (auto complaints = hung.deliver(*line); !complaints.empty())
                return complaints;
        }
        if (!is_settled(hung.history))
            return hung.heard({{"wishes-are-answered-once", "somebody waits for workers that hang"}});
    }
    return {};
}

} // namespace holdfast::sim
