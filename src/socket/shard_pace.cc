// SPDX-License-Identifier: Apache-2.0
#include "socket/shard_pace.h"

#include <algorithm>
#include <utility>

namespace holdfast {

void QueuePace::see(std::uint32_t waiting, MonotonicTime at) {
    auto const before = std::exchange(last_, waiting);
    bool const is_first = since_ == MonotonicTime::never();
    seen_ = at;
    if (waiting == 0 || (!is_first && waiting < before)) {
        moves_ = std::min(moves_ + 1, 2U);
        since_ = at;
        looks_ = 0;
        if (is_stuck_ != true || (moves_ == 2 && at - stuck_at_ >= least_time))
            is_stuck_ = false;
        return;
    }
    moves_ = 0;
    if (is_first)
        since_ = at;
    if (looks_ < looks_until_stuck)
        ++looks_;
}

bool QueuePace::stands_still() const {
    return looks_ == looks_until_stuck && seen_ - since_ >= time_until_stuck;
}

void QueuePace::judge(std::uint32_t longest_that_moves) {
    bool const is_longer = last_ > std::uint64_t{times_longer} * longest_that_moves;
    if (is_stuck_ == true || !stands_still() || !is_longer)
        return;
    is_stuck_ = true;
    stuck_at_ = seen_;
}

} // namespace holdfast
