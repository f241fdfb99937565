// SPDX-License-Identifier: Apache-2.0
// Seeded random lives. HOLDFAST_SIM_SEED and HOLDFAST_SIM_RUNS vary them.
#include "catch.h"
#include "sim/random_run.h"
#include "sim/replay.h"

#include <cstdlib>
#include <iostream>
#include <map>

using namespace holdfast;
using namespace holdfast::sim;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t default_runs = 500;
#else
constexpr std::uint64_t default_runs = 4000;
#endif

std::uint64_t setting(char const* name, std::uint64_t otherwise) {
    char const* const text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

/// What was ordered and reported in all lives together: a life that never comes by a place does not test it.
std::map<std::string_view, std::size_t> happened;
Orders counted_step(UnitState& state, Policy const& policy, Fact const& fact, MonotonicTime now) {
    auto orders = lifecycle::step(state, policy, fact, now);
    for (auto const& order : orders)
        if (auto const* const report = std::get_if<Report>(&order)) {
            ++happened[to_name(report->happening)];
            ++happened[to_name(report->cause)];
        }
    return orders;
}

} // namespace

TEST_CASE("whatever workers and operators do, every invariant holds", "[sim]") {
    auto const seed = setting("HOLDFAST_SIM_SEED", 20261121);
    auto const runs = setting("HOLDFAST_SIM_RUNS", default_runs);
    std::size_t steps = 0;
    for (std::uint64_t number = 0; number < runs; ++number) {
        auto const run = random_run(seed + number, 200, counted_step);
        steps += run.trace.size();
        if (run.complaints.empty())
            continue;
        auto const least = shrink(run);
        INFO("HOLDFAST_SIM_SEED=" << seed + number << " HOLDFAST_SIM_RUNS=1\n"
                                  << describe(least.trace, least.complaints, least.policy));
        REQUIRE(run.complaints.empty());
    }
    std::cout << "  HOLDFAST_SIM_SEED=" << seed << ": " << runs << " runs, " << steps << " facts\n";
    CHECK(steps == runs * 200);
    if (runs < default_runs)
        return;
    for (auto const& row : enum_table(Happening{})) {
        INFO(row.name);
        CHECK(happened[row.name] >= default_runs / 100);
    }
    for (auto const& row : enum_table(Cause{})) {
        INFO(row.name);
        CHECK(happened[row.name] >= default_runs / 100);
    }
}
