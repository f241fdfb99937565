// SPDX-License-Identifier: Apache-2.0
// The recent facts of one unit, each with its time: what `holdfast trace` prints. When it is full the oldest
// makes way.
#pragma once

#include "lifecycle/trace.h"

#include <cstdint>
#include <vector>

namespace holdfast {

class FactRing {
public:
    struct Entry {
        MonotonicTime at;
        lifecycle::Fact fact;
    };

    void add(lifecycle::Fact const& fact, MonotonicTime now);
    /// Those that another ring had, oldest first, and how many it had forgotten.
    void take_over(std::vector<lifecycle::TraceLine> const& facts, std::uint64_t forgotten);
    /// Oldest first.
    [[nodiscard]] std::vector<Entry> facts() const;
    /// How many older ones are forgotten.
    [[nodiscard]] std::uint64_t forgotten() const { return count_ - entries_.size(); }

private:
    std::vector<Entry> entries_;
    std::uint64_t count_ = 0;
};

} // namespace holdfast
