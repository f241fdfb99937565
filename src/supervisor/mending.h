// SPDX-License-Identifier: Apache-2.0
// The pace at which listeners that a worker has shut down are made to listen again: fast enough for a rollout
// of many workers that each do it as they go, and slow enough to cost nothing where it never ends.
#pragma once

#include "base/time.h"

#include <algorithm>
#include <utility>

namespace holdfast {

/// So often in a row at once, and then once per period.
inline constexpr int mended_at_once = 8;
inline constexpr Duration mending_period = std::chrono::seconds{1};
/// After a failure; then twice as long each time.
inline constexpr Duration first_mending_retry = std::chrono::milliseconds{100};
inline constexpr Duration longest_mending_retry = std::chrono::seconds{30};

struct MendingPace {
    MonotonicTime paid_until; ///< each mending costs a while of it
    MonotonicTime retry_at;   ///< after a failure
    Duration retry = first_mending_retry;
    int told_code = 0; ///< of the failure that was told last

    [[nodiscard]] MonotonicTime due() const {
        return std::max(paid_until + -mended_at_once * mending_period, retry_at);
    }
    void mended(MonotonicTime now) { paid_until = std::max(now, paid_until) + mending_period; }
    /// Nothing was to be done, or it was done.
    void succeeded() {
        retry_at = {};
        retry = first_mending_retry;
        told_code = 0;
    }
    /// Sets retry_at. Whether it is to be told: it is the first one, or has another reason, an errno.
    bool failed(MonotonicTime now, int code) {
        retry_at = now + retry;
        retry = std::min(retry * 2, longest_mending_retry);
        return std::exchange(told_code, code) != code;
    }
};

} // namespace holdfast
