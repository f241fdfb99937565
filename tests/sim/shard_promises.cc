// SPDX-License-Identifier: Apache-2.0
// The invariants that are promises to the clients of sharded units: they land where somebody serves, and who
// has landed is served.
#include "lifecycle/sharing.h"
#include "sim/invariants.h"

#include <algorithm>
#include <array>

namespace holdfast::sim {

namespace {

std::string shard_name(Shard shard) {
    return "shard " + std::to_string(shard.slot) + std::string{to_name(shard.bank)};
}

std::string shares_are_served(Scene const& scene) {
    auto const& kernel = scene.after;
    auto const serves = [](Process const& process) { return process.serves() && process.shard; };
    bool const somebody_could = std::ranges::any_of(kernel.processes, serves);
    if (kernel.shares.empty())
        return somebody_could ? "nothing is steered, though somebody serves" : "";
    if (!is_whole(kernel.shares))
        return "the weights do not add up";
    for (auto const& [shard, weight] : kernel.shares) {
        if (shard.slot >= kernel.slots)
            return shard_name(shard) + " has a share and is not there";
        bool const is_served = std::ranges::any_of(kernel.processes, [&, it = shard](Process const& process) {
            return serves(process) && process.shard == it;
        });
        if (somebody_could && !is_served)
            return shard_name(shard) + " has a share, and nobody serves it";
    }
    return {};
}

std::string shards_are_closed_at_rest(Scene const& scene) {
    std::string wrong;
    auto dirty = scene.between.dirty; // and what this step has steered away from
    for (auto const& [shard, weight] : scene.between.shares)
        if (!scene.after.shares.contains(shard))
            dirty.emplace(shard, scene.now);
    for (auto const shard : scene.between.named)
        if (!scene.after.shares.contains(shard) &&
            std::ranges::find(scene.after.named, shard) == scene.after.named.end())
            dirty.emplace(shard, scene.now);
    scene.for_each<Report>([&](Report const& report) {
        if (report.happening != Happening::ShardGivenUp)
            return;
        auto const found = dirty.find(*report.shard);
        if (found == dirty.end() || scene.now - found->second < scene.wanted.drain_timeout)
            wrong = shard_name(*report.shard) + " is given up too soon";
        else
            dirty.erase(found);
    });
    scene.for_each<HoldShards>([&](HoldShards const& order) {
        for (auto const& [shard, since] : dirty)
            if (shard.slot >= order.slots && !scene.after.shares.contains(shard))
                wrong = shard_name(shard) + " is closed, and somebody waits in it";
        for (auto const& process : scene.after.processes)
            if (process.shard && process.shard->slot >= order.slots)
                wrong = shard_name(*process.shard) + " is closed under " + name(process.id);
    });
    return wrong;
}

/// Half of the time that it has to go is for those in the queue.
std::string last_of_a_shard_stays(Scene const& scene) {
    if (std::holds_alternative<StopWished>(scene.fact))
        return {};
    std::string wrong;
    scene.for_each<Drain>([&](Drain const& drain) {
        auto const* const process = scene.between.find(drain.worker);
        bool const is_stopped = drain.worker <= scene.history.last_stopped;
        if (process == nullptr || process->stopping || process->unhealthy || process->late || is_stopped ||
            !process->shard || !scene.after.dirty.contains(*process->shard))
            return;
        auto const least = std::min(scene.wanted.drain_timeout, scene.wanted.timeout_stop) / 2;
        bool const is_late = process->excused && scene.now - process->leaving_since >= least;
        bool const is_followed = std::ranges::any_of(
            scene.after.processes, [&](Process const& other) { return other.attends(*process->shard); });
        if (!is_late && !is_followed)
            wrong = name(drain.worker) + " goes, and somebody waits in " + shard_name(*process->shard);
    });
    return wrong;
}

/// The rest of it is seen where a world comes to rest.
std::string stranded_are_served(Scene const& scene) {
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        if (!spawn.lent)
            return;
        Shard const shard{static_cast<std::uint16_t>(spawn.slot), *spawn.lent};
        if (!scene.between.dirty.contains(shard))
            wrong = shard_name(shard) + " is lent, and nobody waits in it";
        for (auto const& process : scene.between.processes)
            if (process.attends(shard) && process.id != worker_of(scene.fact) &&
                scene.after.find(process.id) != nullptr)
                wrong = shard_name(shard) + " is lent, and " + name(process.id) + " is in it";
    });
    return wrong;
}

/// But for a canary and those that it comes against: each of these sides keeps its part to itself.
std::string stuck_are_spared(Scene const& scene) {
    auto const& kernel = scene.after;
    if (scene.state.rollout && scene.state.rollout->stage == RolloutStage::Canary)
        return {};
    auto const is_stuck = [&](Shard shard) {
        return std::ranges::find(kernel.stuck, shard) != kernel.stuck.end();
    };
    bool const is_any_moving = !std::ranges::all_of(kernel.judged, is_stuck);
    for (auto const shard : kernel.judged) {
        if (is_any_moving && is_stuck(shard) && kernel.shares.contains(shard))
            return shard_name(shard) + " does not move, and is given more";
        if ((!is_any_moving || !is_stuck(shard)) && !kernel.shares.contains(shard))
            return shard_name(shard) + (is_any_moving ? " moves" : " is no worse than the others") +
                   ", and is given nothing";
    }
    return {};
}

/// It was ready when that did not count any more.
bool was_late(Process const& process) {
    return process.late || (process.is_leaving() && process.ready_at >= process.leaving_since);
}

std::string flows_stay_with_their_worker(Scene const& scene) {
    if (scene.wanted.steering != SteeringMode::PayloadByte || !scene.wanted.is_sharded)
        return {};
    auto const& kernel = scene.after;
    std::vector<Shard> served;
    for (auto const& process : kernel.processes)
        if (process.ready && process.shard && !process.killed && !process.hangs && !process.lent) {
            served.push_back(*process.shard);
            if (!was_late(process) && std::ranges::find(kernel.named, *process.shard) == kernel.named.end())
                return name(process.id) + " has flows, and what names it goes to others";
        }
    for (auto const shard : kernel.named)
        if (std::ranges::find(served, shard) == served.end())
            return shard_name(shard) + " gets what names it, and nobody serves it";
    return {};
}

/// But for one that had to serve from there, because nothing else was ready.
std::string one_reads_a_shard(Scene const& scene) {
    if (scene.wanted.steering != SteeringMode::PayloadByte || !scene.wanted.is_sharded)
        return {};
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) {
        if (spawn.lent || scene.history.find(spawn.generation) != nullptr)
            return;
        for (auto const& process : scene.between.processes) {
            auto const* const then = scene.after.find(process.id);
            bool const is_there = process.ready && !was_late(process) && process.shard && !process.hangs &&
                                  !process.lent && process.generation != spawn.generation &&
                                  then != nullptr && !then->killed;
            bool const serves = std::ranges::any_of(scene.state.generations, [&](Generation const& it) {
                return it.id == process.generation && it.role == Role::Serving;
            });
            if (is_there && !serves && process.shard->bank == lifecycle::shard_of(spawn).bank)
                wrong = name(spawn.generation) + " begins where " + name(process.id) + " reads";
        }
    });
    return wrong;
}

constexpr std::array all_shard_promises{
    Invariant{"shares-are-served",
              "Weights sum to the whole and give nothing to a shard nobody serves, while somebody could.",
              shares_are_served},
    Invariant{"closed-at-rest",
              "A shard is never closed while something is queued or shaking hands, deadline apart.",
              shards_are_closed_at_rest},
    Invariant{"last-of-a-shard-stays",
              "The last worker of a shard does not go while something is queued in it, deadline apart.",
              last_of_a_shard_stays},
    Invariant{"stranded-are-served",
              "Whoever waits in a shard that nobody is in gets a worker, or is given up at a deadline.",
              stranded_are_served},
    Invariant{"stuck-are-spared",
              "A shard that does not move has no share while another moves, and has it back when it moves.",
              stuck_are_spared},
    Invariant{"flows-stay",
              "What names a worker that has served goes to it, of whatever generation, until it is gone.",
              flows_stay_with_their_worker},
    Invariant{"one-reads-a-shard",
              "With payload_byte no generation begins in a bank from which one that goes still reads.",
              one_reads_a_shard},
};

} // namespace

std::span<Invariant const> shard_promises() {
    return all_shard_promises;
}

} // namespace holdfast::sim
