// SPDX-License-Identifier: Apache-2.0
#include "supervisor/policy.h"

#include "supervisor/shard_custody.h"

#include <algorithm>

#include <sched.h>
#include <sys/sysinfo.h>

namespace holdfast {

std::uint16_t pool_size(ServiceSpec const& service) {
    if (service.workers != workers_auto)
        return service.workers;
    cpu_set_t allowed;
    // It fails where there are more CPUs than the set has room for.
    int const cpus =
        ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : ::get_nprocs();
    return static_cast<std::uint16_t>(std::clamp(cpus, 1, int{most_workers}));
}

std::string too_few_numbers(SteeringSpec const& steering, std::uint16_t workers) {
    if (steering.mode != SteeringMode::PayloadByte || 2U * workers <= steering.highest_id())
        return {};
    return "the byte of [steering] can name " + std::to_string(steering.highest_id()) +
           " workers, and there would be " + std::to_string(2U * workers) + " in two generations";
}

TriggerLimit trigger_limit_of(UnitSpec const& spec) {
    TriggerLimit limit;
    double most = 0;
    for (auto const& socket : spec.sockets) {
        if (socket.trigger_limit_burst == 0 || socket.trigger_limit_interval == Duration{0})
            continue;
        auto const rate =
            socket.trigger_limit_burst / std::chrono::duration<double>{socket.trigger_limit_interval}.count();
        if (limit.burst != 0 && rate >= most)
            continue;
        most = rate;
        limit = {socket.trigger_limit_burst, socket.trigger_limit_interval};
    }
    return limit;
}

lifecycle::Policy policy_of(UnitSpec const& spec, lifecycle::SpecId id) {
    auto const& service = spec.service;
    lifecycle::Policy policy;
    policy.spec = id;
    policy.workers = pool_size(service);
    policy.type = sign_of(service.type);
    // With accept it waits for its first traffic, of which it is never told: see unit_accept.cc.
    policy.activation = service.accept ? Activation::Lazy : service.activation;
    policy.restart = service.restart;
    policy.strategy = spec.rollout.strategy;
    policy.max_surge = spec.rollout.max_surge;
    policy.max_unavailable = spec.rollout.max_unavailable;
    policy.probation = spec.rollout.probation;
    policy.steps = spec.rollout.steps;
    policy.hold = spec.rollout.hold;
    policy.max_generations = static_cast<std::uint8_t>(spec.rollout.max_generations);
    policy.timeout_start = service.timeout_start;
    policy.settle_time = settle_time;
    policy.timeout_stop = service.timeout_stop;
    policy.drain_timeout = spec.drain_timeout();
    policy.restart_delay = service.restart_delay;
    policy.restart_max_delay = service.restart_max_delay;
    policy.restart_steps = service.restart_steps;
    policy.start_limit_burst = service.start_limit_burst;
    policy.start_limit_interval = service.start_limit_interval;
    auto const limit = trigger_limit_of(spec);
    policy.trigger_limit_burst = limit.burst;
    policy.trigger_limit_interval = limit.interval;
    policy.idle_stop = service.activation == Activation::Lazy ? service.idle_stop : Duration{0};
    policy.is_probed = spec.health.has_value();
    policy.is_sharded = is_sharded(spec);
    policy.steering = spec.steering.mode;
    return policy;
}

} // namespace holdfast
