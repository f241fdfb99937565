// SPDX-License-Identifier: Apache-2.0
// The depth of one listener's queue over the time of a rollout, in bounded memory, and what its samples say
// about the longest wait. Values; who samples the queues calls add().
#pragma once

#include "base/time.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace holdfast {

/// From `at` (since the beginning of the rollout) on, so many wait.
struct QueuePoint {
    std::uint32_t at_msec = 0;
    std::uint32_t waiting = 0;
    bool operator==(QueuePoint const&) const = default;
};

class QueueSeries {
public:
    static constexpr std::size_t most_points = 512;

    /// A sample, `at` since the beginning of the rollout; never earlier than the one before.
    void add(Duration at, std::uint32_t waiting);

    /// Changes only, oldest first. When there would be too many, neighbours become one point, the higher of
    /// the two, until half are left: no height is lost, only where exactly it was.
    [[nodiscard]] std::vector<QueuePoint> const& points() const { return points_; }
    [[nodiscard]] std::vector<QueuePoint> take_points();

private:
    void halve();
    std::vector<QueuePoint> points_;
    std::uint32_t resolution_msec_ = 0; ///< points closer than this become one
};

/// The longest wait in one socket's queue, from the same samples.
class LongestWait {
public:
    /// As QueueSeries::add().
    void add(Duration at, std::uint32_t waiting);

    /// Nobody who came and went during the rollout can have waited longer than this: the longest time from
    /// the last sample before somebody was seen to wait that saw the queue empty (or from the first sample)
    /// to the next one that saw it empty (or to the last sample). An upper bound, because a queue that is
    /// never seen empty may hold other clients at each look. Nothing when no sample saw anybody wait: then
    /// nobody waited for longer than the time between two samples.
    [[nodiscard]] std::optional<Duration> bound() const { return longest_; }

private:
    std::optional<Duration> last_sample_;
    std::optional<Duration> waits_since_; ///< the queue may have been in use since then
    std::optional<Duration> longest_;
};

} // namespace holdfast
