// SPDX-License-Identifier: Apache-2.0
// What the lifecycle core must know of a unit's spec, and nothing more. Made from a UnitSpec by the
// supervisor; a copy of it travels with each generation, so that an old generation is ended by the rules it
// was started with.
#pragma once

#include "base/time.h"
#include "base/words.h"

#include <algorithm>
#include <cstdint>

namespace holdfast::lifecycle {

/// Ids are never used again within a unit, so a late fact about a dead worker is harmless.
enum class WorkerId : std::uint32_t {};
enum class GenerationId : std::uint32_t {};
/// Which text of the unit: the supervisor counts its specs and keeps those that a generation still uses.
enum class SpecId : std::uint32_t {};
/// A place in the pool, from 0.
enum class Slot : std::uint16_t {};

struct Policy {
    SpecId spec{};
    std::uint16_t workers = 1;
    ServiceType type = ServiceType::Exec;
    Activation activation = Activation::Eager;
    RestartWhen restart = RestartWhen::OnFailure;
    Strategy strategy = Strategy::Overlap;
    bool is_probed = false; ///< ready is only who has passed a health probe after the sign of its type
    /// Spawn to the sign of its type. Exec and Simple miss it when the process hangs before it is a program
    /// (a log FIFO that nobody reads, a mount that does not answer).
    Duration timeout_start = std::chrono::seconds{90};
    /// Exec, Simple: how long a process of an incoming generation must have run, from its sign on, before it
    /// counts as ready.
    Duration settle_time{0};
    Duration timeout_stop = std::chrono::seconds{30}; ///< drain signal to SIGKILL, when the user said stop
    Duration drain_timeout =
        std::chrono::seconds{30}; ///< drain signal to SIGKILL, when a newer generation took over
    Duration restart_delay = std::chrono::milliseconds{100};
    Duration restart_max_delay = std::chrono::seconds{30};
    std::uint16_t restart_steps = 8;
    std::uint16_t start_limit_burst = 5; ///< 0: no limit
    Duration start_limit_interval = std::chrono::seconds{10};
    /// How long the old generation is kept after a new one took over, to come back if that one fails. 0: not
    /// at all.
    Duration probation{0};
    /// Rolling: so many more workers than `workers` at a time, and so many fewer of them ready. Both 0 means
    /// one more.
    std::uint16_t max_surge = 1;
    std::uint16_t max_unavailable = 0;
    CanarySteps steps{5, 25, 50};
    Duration hold = std::chrono::seconds{30}; ///< canary: how long each step lasts
    bool is_sharded = false; ///< each slot has a shard of its own in each bank (`reuse_port`)
    SteeringMode steering = SteeringMode::Hash; ///< sharded: how new connections choose their shard
    std::uint16_t trigger_limit_burst = 20;     ///< lazy: starts by traffic; 0: no limit
    Duration trigger_limit_interval = std::chrono::seconds{2};
    /// Lazy: it is ended when nobody was there for so long. 0: never. Not compared with the time that a
    /// client is connected: who looks says so (IdleEnded).
    Duration idle_stop{0};
    std::uint8_t max_generations =
        3; ///< alive at once; a rollout beyond it waits for the oldest drain to end

    bool operator==(Policy const&) const = default;
};

/// How long a worker may take to end by SIGKILL before it is given up: timeout_stop once more, but even where
/// that is 0 long enough for the kernel to take a large process down.
[[nodiscard]] constexpr Duration time_to_die(Policy const& policy) {
    return std::max<Duration>(policy.timeout_stop, std::chrono::seconds{5});
}

inline constexpr std::uint8_t all_percent = 100;
/// The step after the one with this share: the first that is higher, or all.
[[nodiscard]] constexpr std::uint8_t next_step(Policy const& policy, std::uint8_t share) {
    for (auto const step : policy.steps)
        if (step > share)
            return step;
    return all_percent;
}

} // namespace holdfast::lifecycle
