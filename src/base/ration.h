// SPDX-License-Identifier: Apache-2.0
// Time for work that the event loop can spare only so much of: what is worth a look, and not worth a wait.
#pragma once

#include "base/time.h"

#include <algorithm>

namespace holdfast {

/// `allowed` in each `period`, which begins when the first of it is asked for.
class Ration {
public:
    constexpr Ration(Duration allowed, Duration period) : allowed_{allowed}, period_{period} {}

    /// How much of it is left at `now`, never less than nothing.
    [[nodiscard]] Duration left(MonotonicTime now) {
        if (now - since_ >= period_) {
            since_ = now;
            spent_ = Duration{0};
        }
        return std::max(allowed_ - spent_, Duration{0});
    }
    void spend(Duration time) { spent_ += time; }

private:
    Duration allowed_;
    Duration period_;
    MonotonicTime since_;
    Duration spent_{0};
};

} // namespace holdfast
