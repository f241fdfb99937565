// SPDX-License-Identifier: Apache-2.0
#include "socket/shard_pace.h"

#include <utility>

namespace holdfast {

void QueuePace::see(std::uint32_t waiting, MonotonicTime at) {
    auto const before = std::exchange(last_, waiting);
    bool const is_first = since_ == MonotonicTime::never();
    if (waiting == 0 || (!is_first && waiting < before)) {
        is_stuck_ = false;
        since_ = at;
        looks_ = 0;
        return;
    }
    if (is_first)
        since_ = at;
    if (looks_ < looks_until_stuck)
        ++looks_;
    if (looks_ == looks_until_stuck && at - since_ >= time_until_stuck)
        is_stuck_ = true;
}

} // namespace holdfast
