// SPDX-License-Identifier: Apache-2.0
// Workers whose health is probed, or who have a watchdog.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

Policy probed(ServiceType type, std::uint16_t workers = 1) {
    return {.spec = SpecId{1}, .workers = workers, .type = type, .is_probed = true};
}

void comes_up_well(Story& story, WorkerId worker) {
    story.comes_up(worker);
    story.tell(ProbePassed{worker});
}

} // namespace

TEST_CASE("where health is probed, ready is who passed a probe after the sign of its type", "[lifecycle]") {
    Story story{probed(ServiceType::Notify)};
    story.tell(StartWished{});
    story.tell(Forked{WorkerId{1}});
    story.tell(Executed{WorkerId{1}});
    story.tell(ProbePassed{WorkerId{1}}); // too early: it has not said READY=1
    CHECK_FALSE(story.said(Happening::WorkerReady));
    story.tell(ReadySaid{WorkerId{1}});
    CHECK_FALSE(story.said(Happening::WorkerReady));
    story.tell(ProbePassed{WorkerId{1}});
    CHECK(story.said(Happening::Started));
}

TEST_CASE("before it is ready a failed probe ends who said that it is, and nobody else", "[lifecycle]") {
    auto const type = GENERATE(ServiceType::Notify, ServiceType::Exec);
    Story story{probed(type)};
    story.tell(StartWished{});
    comes_up_well(story, WorkerId{1});
    story.tell(RestartWished{});
    story.comes_up(WorkerId{2});
    story.tell(ProbeFailed{WorkerId{2}});
    CHECK(story.told_to_go(WorkerId{2}) == (type == ServiceType::Notify));
    story.pass(90s);
    CHECK(story.told_to_go(WorkerId{2}));
    REQUIRE(story.reports(Happening::RolloutFailed).size() == 1);
    CHECK(story.reports(Happening::RolloutFailed).front().cause ==
          (type == ServiceType::Notify ? Cause::Unhealthy : Cause::StartDeadline));
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
}

TEST_CASE("an unhealthy worker stays until the one that replaces it is ready", "[lifecycle]") {
    Story story{probed(ServiceType::Exec)};
    story.tell(StartWished{});
    comes_up_well(story, WorkerId{1});
    story.new_chapter();
    story.tell(ProbeFailed{WorkerId{1}});
    CHECK(story.said(Happening::WorkerUnhealthy));
    REQUIRE(story.spawned == std::vector{WorkerId{2}});
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    story.comes_up(WorkerId{2});
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    story.tell(ProbePassed{WorkerId{2}});
    CHECK(story.told_to_go(WorkerId{1}));
    story.exits(WorkerId{1});
    CHECK(story.spawned.size() == 1);
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("where others are ready, an unhealthy worker goes at once", "[lifecycle]") {
    Story story{probed(ServiceType::Exec, 2)};
    story.tell(StartWished{});
    comes_up_well(story, WorkerId{1});
    comes_up_well(story, WorkerId{2});
    story.tell(ProbeFailed{WorkerId{2}});
    CHECK(story.told_to_go(WorkerId{2}));
    CHECK(story.spawned.back() == WorkerId{3});
}

TEST_CASE("an unhealthy worker on probation rolls back", "[lifecycle]") {
    auto policy = probed(ServiceType::Exec);
    policy.probation = 5s;
    Story story{policy};
    story.tell(StartWished{});
    comes_up_well(story, WorkerId{1});
    story.tell(RestartWished{});
    comes_up_well(story, WorkerId{2});
    CHECK(story.said(Happening::TookOver));
    story.tell(ProbeFailed{WorkerId{2}});
    CHECK(story.reports(Happening::RolloutFailed).front().cause == Cause::Unhealthy);
    CHECK(story.told_to_go(WorkerId{2}));
    CHECK_FALSE(story.told_to_go(WorkerId{1}));
    CHECK(story.spawned.size() == 2);
}

TEST_CASE("a worker that misses its watchdog is replaced when it is gone, as the Restart= table says",
          "[lifecycle]") {
    auto const [restart, comes_back] = GENERATE(table<RestartWhen, bool>({{RestartWhen::No, false},
                                                                          {RestartWhen::OnSuccess, false},
                                                                          {RestartWhen::OnFailure, true},
                                                                          {RestartWhen::OnAbnormal, true},
                                                                          {RestartWhen::OnWatchdog, true},
                                                                          {RestartWhen::OnAbort, false},
                                                                          {RestartWhen::Always, true}}));
    Story story{{.type = ServiceType::Notify, .restart = restart}};
    story.tell(StartWished{});
    story.comes_up(WorkerId{1});
    story.new_chapter();
    story.tell(WatchdogMissed{WorkerId{1}});
    REQUIRE(story.reports(Happening::WorkerDied).size() == 1);
    CHECK(story.reports(Happening::WorkerDied).front().cause == Cause::Watchdog);
    CHECK(story.spawned.empty());
    story.exits(WorkerId{1}, ExitKind::CoreDump);
    CHECK(story.spawned.size() == (comes_back ? 1 : 0));
}
