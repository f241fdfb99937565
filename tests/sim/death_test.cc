// SPDX-License-Identifier: Apache-2.0
// Promise P3 in the core: the supervisor may die after any order, and its successor goes on as if it had not.
#include "catch.h"
#include "sim/explore.h"
#include "sim/random_run.h"
#include "sim/replay.h"

#include <iostream>

using namespace holdfast;
using namespace holdfast::sim;
using namespace std::chrono_literals;

namespace {

struct Scope {
    char const* what;
    Policy policy;
    int depth;
    bool resizes = false;
    bool pauses = false;
};

Policy policy(std::uint16_t workers, Strategy strategy, bool is_sharded = false, Duration probation = 0s) {
    return {.spec = SpecId{1},
            .workers = workers,
            .type = ServiceType::Notify,
            .strategy = strategy,
            .timeout_start = 9s,
            .timeout_stop = 3s,
            .drain_timeout = 5s,
            .restart_delay = 100ms,
            .restart_max_delay = 400ms,
            .restart_steps = 1,
            .start_limit_burst = 2,
            .start_limit_interval = 10s,
            .probation = probation,
            .steps = {40},
            .hold = 1s,
            .is_sharded = is_sharded,
            .max_generations = 2};
}

// ---- what a careless hand would write ----

Resumed tells_again(UnitState const& state, std::vector<FoundWorker> const& found) {
    auto untold = found;
    for (auto& one : untold)
        one.is_told = false;
    return resume(state, untold);
}
Resumed tells_nobody(UnitState const& state, std::vector<FoundWorker> const& found) {
    auto resumed = resume(state, found);
    std::erase_if(resumed.orders, [](Order const& it) { return std::holds_alternative<Drain>(it); });
    return resumed;
}
Resumed starts_again(UnitState const& state, std::vector<FoundWorker> const& found) {
    auto resumed = resume(state, {});
    auto const rest = resume(state, found);
    resumed.orders.insert(resumed.orders.end(), rest.orders.begin(), rest.orders.end());
    return resumed;
}
Resumed starts_nobody(UnitState const& state, std::vector<FoundWorker> const& found) {
    auto resumed = resume(state, found);
    std::erase_if(resumed.orders, [](Order const& it) { return std::holds_alternative<Spawn>(it); });
    return resumed;
}
Resumed forgets_time(UnitState const& state, std::vector<FoundWorker> const& found) {
    auto resumed = resume(state, found);
    std::erase_if(resumed.orders, [](Order const& it) { return std::holds_alternative<Arm>(it); });
    return resumed;
}
Resumed forgets_shares(UnitState const& state, std::vector<FoundWorker> const& found) {
    auto resumed = resume(state, found);
    std::erase_if(resumed.orders, [](Order const& it) { return std::holds_alternative<Steer>(it); });
    return resumed;
}
Resumed kills_nobody(UnitState const& state, std::vector<FoundWorker> const& found) {
    auto resumed = resume(state, found);
    std::erase_if(resumed.orders, [](Order const& it) { return std::holds_alternative<Kill>(it); });
    return resumed;
}
Resumed watches_nothing(UnitState const& state, std::vector<FoundWorker> const& found) {
    auto resumed = resume(state, found);
    std::erase_if(resumed.orders, [](Order const& it) {
        return std::holds_alternative<Watch>(it) || std::holds_alternative<WatchRest>(it) ||
               std::holds_alternative<WatchLoad>(it);
    });
    return resumed;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr int shallower = 2;
constexpr std::uint64_t lives = 60;
#else
constexpr int shallower = 0;
constexpr std::uint64_t lives = 600;
#endif

} // namespace

TEST_CASE("in small scope the supervisor may die after every order, and nothing is otherwise", "[sim]") {
    auto lazy = policy(1, Strategy::Overlap);
    lazy.activation = Activation::Lazy;
    auto const scope = GENERATE_COPY(
        Scope{"one worker", policy(1, Strategy::Overlap), 7},
        Scope{"one worker, then on probation", policy(1, Strategy::Overlap, false, 2s), 6, false, true},
        Scope{"one lazy worker", lazy, 7}, Scope{"replaced", policy(1, Strategy::Replace), 6},
        Scope{"two rolling workers", policy(2, Strategy::Rolling), 6},
        Scope{"one or two workers", policy(1, Strategy::Rolling), 6, true},
        Scope{"a canary of two workers", policy(2, Strategy::Canary), 5},
        Scope{"two workers that reload", policy(2, Strategy::InPlace), 5},
        Scope{"one or two sharded workers", policy(1, Strategy::Rolling, true), 5, true},
        Scope{"a canary of two sharded workers", policy(2, Strategy::Canary, true), 5});
    auto const result =
        explore({.wanted = scope.policy, .resizes = scope.resizes, .pauses = scope.pauses, .dies = true},
                scope.depth - shallower);
    std::cout << "  " << scope.what << ": " << result.states << " states, " << result.steps << " steps\n";
    INFO(describe(result.trace, result.complaints, scope.policy));
    CHECK(result.complaints.empty());
}

TEST_CASE("in whole lives the supervisor may die anywhere", "[sim]") {
    for (std::uint64_t seed = 1; seed <= lives; ++seed) {
        auto const run = random_run_with_deaths(seed, 200, lifecycle::resume);
        INFO("seed " << seed << "\n" << describe(run.trace, run.complaints, run.policy));
        REQUIRE(run.complaints.empty());
    }
}

TEST_CASE("a successor that forgets something, or does it twice, is found out", "[sim]") {
    auto const resume = GENERATE(tells_again, tells_nobody, starts_again, starts_nobody, forgets_time,
                                 forgets_shares, kills_nobody, watches_nothing);
    bool is_found = false;
    for (std::uint64_t seed = 1; seed <= 200 && !is_found; ++seed)
        is_found = !random_run_with_deaths(seed, 200, resume).complaints.empty();
    CHECK(is_found);
}
