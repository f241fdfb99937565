// SPDX-License-Identifier: Apache-2.0
// How often the listeners of one unit may wake us: too often, and a listener is left alone for a while.
// Counts and says; who watches asks it.
#pragma once

#include "base/time.h"
#include "unit/spec.h"

#include <map>
#include <optional>
#include <vector>

namespace holdfast {

class PollLimit {
public:
    /// The listener wakes us: nothing, or until when it is to be left alone since it was one time too many.
    [[nodiscard]] std::optional<MonotonicTime> count(int listener, SocketSpec const& socket,
                                                     MonotonicTime now);
    /// Until when it is left alone; nothing when it is not.
    [[nodiscard]] std::optional<MonotonicTime> left_alone_until(int listener, MonotonicTime now) const;
    /// When the first of them is no longer; never where none is.
    [[nodiscard]] MonotonicTime next_end(MonotonicTime now) const;
    /// Another one may get its number.
    void forget(int listener) { known_.erase(listener); }

private:
    struct Known {
        std::vector<MonotonicTime> woke; ///< within the interval, oldest first
        MonotonicTime until;
    };
    std::map<int, Known> known_;
};

} // namespace holdfast
