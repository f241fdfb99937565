// SPDX-License-Identifier: Apache-2.0
#include "supervisor/queue_series.h"

#include <algorithm>
#include <limits>

namespace holdfast {

namespace {

std::uint32_t to_msec(Duration at) {
    auto const msec = std::chrono::duration_cast<std::chrono::milliseconds>(at).count();
    return static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(msec, 0, std::numeric_limits<std::uint32_t>::max()));
}

} // namespace

void LongestWait::add(Duration at, std::uint32_t waiting) {
    if (waiting > 0 && !waits_since_)
        waits_since_ = last_sample_.value_or(at);
    if (waits_since_)
        longest_ = std::max(longest_.value_or(Duration{0}), at - *waits_since_);
    if (waiting == 0)
        waits_since_.reset();
    last_sample_ = at;
}

void QueueSeries::add(Duration at, std::uint32_t waiting) {
    auto const msec = to_msec(at);
    if (!points_.empty() && points_.back().waiting == waiting)
        return;
    if (!points_.empty() && msec - points_.back().at_msec < resolution_msec_) {
        points_.back().waiting = std::max(points_.back().waiting, waiting);
        return;
    }
    if (points_.size() == most_points)
        halve();
    points_.push_back({msec, waiting});
}

void QueueSeries::halve() {
    std::vector<QueuePoint> kept;
    kept.reserve(most_points);
    for (std::size_t i = 0; i + 1 < points_.size(); i += 2) {
        QueuePoint const both{points_[i].at_msec, std::max(points_[i].waiting, points_[i + 1].waiting)};
        if (kept.empty() || kept.back().waiting != both.waiting)
            kept.push_back(both);
    }
    auto const span = points_.back().at_msec - points_.front().at_msec;
    resolution_msec_ =
        std::max({1U, resolution_msec_ * 2, span / static_cast<std::uint32_t>(most_points / 2)});
    points_ = std::move(kept);
}

std::vector<QueuePoint> QueueSeries::take_points() {
    points_.shrink_to_fit();
    return std::move(points_);
}

} // namespace holdfast
