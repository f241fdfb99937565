// SPDX-License-Identifier: Apache-2.0
// The latest exits of the keeper's children, numbered from 0; who falls behind by more than most_exits misses
// the oldest.
#pragma once

#include "store/protocol.h"

#include <array>
#include <cstdint>

namespace holdfast {

class ExitRing {
public:
    void add(ChildExit const& exit) { ring_[end_++ % most_exits] = exit; }
    [[nodiscard]] std::uint64_t begin() const { return end_ < most_exits ? 0 : end_ - most_exits; }
    [[nodiscard]] std::uint64_t end() const { return end_; }
    /// `number` is from begin() to before end().
    [[nodiscard]] ChildExit const& at(std::uint64_t number) const { return ring_[number % most_exits]; }

private:
    std::array<ChildExit, most_exits> ring_{};
    std::uint64_t end_ = 0;
};

} // namespace holdfast
