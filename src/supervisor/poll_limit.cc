// SPDX-License-Identifier: Apache-2.0
#include "supervisor/poll_limit.h"

#include <algorithm>

namespace holdfast {

std::optional<MonotonicTime> PollLimit::count(int listener, SocketSpec const& socket, MonotonicTime now) {
    if (socket.poll_limit_burst == 0 || socket.poll_limit_interval == Duration{0})
        return std::nullopt;
    auto& known = known_[listener];
    std::erase_if(known.woke, [&](MonotonicTime at) { return at + socket.poll_limit_interval <= now; });
    if (known.woke.size() >= socket.poll_limit_burst)
        return known.until = known.woke.front() + socket.poll_limit_interval;
    known.woke.push_back(now);
    return std::nullopt;
}

std::optional<MonotonicTime> PollLimit::left_alone_until(int listener, MonotonicTime now) const {
    auto const found = known_.find(listener);
    return found == known_.end() || found->second.until <= now ? std::nullopt
                                                               : std::optional{found->second.until};
}

MonotonicTime PollLimit::next_end(MonotonicTime now) const {
    auto next = MonotonicTime::never();
    for (auto const& [listener, known] : known_)
        if (known.until > now)
            next = std::min(next, known.until);
    return next;
}

} // namespace holdfast
