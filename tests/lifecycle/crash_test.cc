// SPDX-License-Identifier: Apache-2.0
// Workers that go without being told: who is replaced, when, and how often.
#include "catch.h"
#include "lifecycle/back_off.h"
#include "lifecycle/story.h"

#include <set>

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

Story serving(Policy const& policy) {
    Story story{policy};
    story.tell(StartWished{});
    for (std::uint32_t id = 1; id <= policy.workers; ++id)
        story.comes_up(WorkerId{id});
    story.new_chapter();
    return story;
}

/// The newest worker comes up, serves for `time` and dies.
void live_and_die(Story& story, Duration time) {
    auto const worker = story.state.last_worker;
    story.comes_up(worker);
    story.pass(time);
    story.exits(worker, ExitKind::UncleanSignal);
}

} // namespace

TEST_CASE("restart = decides as the table of systemd.service(5) does", "[lifecycle]") {
    // Exit causes as columns: clean exit, unclean code, unclean signal, timeout.
    struct Row {
        RestartWhen when;
        bool clean, code, signal, timeout;
    };
    for (auto const& row :
         {Row{RestartWhen::No, false, false, false, false}, Row{RestartWhen::Always, true, true, true, true},
          Row{RestartWhen::OnSuccess, true, false, false, false},
          Row{RestartWhen::OnFailure, false, true, true, true},
          Row{RestartWhen::OnAbnormal, false, false, true, true},
          Row{RestartWhen::OnAbort, false, false, true, false},
          Row{RestartWhen::OnWatchdog, false, false, false, false}}) {
        INFO(to_name(row.when));
        CHECK(is_restarted(row.when, Ending::Clean) == row.clean);
        CHECK(is_restarted(row.when, Ending::UncleanCode) == row.code);
        CHECK(is_restarted(row.when, Ending::UncleanSignal) == row.signal);
        CHECK(is_restarted(row.when, Ending::Timeout) == row.timeout);
    }
}

TEST_CASE("a core dump is a signal, and a clean exit before READY is no success", "[lifecycle]") {
    CHECK(ending_of({.phase = WorkerPhase::Ready}, ExitKind::CoreDump) == Ending::UncleanSignal);
    CHECK(ending_of({.phase = WorkerPhase::Ready}, ExitKind::Clean) == Ending::Clean);
    CHECK(ending_of({.phase = WorkerPhase::Starting}, ExitKind::Clean) == Ending::Timeout);
    CHECK(ending_of({.phase = WorkerPhase::Starting}, ExitKind::UncleanCode) == Ending::UncleanCode);
    CHECK(ending_of({.phase = WorkerPhase::Killed}, ExitKind::UncleanSignal) == Ending::Timeout);
}

TEST_CASE("delays grow geometrically from restart_delay to restart_max_delay in restart_steps steps",
          "[lifecycle]") {
    Policy const policy{.restart_delay = 100ms, .restart_max_delay = 1600ms, .restart_steps = 4};
    CHECK(restart_delay(policy, 0) == 0ms);
    CHECK(restart_delay(policy, 1) == 100ms);
    CHECK(restart_delay(policy, 2) == 200ms);
    CHECK(restart_delay(policy, 3) == 400ms);
    CHECK(restart_delay(policy, 4) == 800ms);
    CHECK(restart_delay(policy, 5) == 1600ms);
    CHECK(restart_delay(policy, 60000) == 1600ms);
}

TEST_CASE("delays do not grow without steps, without a limit, or from a start above it", "[lifecycle]") {
    CHECK(restart_delay({.restart_delay = 2s, .restart_steps = 0}, 9) == 2s);
    CHECK(restart_delay({.restart_delay = 2s, .restart_max_delay = forever}, 9) == 2s);
    CHECK(restart_delay({.restart_delay = 9s, .restart_max_delay = 3s}, 9) == 9s);
    CHECK(restart_delay({.restart_delay = 0s}, 9) == 0s);
}

TEST_CASE("a worker that crashes is replaced at once, in its slot, from its spec", "[lifecycle]") {
    auto story = serving({.spec = SpecId{3}, .workers = 2});
    story.policy.spec = SpecId{4};
    story.exits(WorkerId{2}, ExitKind::CoreDump);
    REQUIRE(story.all<Spawn>() == std::vector<Spawn>{{WorkerId{3}, GenerationId{1}, Slot{1}, SpecId{3}}});
    auto const died = story.reports(Happening::WorkerDied);
    REQUIRE(died.size() == 1);
    CHECK(died.front().worker == WorkerId{2});
    CHECK(died.front().exit == ExitKind::CoreDump);
    CHECK(died.front().cause == Cause::None);
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("the second crash in a row waits, the third longer", "[lifecycle]") {
    auto story = serving({.restart_delay = 100ms, .restart_max_delay = 400ms, .restart_steps = 2});
    live_and_die(story, 10ms);
    CHECK(story.spawned.size() == 1);
    live_and_die(story, 10ms);
    CHECK(story.reports(Happening::BackingOff).back().until == story.now + 100ms);
    story.pass(100ms);
    live_and_die(story, 10ms);
    CHECK(story.reports(Happening::BackingOff).back().until == story.now + 200ms);
    CHECK(story.phase() == UnitPhase::BackingOff);
    story.pass(200ms);
    CHECK(story.spawned.size() == 3);
}

TEST_CASE("after a healthy run the count begins again", "[lifecycle]") {
    auto story = serving({.restart_max_delay = 30s});
    live_and_die(story, 1s);
    live_and_die(story, 1s);
    story.pass(100ms);
    story.new_chapter();
    SECTION("a run of restart_max_delay is healthy") {
        live_and_die(story, 30s);
        CHECK(story.spawned.size() == 1);
        CHECK_FALSE(story.said(Happening::BackingOff));
    }
    SECTION("a shorter one is not") {
        live_and_die(story, 30s - 1us);
        CHECK(story.spawned.empty());
        CHECK(story.said(Happening::BackingOff));
    }
}

TEST_CASE("one slot that crashes does not delay another", "[lifecycle]") {
    auto story = serving({.workers = 2, .start_limit_burst = 0});
    for (int i = 0; i < 5; ++i) {
        live_and_die(story, 1ms);
        story.pass(20s);
    }
    story.new_chapter();
    story.exits(WorkerId{1}, ExitKind::UncleanCode);
    CHECK(story.spawned.size() == 1);
}

TEST_CASE("too many automatic starts pause the unit, which recovers by itself", "[lifecycle]") {
    Policy const policy{.restart_delay = 100ms,
                        .restart_max_delay = 100ms,
                        .start_limit_burst = 3,
                        .start_limit_interval = 10s};
    auto story = serving(policy);
    auto const begin = story.now;
    while (!story.said(Happening::StartLimitHit))
        live_and_die(story, 1ms), story.pass(100ms);
    CHECK(story.spawned.size() == 3);
    auto const until = story.reports(Happening::StartLimitHit).front().until;
    CHECK(until == begin + 1ms + 10s); // when the first of the three leaves the interval
    CHECK(story.phase() == UnitPhase::BackingOff);
    story.pass(10s);
    CHECK(story.spawned.size() == 4);
    story.comes_up(story.spawned.back());
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("the limit is one for each slot, so that a bad one does not pause the others", "[lifecycle]") {
    auto story =
        serving({.workers = 2, .restart_delay = 1ms, .restart_max_delay = 1ms, .start_limit_burst = 2});
    for (int i = 0; i < 3; ++i)
        live_and_die(story, 1ms), story.pass(1ms);
    CHECK(story.spawned.size() == 2);
    CHECK(story.reports(Happening::StartLimitHit).size() == 1);
    story.new_chapter();
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    CHECK(story.spawned.size() == 1);
    story.comes_up(story.spawned.back());
    CHECK(story.phase() == UnitPhase::Active);
    story.pass(10s);
    CHECK(story.spawned.size() == 2);
    CHECK_FALSE(story.backs_off());
}

TEST_CASE("what the operator asks for is not counted and clears the count", "[lifecycle]") {
    auto story = serving({.start_limit_burst = 1});
    for (int i = 0; i < 20; ++i) {
        story.tell(RestartWished{});
        story.comes_up(story.spawned.back());
        story.exits(story.spawned.back(), ExitKind::UncleanCode); // one automatic start each time
        story.comes_up(story.state.last_worker);
        for (auto const& worker : std::vector<Worker>{story.state.workers})
            if (worker.phase == WorkerPhase::Draining)
                story.exits(worker.id);
    }
    CHECK_FALSE(story.said(Happening::StartLimitHit));
    CHECK(story.spawned.size() == 40);
}

TEST_CASE("a unit that may not be restarted is finished when its last worker is gone", "[lifecycle]") {
    auto story = serving({.workers = 2});
    story.exits(WorkerId{1}, ExitKind::Clean);
    CHECK_FALSE(story.said(Happening::Finished));
    CHECK(story.phase() == UnitPhase::Active);
    story.exits(WorkerId{2}, ExitKind::Clean);
    CHECK(story.said(Happening::Finished));
    CHECK(story.phase() == UnitPhase::Inactive);
    CHECK(story.spawned.empty());
    story.tell(StopWished{});
    CHECK(story.said(Happening::Stopped));
}

TEST_CASE("STOPPING=1 is leave-taking: no new signal, a deadline, and its exit decides by the table",
          "[lifecycle]") {
    auto story =
        serving({.restart = GENERATE(RestartWhen::Always, RestartWhen::OnFailure), .timeout_stop = 20s});
    bool const always = story.policy.restart == RestartWhen::Always;
    story.tell(StoppingSaid{WorkerId{1}});
    CHECK(story.worker(WorkerId{1})->phase == WorkerPhase::Draining);
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    CHECK(story.spawned.empty()); // a slot has one worker at a time
    SECTION("it goes") {
        story.exits(WorkerId{1}, ExitKind::Clean);
        CHECK_FALSE(story.said(Happening::WorkerDied));
        CHECK(story.said(Happening::WorkerGone));
        CHECK(story.spawned.size() == (always ? 1U : 0U));
        CHECK(story.said(Happening::Finished) == !always);
    }
    SECTION("it does not go") {
        story.pass(20s);
        CHECK(story.has(Kill{WorkerId{1}}));
        story.exits(WorkerId{1}, ExitKind::UncleanSignal);
        CHECK(story.spawned.size() == 1); // a timeout is a failure
    }
}

TEST_CASE("a worker that leaves may ask for more time", "[lifecycle]") {
    auto story = serving({.timeout_stop = 20s});
    story.tell(StopWished{});
    story.pass(15s);
    story.tell(TimeExtended{WorkerId{1}, 60s});
    story.pass(60s - 1us);
    CHECK_FALSE(story.has(Kill{WorkerId{1}}));
    story.pass(1us);
    CHECK(story.has(Kill{WorkerId{1}}));
}
