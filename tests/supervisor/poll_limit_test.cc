// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "supervisor/poll_limit.h"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

MonotonicTime at(Duration time) {
    return MonotonicTime{1h + time};
}

SocketSpec twice_in_two_seconds() {
    SocketSpec socket;
    socket.poll_limit_burst = 2;
    socket.poll_limit_interval = 2s;
    return socket;
}

} // namespace

TEST_CASE("a listener that wakes us too often is left alone until the first time is long ago",
          "[supervisor]") {
    PollLimit limit;
    auto const socket = twice_in_two_seconds();
    CHECK_FALSE(limit.count(3, socket, at(0s)));
    CHECK_FALSE(limit.count(3, socket, at(1s)));
    CHECK(limit.count(3, socket, at(1500ms)) == at(2s));
    CHECK(limit.left_alone_until(3, at(1999ms)) == at(2s));
    CHECK(limit.next_end(at(1999ms)) == at(2s));
    CHECK_FALSE(limit.left_alone_until(3, at(2s)));
    CHECK(limit.next_end(at(2s)) == MonotonicTime::never());
    CHECK_FALSE(limit.count(3, socket, at(2s)));
}

TEST_CASE("each listener has a limit of its own", "[supervisor]") {
    PollLimit limit;
    auto const socket = twice_in_two_seconds();
    for (int i = 0; i < 3; ++i)
        (void)limit.count(3, socket, at(0s));
    CHECK(limit.left_alone_until(3, at(1s)));
    CHECK_FALSE(limit.count(4, socket, at(1s)));
    CHECK_FALSE(limit.left_alone_until(4, at(1s)));
    limit.forget(3);
    CHECK_FALSE(limit.count(3, socket, at(1s)));
}

TEST_CASE("a burst of 0 is any number", "[supervisor]") {
    PollLimit limit;
    auto socket = twice_in_two_seconds();
    socket.poll_limit_burst = 0;
    for (int i = 0; i < 100; ++i)
        CHECK_FALSE(limit.count(3, socket, at(0s)));
}
