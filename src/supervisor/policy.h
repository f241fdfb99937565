// SPDX-License-Identifier: Apache-2.0
// What the lifecycle core is told of a unit's spec.
#pragma once

#include "lifecycle/policy.h"
#include "unit/spec.h"

#include <string>

namespace holdfast {

/// Long enough for a program that cannot run (no configuration, no permission, no library) to say so and end.
inline constexpr Duration settle_time = std::chrono::milliseconds{250};

[[nodiscard]] lifecycle::Policy policy_of(UnitSpec const& spec, lifecycle::SpecId id);

/// Starts by traffic, or with accept of a process for a connection, of all listeners of the unit together;
/// where its sockets differ the strictest holds. 0: any number.
struct TriggerLimit {
    std::uint16_t burst = 0;
    Duration interval{};
};
[[nodiscard]] TriggerLimit trigger_limit_of(UnitSpec const& spec);

/// How many workers the service has, at least 1: `workers`, or for "auto" one for each CPU that we may run on
/// now (sched_getaffinity(2)).
[[nodiscard]] std::uint16_t pool_size(ServiceSpec const& service);

/// payload_byte: why there may not be so many workers, or nothing: each of two generations has a number of
/// its own, and a shard that the byte cannot name would get no flow back. What the file says of it was
/// checked when it was read; "auto" and a scale are known only here.
[[nodiscard]] std::string too_few_numbers(SteeringSpec const& steering, std::uint16_t workers);

} // namespace holdfast
