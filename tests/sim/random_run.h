// SPDX-License-Identifier: Apache-2.0
// A long random life of a unit: temperamental workers, an operator who wishes anything at any moment,
// traffic, late facts, time. The same seed gives the same run.
#pragma once

#include "sim/world.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace holdfast::sim {

struct Run {
    Policy policy;                ///< the wanted one at first
    std::vector<TraceLine> trace; ///< what was delivered
    Complaints complaints;        ///< of its last step, or of coming to rest afterwards
};

/// `length` facts, then the world calms down.
[[nodiscard]] Run random_run(std::uint64_t seed, std::size_t length, Step step = lifecycle::step,
                             std::string_view only = {});

/// The same, with a supervisor that dies at every place of every step, and now and then for good.
[[nodiscard]] Run random_run_with_deaths(std::uint64_t seed, std::size_t length, Resume resume);

/// The shortest part of the trace that the search finds after which `run` still complains as it did at first.
[[nodiscard]] Run shrink(Run const& run, Step step = lifecycle::step, std::string_view only = {});

/// The complaints of a trace from the beginning, its end included.
[[nodiscard]] Complaints complaints_of(Policy const& policy, std::vector<TraceLine> const& trace, Step step,
                                       std::string_view only);

} // namespace holdfast::sim
