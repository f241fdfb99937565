// SPDX-License-Identifier: Apache-2.0
// How a unit comes up.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

TEST_CASE("an eager unit spawns all its slots at once and is started when the last of them is ready",
          "[lifecycle]") {
    Story story{{.spec = SpecId{7}, .workers = 2, .type = ServiceType::Notify}};
    story.tell(StartWished{});
    REQUIRE(story.all<Spawn>() == std::vector<Spawn>{{WorkerId{1}, GenerationId{1}, Slot{0}, SpecId{7}},
                                                     {WorkerId{2}, GenerationId{1}, Slot{1}, SpecId{7}}});
    CHECK(story.said(Happening::Starting));
    CHECK(story.phase() == UnitPhase::Starting);

    story.comes_up(WorkerId{1});
    CHECK_FALSE(story.said(Happening::Started));
    story.comes_up(WorkerId{2});
    CHECK(story.reports(Happening::Started).size() == 1);
    CHECK(story.phase() == UnitPhase::Active);
    CHECK(story.timers.empty());
}

TEST_CASE("the type of the service says which sign makes a worker ready", "[lifecycle]") {
    struct Row {
        ServiceType type;
        Fact sign;
    };
    auto const row =
        GENERATE(Row{ServiceType::Simple, Forked{WorkerId{1}}}, Row{ServiceType::Exec, Executed{WorkerId{1}}},
                 Row{ServiceType::Notify, ReadySaid{WorkerId{1}}});
    Story story{{.type = row.type}};
    story.tell(StartWished{});
    for (Fact const& fact :
         {Fact{Forked{WorkerId{1}}}, Fact{Executed{WorkerId{1}}}, Fact{ReadySaid{WorkerId{1}}}}) {
        bool const was_ready = story.said(Happening::Started);
        story.tell(fact);
        CHECK(story.said(Happening::Started) == (was_ready || fact == row.sign));
    }
    CHECK(story.reports(Happening::Started).size() == 1);
}

TEST_CASE("READY is heard from notify workers only, and twice is harmless", "[lifecycle]") {
    Story story{{.type = ServiceType::Notify}};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    auto const before = story.state;
    story.tell(ReadySaid{WorkerId{1}});
    CHECK(story.state == before);
    CHECK(story.orders.empty());
}

TEST_CASE("a start of a unit that is up is answered again at once", "[lifecycle]") {
    Story story;
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.new_chapter();
    story.tell(StartWished{});
    CHECK(story.reports(Happening::Started).size() == 1);
    CHECK(story.all_orders.size() == 1);
}

TEST_CASE("two starts before the unit is up are answered by one report", "[lifecycle]") {
    Story story;
    story.tell(StartWished{});
    story.tell(StartWished{});
    CHECK(story.spawned.size() == 1);
    CHECK(story.reports(Happening::Starting).size() == 2);
    story.comes_up(WorkerId{1});
    CHECK(story.reports(Happening::Started).size() == 1);
}

TEST_CASE("a first worker that does not come up fails the start, with its cause, and is tried again",
          "[lifecycle]") {
    Story story{{.type = ServiceType::Notify, .timeout_start = 10s}};
    story.tell(StartWished{});
    auto cause = Cause::None;
    SECTION("it cannot be executed") {
        story.tell(Forked{WorkerId{1}});
        story.tell(SpawnFailed{WorkerId{1}});
        cause = Cause::SpawnFailed;
    }
    SECTION("it exits") {
        story.tell(Forked{WorkerId{1}});
        story.exits(WorkerId{1}, ExitKind::UncleanCode);
        cause = Cause::ExitedBeforeReady;
    }
    SECTION("it exits cleanly before it was ready") {
        story.tell(Forked{WorkerId{1}});
        story.exits(WorkerId{1}, ExitKind::Clean);
        cause = Cause::ExitedBeforeReady;
    }
    SECTION("it is not ready in time") {
        story.tell(Forked{WorkerId{1}});
        story.pass(10s);
        CHECK(story.said(Happening::StartDeadlinePassed));
        CHECK(story.told_to_go(WorkerId{1}));
        CHECK(story.reports(Happening::StartFailed).size() == 1); // at the deadline, not when it is gone
        story.exits(WorkerId{1});
        cause = Cause::StartDeadline;
    }
    auto const failed = story.reports(Happening::StartFailed);
    REQUIRE(failed.size() == 1);
    CHECK(failed.front().cause == cause);
    CHECK(story.phase() == UnitPhase::BackingOff);
    story.pass(100ms);
    CHECK(story.spawned.size() == 2);
    story.comes_up(WorkerId{2});
    CHECK(story.phase() == UnitPhase::Active);
    CHECK_FALSE(story.said(Happening::Started)); // nobody waits for it any more
}

TEST_CASE("a worker that misses its start and then ignores the signal is killed, then replaced",
          "[lifecycle]") {
    Story story{{.type = ServiceType::Notify, .timeout_start = 10s, .timeout_stop = 5s}};
    story.tell(StartWished{});
    story.tell(Forked{WorkerId{1}});
    story.pass(15s);
    CHECK(story.has(Kill{WorkerId{1}}));
    CHECK(story.spawned.size() == 1); // a slot has one worker at a time
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    story.pass(100ms);
    CHECK(story.spawned.size() == 2);
}

TEST_CASE("the slot of a worker that missed its start and that nothing ends is filled again", "[lifecycle]") {
    Story story{{.type = ServiceType::Notify, .timeout_start = 10s, .timeout_stop = 5s}};
    story.tell(StartWished{});
    story.tell(Forked{WorkerId{1}});
    story.pass(20s);
    CHECK(story.said(Happening::WorkerStuck));
    story.pass(100ms);
    CHECK(story.spawned.size() == 2);
}

TEST_CASE("a worker may ask for more time to start", "[lifecycle]") {
    Story story{{.type = ServiceType::Notify, .timeout_start = 10s}};
    story.tell(StartWished{});
    story.tell(Forked{WorkerId{1}});
    story.pass(9s);
    story.tell(TimeExtended{WorkerId{1}, 30s});
    story.tell(TimeExtended{WorkerId{1}, 1s}); // never earlier
    story.pass(30s - 1us);
    CHECK_FALSE(story.said(Happening::StartDeadlinePassed));
    story.pass(1us);
    CHECK(story.said(Happening::StartDeadlinePassed));
}

// A process that hung before its program was executed (a log FIFO that nobody read) left the start
// unanswered.
TEST_CASE("a worker that never becomes a program misses its start, whatever its type", "[lifecycle]") {
    Story story{{.type = GENERATE(ServiceType::Notify, ServiceType::Exec), .timeout_start = 10s}};
    story.policy.timeout_stop = 5s;
    story.tell(StartWished{});
    story.tell(Forked{WorkerId{1}});
    story.pass(10s - 1us);
    CHECK_FALSE(story.said(Happening::StartDeadlinePassed));
    story.pass(1us);
    CHECK(story.said(Happening::StartDeadlinePassed));
    CHECK(story.told_to_go(WorkerId{1}));
    REQUIRE(story.reports(Happening::StartFailed).size() == 1);
    CHECK(story.reports(Happening::StartFailed).front().cause == Cause::StartDeadline);
    story.pass(5s);
    CHECK(story.has(Kill{WorkerId{1}}));
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    story.pass(100ms);
    CHECK(story.spawned.size() == 2);
}

TEST_CASE("a worker that is not even forked in time fails the start, and is told as soon as it is",
          "[lifecycle]") {
    Story story{{.type = ServiceType::Simple, .timeout_start = 10s}};
    story.tell(StartWished{});
    story.pass(10s);
    CHECK(story.reports(Happening::StartFailed).size() == 1);
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    story.tell(Forked{WorkerId{1}});
    CHECK(story.told_to_go(WorkerId{1}));
}

TEST_CASE("a start of a unit in back-off tries at once, by the wanted spec, with its counters reset",
          "[lifecycle]") {
    Story story{{.spec = SpecId{1}, .start_limit_burst = 2}};
    story.tell(StartWished{});
    for (auto next = WorkerId{1}; !story.said(Happening::StartLimitHit); next = story.spawned.back()) {
        story.tell(SpawnFailed{next});
        story.pass(1s);
    }
    REQUIRE(story.phase() == UnitPhase::BackingOff);
    story.new_chapter();
    story.policy.spec = SpecId{2};
    story.tell(StartWished{});
    REQUIRE(story.all<Spawn>().size() == 1);
    CHECK(story.all<Spawn>().front().spec == SpecId{2});
    CHECK_FALSE(story.backs_off());
    story.tell(SpawnFailed{story.spawned.back()});
    CHECK(story.reports(Happening::StartFailed).size() == 1);
    CHECK(story.reports(Happening::BackingOff).back().until == story.now + 100ms); // as after the very first
}

TEST_CASE("a start fills the empty slots of a unit that is up", "[lifecycle]") {
    Story story{{.workers = 2, .restart = RestartWhen::No}};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.comes_up(WorkerId{2});
    story.exits(WorkerId{1});
    story.pass(1h);
    REQUIRE(story.spawned.size() == 2);
    story.tell(StartWished{});
    REQUIRE(story.spawned.size() == 3);
    CHECK(story.worker(WorkerId{3})->slot == Slot{0});
    CHECK(story.worker(WorkerId{3})->generation == GenerationId{1});
    story.new_chapter();
    story.comes_up(WorkerId{3});
    CHECK(story.said(Happening::Started));
}

TEST_CASE("facts about workers that are gone or never were change nothing", "[lifecycle]") {
    Story story;
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    auto const before = story.state;
    for (Fact const& fact :
         {Fact{Forked{WorkerId{9}}}, Fact{Executed{WorkerId{9}}}, Fact{SpawnFailed{WorkerId{9}}},
          Fact{ReadySaid{WorkerId{9}}}, Fact{StoppingSaid{WorkerId{9}}}, Fact{TimeExtended{WorkerId{9}, 5s}},
          Fact{Exited{WorkerId{9}, ExitKind::CoreDump}}, Fact{TimerExpired{{TimerKind::StopDeadline, 1}}},
          Fact{TimerExpired{{TimerKind::RestartDelay, 65536}}},
          Fact{TimerExpired{{TimerKind::StartLimit, 0}}}, Fact{TrafficArrived{}}}) {
        INFO(to_string(fact));
        story.tell(fact);
        CHECK(story.state == before);
        CHECK(story.orders.empty());
    }
}
