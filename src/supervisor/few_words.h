// SPDX-License-Identifier: Apache-2.0
// What may happen ten thousand times a minute, said a few times: the first of each kind in a span are said as
// they are, of the rest the number and the last one when the span is over. Owned by who has such things to
// say.
#pragma once

#include "event/loop.h"
#include "supervisor/log.h"

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace holdfast {

class FewWords {
public:
    using Say = std::function<void(Weight weight, std::string_view kind, std::string text)>;
    FewWords(EventLoop& loop, Say say) : loop_{loop}, say_{std::move(say)} {}

    static constexpr unsigned most_in_a_span = 3;
    static constexpr Duration span = std::chrono::seconds{10};

    /// `kind` is a literal.
    void say(Weight weight, std::string_view kind, std::string text);

private:
    struct Spoken {
        MonotonicTime since;
        unsigned said = 0;
        unsigned unsaid = 0;
        Weight weight = Weight::Normal;
        std::string last{};
    };
    void sum_up();

    EventLoop& loop_;
    Say say_;
    std::map<std::string_view, Spoken> kinds_;
    EventSource timer_; ///< only while something is unsaid
};

} // namespace holdfast
