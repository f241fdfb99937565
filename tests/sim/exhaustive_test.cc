// SPDX-License-Identifier: Apache-2.0
// Every interleaving in small scope.
#include "catch.h"
#include "sim/explore.h"
#include "sim/replay.h"

#include <cstdlib>
#include <iostream>

using namespace holdfast;
using namespace holdfast::sim;
using namespace std::chrono_literals;

namespace {

struct Scope {
    char const* what;
    std::uint16_t workers;
    ServiceType type;
    Activation activation;
    RestartWhen restart;
    int depth;
    Strategy strategy = Strategy::Overlap;
    bool resizes = false;
    Duration probation{0};
    bool is_probed = false;
    bool is_sharded = false;
    bool pauses = false;
    bool pauses_unit = false;
    Duration idle_stop{0};
    SteeringMode steering = SteeringMode::Hash;
};

Policy policy_of(Scope const& scope) {
    return {.spec = SpecId{1},
            .workers = scope.workers,
            .type = scope.type,
            .activation = scope.activation,
            .restart = scope.restart,
            .strategy = scope.strategy,
            .is_probed = scope.is_probed,
            .timeout_start = 9s,
            .settle_time = scope.type == ServiceType::Exec ? 1s : 0s,
            .timeout_stop = 3s,
            .drain_timeout = 5s,
            .restart_delay = 100ms,
            .restart_max_delay = 400ms,
            .restart_steps = 1,
            .start_limit_burst = 2,
            .start_limit_interval = 10s,
            .probation = scope.probation,
            .steps = {40},
            .hold = 1s,
            .is_sharded = scope.is_sharded,
            .steering = scope.steering,
            .idle_stop = scope.idle_stop,
            .max_generations = 2};
}

/// HOLDFAST_SIM_DEEPER adds to every depth; each level costs about four times the one before.
int deeper() {
    char const* const text = std::getenv("HOLDFAST_SIM_DEEPER");
#if defined(__SANITIZE_ADDRESS__)
    constexpr int otherwise = -2;
#else
    constexpr int otherwise = 0;
#endif
    return text != nullptr ? std::atoi(text) : otherwise;
}

} // namespace

TEST_CASE("in small scope every order of events keeps every invariant", "[sim]") {
    auto const scope = GENERATE(
        Scope{"one worker", 1, ServiceType::Notify, Activation::Eager, RestartWhen::OnFailure, 8},
        Scope{"one simple worker", 1, ServiceType::Simple, Activation::Eager, RestartWhen::Always, 8},
        Scope{"two workers", 2, ServiceType::Exec, Activation::Eager, RestartWhen::OnFailure, 7},
        Scope{"one lazy worker", 1, ServiceType::Notify, Activation::Lazy, RestartWhen::OnFailure, 9},
        Scope{"two lazy workers", 2, ServiceType::Notify, Activation::Lazy, RestartWhen::No, 8},
        Scope{"two rolling workers", 2, ServiceType::Notify, Activation::Eager, RestartWhen::OnFailure, 7,
              Strategy::Rolling},
        Scope{"one or two workers", 1, ServiceType::Notify, Activation::Eager, RestartWhen::OnFailure, 7,
              Strategy::Rolling, true},
        Scope{"one worker, then on probation", 1, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnWatchdog, 8, Strategy::Overlap, false, 2s},
        Scope{"one probed worker", 1, ServiceType::Notify, Activation::Eager, RestartWhen::OnFailure, 7,
              Strategy::Overlap, false, 2s, true},
        Scope{"two rolling workers on probation", 2, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 6, Strategy::Rolling, false, 2s},
        Scope{"one sharded worker", 1, ServiceType::Notify, Activation::Eager, RestartWhen::OnFailure, 8,
              Strategy::Overlap, false, 0s, false, true},
        Scope{"one or two sharded workers", 1, ServiceType::Simple, Activation::Eager, RestartWhen::OnFailure,
              6, Strategy::Rolling, true, 0s, false, true},
        Scope{"one sharded worker, then on probation", 1, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 7, Strategy::Overlap, false, 2s, false, true},
        Scope{"one worker, paused", 1, ServiceType::Notify, Activation::Eager, RestartWhen::OnFailure, 7,
              Strategy::Overlap, false, 2s, false, false, true},
        Scope{"two rolling workers, paused", 2, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 6, Strategy::Rolling, false, 0s, false, false, true},
        Scope{"a canary of two workers", 2, ServiceType::Notify, Activation::Eager, RestartWhen::OnFailure, 6,
              Strategy::Canary},
        Scope{"a canary of two sharded workers", 2, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 5, Strategy::Canary, false, 0s, false, true},
        Scope{"two sharded workers, of which one may be stuck", 2, ServiceType::Simple, Activation::Eager,
              RestartWhen::OnFailure, 6, Strategy::Overlap, false, 0s, false, true, false, false, 0s,
              SteeringMode::LeastLoaded},
        Scope{"one sharded worker that packets name", 1, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 7, Strategy::Overlap, false, 2s, false, true, false, false, 0s,
              SteeringMode::PayloadByte},
        Scope{"one worker that packets name, of a unit that is paused", 1, ServiceType::Notify,
              Activation::Eager, RestartWhen::OnFailure, 6, Strategy::Overlap, false, 0s, false, true, false,
              true, 0s, SteeringMode::PayloadByte},
        Scope{"two workers that reload", 2, ServiceType::Notify, Activation::Eager, RestartWhen::OnFailure, 6,
              Strategy::InPlace},
        Scope{"one worker that reloads, on probation and paused", 1, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 7, Strategy::InPlace, false, 2s, false, false, true},
        Scope{"a canary of one worker, paused", 1, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 7, Strategy::Canary, false, 0s, false, false, true},
        Scope{"one worker of a unit that is paused", 1, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 7, Strategy::Overlap, false, 2s, false, false, false, true},
        Scope{"one lazy worker of a unit that is paused", 1, ServiceType::Notify, Activation::Lazy,
              RestartWhen::OnFailure, 7, Strategy::Overlap, false, 0s, false, false, false, true},
        Scope{"two rolling workers of a unit that is paused", 2, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 5, Strategy::Rolling, false, 0s, false, false, false, true},
        Scope{"one sharded worker of a unit that is paused", 1, ServiceType::Notify, Activation::Eager,
              RestartWhen::OnFailure, 6, Strategy::Overlap, false, 2s, false, true, false, true},
        Scope{"one lazy worker that ends when it is idle", 1, ServiceType::Notify, Activation::Lazy,
              RestartWhen::OnFailure, 8, Strategy::Overlap, false, 0s, false, false, false, false, 3s},
        Scope{"a lazy replace of one worker that ends when it is idle", 1, ServiceType::Notify,
              Activation::Lazy, RestartWhen::OnFailure, 7, Strategy::Replace, false, 0s, false, true, false,
              true, 3s});
    auto const depth = scope.depth + deeper();
    auto const result = explore({.wanted = policy_of(scope),
                                 .resizes = scope.resizes,
                                 .pauses = scope.pauses,
                                 .pauses_unit = scope.pauses_unit},
                                depth);
    std::cout << "  " << scope.what << ": depth " << depth << ", " << result.states << " states, "
              << result.steps << " steps\n";
    INFO(describe(result.trace, result.complaints, policy_of(scope)));
    CHECK(result.complaints.empty());
}
