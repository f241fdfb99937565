// SPDX-License-Identifier: Apache-2.0
#include "sim/kernel.h"

#include <algorithm>

namespace holdfast::sim {

namespace {

template <class... F>
struct Cases : F... {
    using F::operator()...;
};
template <class... F>
Cases(F...) -> Cases<F...>;

auto place_of(std::vector<ArmedTimer>& timers, TimerKey key) {
    return std::ranges::lower_bound(timers, key, {}, &ArmedTimer::key);
}

void get_ready(Process& process, MonotonicTime now) {
    if (!process.ready)
        process.ready_at = now;
    process.ready = true;
}

/// It runs, and its type has no sign of being ready but that.
void begin_to_run(Process& process, MonotonicTime now, bool settles) {
    if (process.probed)
        process.signed_on = true;
    else if (settles && process.settle_time > Duration{0})
        process.settles_since = now;
    else
        get_ready(process, now);
}

} // namespace

std::optional<WorkerId> worker_of(Fact const& fact) {
    return std::visit(
        []<class T>(T const& it) -> std::optional<WorkerId> {
            if constexpr (requires { it.worker; })
                return it.worker;
            else
                return std::nullopt;
        },
        fact);
}

Process const* Kernel::find(WorkerId id) const {
    auto const it = std::ranges::find(processes, id, &Process::id);
    return it != processes.end() ? &*it : nullptr;
}

ArmedTimer const* Kernel::find(TimerKey key) const {
    auto const it = std::ranges::find(timers, key, &ArmedTimer::key);
    return it != timers.end() ? &*it : nullptr;
}

ArmedTimer const* Kernel::earliest_timer() const {
    auto const it = std::ranges::min_element(timers, {}, &ArmedTimer::at);
    return it != timers.end() ? &*it : nullptr;
}

void Kernel::enact(Order const& order, Policy const& policy, MonotonicTime now) {
    auto const process = [&](WorkerId id) { return const_cast<Process*>(find(id)); };
    std::visit(
        Cases{[&](Spawn const& it) {
                  processes.push_back({.id = it.worker,
                                       .generation = it.generation,
                                       .slot = it.slot,
                                       .type = policy.type,
                                       .probed = policy.is_probed,
                                       .settle_time = policy.settle_time,
                                       .ordered_at = now});
                  auto& born = processes.back();
                  born.lent = it.lent.has_value();
                  auto const bank = bank_of(static_cast<std::uint32_t>(it.generation));
                  if (policy.is_sharded)
                      born.shard = Shard{static_cast<std::uint16_t>(it.slot), it.lent.value_or(bank)};
              },
              [&](Drain const& it) {
                  if (auto* const told = process(it.worker)) {
                      if (!told->excused)
                          told->leaving_since = now;
                      told->told = true;
                      ++told->tellings;
                  }
              },
              [&](Kill const& it) {
                  if (auto* const killed = process(it.worker); killed != nullptr && !killed->killed) {
                      killed->killed = true;
                      killed->killed_at = now;
                  }
              },
              [&](Reload const& it) {
                  if (auto* const asked = process(it.worker))
                      asked->reloads = true;
              },
              [&](Watch const&) { watching = true; }, [&](Unwatch const&) { watching = false; },
              [&](WatchQueues const&) { watching_queues = true; },
              [&](UnwatchQueues const&) { watching_queues = false; },
              [&](WatchIdle const&) { watching_idle = true; },
              [&](UnwatchIdle const&) { watching_idle = false; },
              [&](Steer const& it) {
                  for (auto const& [shard, weight] : shares)
                      if (!it.shares.contains(shard))
                          dirty.emplace(shard, now);
                  for (auto const shard : named)
                      if (!it.shares.contains(shard) && std::ranges::find(it.named, shard) == it.named.end())
                          dirty.emplace(shard, now);
                  shares = it.shares;
                  named = it.named;
                  std::erase_if(dirty, [&](auto const& row) { return shares.contains(row.first); });
              },
              [&](HoldShards const& it) {
                  slots = it.slots;
                  std::erase_if(dirty, [&](auto const& row) { return row.first.slot >= slots; });
              },
              [&](WatchRest const& it) { watched = it.shards; },
              [&](WatchLoad const& it) {
                  judged = it.shards;
                  std::erase_if(stuck,
                                [&](Shard shard) { return !std::ranges::binary_search(judged, shard); });
              },
              [&](Arm const& it) {
                  if (auto* const excused = process(WorkerId{it.timer.of});
                      it.timer.kind == TimerKind::RestDeadline && excused != nullptr && !excused->excused) {
                      excused->excused = true;
                      excused->leaving_since = now;
                  }
                  auto const place = place_of(timers, it.timer);
                  if (place != timers.end() && place->key == it.timer)
                      place->at = it.at;
                  else
                      timers.insert(place, {it.timer, it.at});
              },
              [&](Disarm const& it) {
                  std::erase_if(timers, [&](ArmedTimer const& timer) { return timer.key == it.timer; });
              },
              [&](Report const& it) {
                  if (it.happening == Happening::ShardGivenUp)
                      dirty.erase(*it.shard);
                  if (it.happening == Happening::WorkerStuck)
                      std::erase_if(processes, [&](Process const& hung) { return hung.id == it.worker; });
              }},
        order);
}

bool Kernel::may_happen(Fact const& fact, MonotonicTime now) const {
    if (auto const id = worker_of(fact)) {
        auto const* const process = find(*id);
        if (process == nullptr)
            return true;
        return std::visit(
            Cases{[&](Forked const&) { return process->stage == Stage::Ordered; },
                  [&](Executed const&) { return process->stage == Stage::Forked && !process->killed; },
                  [&](SpawnFailed const&) { return process->stage != Stage::Executed; },
                  [&](Exited const&) { return process->stage != Stage::Ordered; },
                  // what a process says, only its program can say
                  [&](auto const&) { return process->stage == Stage::Executed && !process->killed; }},
            fact);
    }
    if (std::holds_alternative<TrafficArrived>(fact))
        return watching;
    if (std::holds_alternative<IdleBegan>(fact))
        return watching_idle;
    if (std::holds_alternative<QueueNearlyFull>(fact))
        return watching_queues;
    if (auto const* const rest = std::get_if<ShardAtRest>(&fact))
        return std::ranges::find(watched, rest->shard) != watched.end();
    if (auto const* const one = std::get_if<ShardStuck>(&fact))
        return std::ranges::binary_search(judged, one->shard);
    if (auto const* const one = std::get_if<ShardMoving>(&fact))
        return std::ranges::find(stuck, one->shard) != stuck.end();
    if (std::holds_alternative<ShardsHeld>(fact))
        return shares.empty();
    if (auto const* const expired = std::get_if<TimerExpired>(&fact))
        if (auto const* const timer = find(expired->timer))
            return timer->at <= now;
    return true;
}

void Kernel::happen(Fact const& fact, MonotonicTime now, bool settles) {
    if (auto const* const expired = std::get_if<TimerExpired>(&fact);
        expired != nullptr && find(expired->timer) != nullptr) {
        std::erase_if(timers, [&](ArmedTimer const& timer) { return timer.key == expired->timer; });
        for (auto& process : processes) {
            if (process.is_leaving() ||
                expired->timer != TimerKey{TimerKind::StartDeadline, static_cast<std::uint32_t>(process.id)})
                continue;
            if (!process.settles_since)
                process.late = !process.ready;
            else if (now - *process.settles_since >= process.settle_time)
                get_ready(process, now);
        }
    }
    if (auto const* const rest = std::get_if<ShardAtRest>(&fact))
        dirty.erase(rest->shard);
    if (auto const* const moving = std::get_if<ShardMoving>(&fact))
        std::erase(stuck, moving->shard);
    if (auto const* const one = std::get_if<ShardStuck>(&fact);
        one != nullptr && std::ranges::find(stuck, one->shard) == stuck.end())
        stuck.insert(std::ranges::lower_bound(stuck, one->shard), one->shard);
    auto const id = worker_of(fact);
    auto* const process = id ? const_cast<Process*>(find(*id)) : nullptr;
    if (process == nullptr)
        return;
    auto const die = [&] { std::erase_if(processes, [&](Process const& it) { return it.id == *id; }); };
    std::visit(Cases{[&](Forked const&) {
                         process->stage = Stage::Forked;
                         if (process->type == ServiceType::Simple && !process->lent)
                             begin_to_run(*process, now, settles);
                     },
                     [&](Executed const&) {
                         process->stage = Stage::Executed;
                         if (process->type == ServiceType::Exec && !process->lent)
                             begin_to_run(*process, now, settles);
                     },
                     [&](SpawnFailed const&) { die(); }, [&](Exited const&) { die(); },
                     [&](ReadySaid const&) {
                         // one that was told to go is not believed any more
                         if (process->type == ServiceType::Notify && !process->told && !process->lent)
                             begin_to_run(*process, now, false);
                     },
                     [&](ProbePassed const&) {
                         if (process->signed_on && !process->is_leaving() && !process->late)
                             get_ready(*process, now);
                     },
                     [&](ProbeFailed const&) {
                         if (!process->probed || process->is_leaving() || process->unhealthy)
                             return;
                         process->unhealthy = process->ready;
                         if (process->ready)
                             process->unhealthy_since = now;
                         else if (process->signed_on && process->type == ServiceType::Notify)
                             process->late = true;
                     },
                     [&](WatchdogMissed const&) {
                         if (process->serves()) {
                             process->hangs = true;
                             process->stopping = true;
                             process->leaving_since = now;
                         }
                     },
                     [&](StoppingSaid const&) {
                         if (process->serves()) {
                             process->stopping = true;
                             process->leaving_since = now;
                         }
                     },
                     [&](Reloaded const&) {
                         if (process->reloads)
                             process->reloaded_at = now;
                         process->reloads = false;
                     },
                     [&](ReloadRefused const&) { process->reloads = false; },
                     [&](TimeExtended const&) { process->extended = true; }, [](auto const&) {}},
               fact);
}

} // namespace holdfast::sim
