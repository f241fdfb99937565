// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "supervisor/idle_watch.h"
#include "supervisor/on_demand.h"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

QueueState queue(std::uint32_t waiting, std::uint32_t limit) {
    return {waiting, limit, std::nullopt};
}

} // namespace

TEST_CASE("a queue is nearly full from four fifths on", "[supervisor]") {
    CHECK_FALSE(is_nearly_full(queue(0, 0))); // nobody knows its limit
    CHECK_FALSE(is_nearly_full(queue(0, 1)));
    CHECK(is_nearly_full(queue(1, 1)));
    CHECK_FALSE(is_nearly_full(queue(7, 10)));
    CHECK(is_nearly_full(queue(8, 10)));
    CHECK(is_nearly_full(queue(4294967295U, 4294967295U)));
    CHECK_FALSE(is_nearly_full(queue(3000000000U, 4294967295U)));
}

TEST_CASE("who is there is looked at ten times in idle_stop, within limits, and never all the time",
          "[supervisor]") {
    CHECK(pause_between_looks(10s, 0s) == 1s);
    CHECK(pause_between_looks(10ms, 0s) == 20ms);
    CHECK(pause_between_looks(24h, 0s) == 1min);
    CHECK(pause_between_looks(100ms, 50ms) == 1s); // a look takes a twentieth of the time at most
}
