// SPDX-License-Identifier: Apache-2.0
// What a unit costs while nothing happens, and the levels.
#include "catch.h"
#include "lifecycle/levels.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

template <class T>
std::size_t heap_of(std::vector<T> const& items) {
    std::size_t const bytes = items.capacity() * sizeof(T);
    return bytes == 0 ? 0 : bytes + 16; // what malloc adds at most
}

std::size_t cost_of(UnitState const& state) {
    return sizeof state + heap_of(state.generations) + heap_of(state.workers) + heap_of(state.refills) +
           heap_of(state.automatic_starts);
}

} // namespace

TEST_CASE("a unit with one worker costs less than half a KiB, also after it was restarted", "[lifecycle]") {
    Story story;
    CHECK(cost_of(story.state) < 256);
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    CHECK(cost_of(story.state) < 488);
    for (std::uint32_t id = 2; id < 6; ++id) {
        story.tell(RestartWished{});
        story.comes_up(WorkerId{id});
        story.exits(WorkerId{id - 1});
    }
    REQUIRE(story.phase() == UnitPhase::Active);
    CHECK(cost_of(story.state) < 488);
}

TEST_CASE("the difference of two levels disarms, arms and moves, and leaves the rest alone", "[lifecycle]") {
    auto const timer = [](std::uint32_t of, Duration at) {
        return ArmedTimer{{TimerKind::StopDeadline, of}, MonotonicTime{at}};
    };
    Levels const before{.watching = true, .timers = {timer(1, 1s), timer(2, 2s), timer(3, 3s)}};
    Levels const after{.watching = false, .timers = {timer(2, 2s), timer(3, 9s), timer(4, 4s)}};
    Orders orders;
    emit_difference(before, after, orders);
    CHECK(orders == Orders{Unwatch{}, Disarm{timer(1, 1s).key}, Arm{timer(3, 9s).key, MonotonicTime{9s}},
                           Arm{timer(4, 4s).key, MonotonicTime{4s}}});
    orders.clear();
    emit_difference(after, after, orders);
    CHECK(orders.empty());
}

TEST_CASE("deadlines that never come arm no timer", "[lifecycle]") {
    Story story{{.type = ServiceType::Notify, .timeout_start = forever, .timeout_stop = forever}};
    story.tell(StartWished{});
    story.tell(Forked{WorkerId{1}});
    CHECK(story.timers.empty());
    story.tell(StopWished{});
    CHECK(story.told_to_go(WorkerId{1}));
    CHECK(story.timers.empty());
}

TEST_CASE("a timer that expires early, or for a deadline that was moved, is armed again", "[lifecycle]") {
    Story story{{.timeout_stop = 20s}};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.tell(StopWished{});
    TimerKey const key{TimerKind::StopDeadline, 1};
    auto const at = story.timers.at(key);
    story.tell(TimerExpired{key});
    CHECK(story.orders == Orders{Arm{key, at}});
}
