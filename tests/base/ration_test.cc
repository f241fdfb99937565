// SPDX-License-Identifier: Apache-2.0
#include "base/ration.h"
#include "catch.h"

using namespace holdfast;
using namespace std::chrono_literals;

TEST_CASE("a ration is spent within its period, and the next period has a whole one", "[base]") {
    Ration ration{50ms, 1s};
    MonotonicTime const start{1000s};
    CHECK(ration.left(start) == 50ms);
    ration.spend(20ms);
    CHECK(ration.left(start + 10ms) == 30ms);
    ration.spend(40ms);
    CHECK(ration.left(start + 999ms) == 0ms);
    CHECK(ration.left(start + 1s) == 50ms);
}
