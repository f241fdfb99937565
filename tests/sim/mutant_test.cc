// SPDX-License-Identifier: Apache-2.0
// An invariant without a mutant it kills is decoration.
#include "catch.h"
#include "sim/invariants.h"
#include "sim/mutants.h"
#include "sim/random_run.h"
#include "sim/replay.h"

#include <algorithm>
#include <fstream>
#include <iterator>

using namespace holdfast;
using namespace holdfast::sim;

namespace {

constexpr std::uint64_t patience = 1000;

/// The first life in which the mutant is caught by its invariant, made short.
std::optional<Run> hunt(Mutant const& mutant) {
    for (std::uint64_t seed = 1; seed <= patience; ++seed) {
        auto const run = random_run(seed, 120, mutant.step, mutant.killed_by);
        if (!run.complaints.empty() && run.complaints.front().invariant == mutant.killed_by)
            return shrink(run, mutant.step, mutant.killed_by);
    }
    return std::nullopt;
}

} // namespace

TEST_CASE("each mutant is killed by the invariant that guards against it, and by no accident", "[sim]") {
    // What the sanitizers look for is found in a few of them; all are hunted in the other builds.
#if defined(__SANITIZE_ADDRESS__)
    constexpr std::size_t each = 6;
#else
    constexpr std::size_t each = 1;
#endif
    for (std::size_t number = 0; number < mutants().size(); number += each) {
        auto const& mutant = mutants()[number];
        INFO(mutant.name << " / " << mutant.killed_by);
        auto const run = hunt(mutant);
        REQUIRE(run);
        INFO(describe(run->trace, run->complaints, run->policy));
        CHECK(run->complaints.front().invariant == mutant.killed_by);
        CHECK(run->trace.size() <= 18);
        CHECK(
            complaints_of(run->policy, run->trace, lifecycle::step, {}).empty()); // it is the mutant's fault
    }
}

TEST_CASE("every invariant has a mutant that it kills", "[sim]") {
    for (auto const& invariant : invariants()) {
        INFO(invariant.name);
        CHECK(
            std::ranges::any_of(mutants(), [&](Mutant const& it) { return it.killed_by == invariant.name; }));
    }
}
