// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "socket/shard_pace.h"

#include <initializer_list>
#include <random>

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr auto pause = 15ms;

/// Looks one after the other; the pace after the last.
struct Looks {
    QueuePace pace;
    MonotonicTime now{1h};
    std::uint32_t longest = 0; ///< of the others
    void see(std::initializer_list<std::uint32_t> waiting) {
        for (auto const count : waiting) {
            pace.see(count, now = now + pause);
            pace.judge(longest);
        }
    }
};

} // namespace

TEST_CASE("a queue in which somebody waits and that does not shrink is stuck after a while, not before",
          "[socket]") {
    Looks looks;
    looks.see({0, 1, 2, 2, 2, 3});
    CHECK(looks.pace.is_stuck() == false);
    looks.see({3});
    CHECK(looks.pace.is_stuck() == true);
    looks.see({3, 3, 9});
    CHECK(looks.pace.is_stuck() == true);
}

TEST_CASE("a queue that shrinks, be it by one, or is empty, moves", "[socket]") {
    Looks looks;
    looks.see({5, 5, 5, 5, 4, 5, 5, 5, 5, 5});
    CHECK_FALSE(looks.pace.is_stuck() == true);
    looks.see({5});
    CHECK(looks.pace.is_stuck() == true);
    looks.see({9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9});
    looks.see({8, 7});
    CHECK(looks.pace.is_stuck() == false);
    looks.see({9, 9, 9, 9, 9, 9, 9});
    CHECK(looks.pace.is_stuck() == true);
}

// The bug: a worker that took longer for each client than we look for was given its part, and lost it, at
// each one; and after 15 ms already.
TEST_CASE("one client that is accepted does not give a stuck queue its part, nor do two at once",
          "[socket]") {
    Looks looks;
    looks.see({9, 9, 9, 9, 9, 9, 9});
    REQUIRE(looks.pace.is_stuck() == true);
    looks.see({8, 7, 6});
    CHECK(looks.pace.is_stuck() == true); // too soon
    for (std::uint32_t left = 30; left > 1; --left)
        looks.see({left, left, left, left, left, left, left, left});
    CHECK(looks.pace.is_stuck() == true);
    looks.see({0});
    CHECK(looks.pace.is_stuck() == true);
    looks.see({0});
    CHECK(looks.pace.is_stuck() == false);
}

// The bug: under more load than they could take, workers that accepted all the time lost their part, because
// their queues only grew.
TEST_CASE("a queue that grows no more than those that move is not stuck", "[socket]") {
    Looks looks;
    looks.longest = 60;
    looks.see({0});
    for (std::uint32_t waiting = 10; waiting <= 120; waiting += 10)
        looks.see({waiting});
    CHECK(looks.pace.is_stuck() == false);
    CHECK_FALSE(looks.pace.moves());
    looks.see({121});
    CHECK(looks.pace.is_stuck() == true);
    looks.longest = 4000; // and stays so
    looks.see({121});
    CHECK(looks.pace.is_stuck() == true);
}

TEST_CASE("nothing is known of a queue as long as it was not seen to move or to stand still", "[socket]") {
    Looks looks;
    CHECK_FALSE(looks.pace.is_stuck());
    looks.see({3, 3, 3, 3, 3, 3});
    CHECK_FALSE(looks.pace.is_stuck());
    looks.see({3});
    CHECK(looks.pace.is_stuck() == true);
}

TEST_CASE("few looks far apart, and many close together, are no proof", "[socket]") {
    QueuePace rare;
    rare.see(0, MonotonicTime{1h});
    for (int look = 1; look < 6; ++look) {
        rare.see(1, MonotonicTime{1h} + look * 1s);
        rare.judge(0);
    }
    CHECK(rare.is_stuck() == false);
    QueuePace quick;
    quick.see(0, MonotonicTime{1h});
    for (int look = 1; look < 80; ++look) {
        quick.see(1, MonotonicTime{1h} + look * 1ms);
        quick.judge(0);
    }
    CHECK(quick.is_stuck() == false);
}

TEST_CASE("a busy queue that goes up and down by chance is seldom taken for stuck", "[socket]") {
    std::mt19937 random{5};
    Looks looks;
    int taken = 0;
    for (int i = 0; i < 10000; ++i) {
        bool const was_stuck = looks.pace.is_stuck() == true;
        looks.see({1 + static_cast<std::uint32_t>(random() % 6)});
        taken += !was_stuck && looks.pace.is_stuck() == true ? 1 : 0;
    }
    CHECK(taken < 100);
}
