// SPDX-License-Identifier: Apache-2.0
// The last rollouts of one unit: their reports, and of the newest ones what a picture is drawn from. There is
// none before the first rollout has ended: most units rest.
#pragma once

#include "supervisor/rollout_timeline.h"
#include "supervisor/wish.h"

#include <memory>
#include <optional>
#include <vector>

namespace holdfast {

struct PastRollout {
    RolloutReport report;
    std::unique_ptr<RolloutTimeline> timeline; ///< null of all but the newest
};

class RolloutHistory {
public:
    static constexpr std::size_t most_reports = 8;
    static constexpr std::size_t most_timelines = 2;
    /// An older report keeps so many listeners, those with the longest queues.
    static constexpr std::size_t most_listeners = 64;

    void add(RolloutReport report, RolloutTimeline timeline);
    /// One of before this supervisor: only its report is known.
    void add(RolloutReport report);
    /// How many were added, ever.
    [[nodiscard]] unsigned added() const { return added_; }
    /// That of this generation, or the newest; null when there is none.
    [[nodiscard]] PastRollout const* find(std::optional<std::uint32_t> generation) const;
    /// Oldest first.
    [[nodiscard]] std::vector<PastRollout> const& all() const { return past_; }

private:
    std::vector<PastRollout> past_;
    unsigned added_ = 0;
};

} // namespace holdfast
