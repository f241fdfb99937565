// SPDX-License-Identifier: Apache-2.0
#include "supervisor/few_words.h"

#include <utility>

namespace holdfast {

void FewWords::say(Weight weight, std::string_view kind, std::string text) {
    auto const now = MonotonicTime::now();
    auto& spoken = kinds_[kind];
    if (spoken.unsaid == 0 && (spoken.said == 0 || now - spoken.since >= span))
        spoken = {.since = now};
    if (spoken.said < most_in_a_span) {
        ++spoken.said;
        return say_(weight, kind, std::move(text));
    }
    ++spoken.unsaid;
    spoken.weight = weight;
    spoken.last = std::move(text);
    if (!timer_)
        timer_ = loop_.at(spoken.since + span, [this] { sum_up(); });
}

void FewWords::sum_up() {
    timer_.reset();
    auto const now = MonotonicTime::now();
    auto next = MonotonicTime::never();
    for (auto& [kind, spoken] : kinds_) {
        if (spoken.unsaid == 0)
            continue;
        if (now - spoken.since < span) {
            next = std::min(next, spoken.since + span);
            continue;
        }
        auto const unsaid = std::exchange(spoken.unsaid, 0U);
        // What follows is of the same story: it is summed up as well.
        spoken.since = now;
        spoken.said = most_in_a_span;
        say_(spoken.weight, kind,
             "and " + std::to_string(unsaid) +
                 " more like it in 10 s, the last: " + std::exchange(spoken.last, {}));
    }
    if (next != MonotonicTime::never())
        timer_ = loop_.at(next, [this] { sum_up(); });
}

} // namespace holdfast
