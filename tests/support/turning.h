// SPDX-License-Identifier: Apache-2.0
// An event loop on the test's own thread, which turns it until something holds or a deadline passes. For the
// folders above event/.
#pragma once

#include "catch.h"
#include "event/loop.h"

#include <functional>
#include <memory>

namespace holdfast::test {

using namespace std::chrono_literals;

struct Turning {
    Turning() {
        auto made = EventLoop::create();
        REQUIRE(made);
        loop = std::move(made).value();
    }
    /// False when it does not hold within `patience`.
    bool until(std::function<bool()> const& holds, Duration patience = 20s) const {
        auto const deadline = MonotonicTime::now() + patience;
        while (!holds()) {
            if (MonotonicTime::now() > deadline)
                return false;
            loop->run_once(2ms);
        }
        return true;
    }
    /// Turns the loop until nothing more is pending.
    void settle() const {
        for (int rounds = 0; rounds < 1000 && loop->run_once(0ms); ++rounds) {
        }
    }
    std::unique_ptr<EventLoop> loop;
};

} // namespace holdfast::test
