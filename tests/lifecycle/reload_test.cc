// SPDX-License-Identifier: Apache-2.0
// Workers that re-read their configuration: by a wish, or as a rollout in place.
#include "catch.h"
#include "lifecycle/story.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

Policy const three{.workers = 3,
                   .type = ServiceType::Notify,
                   .strategy = Strategy::InPlace,
                   .timeout_start = 10s,
                   .probation = 2s};

std::vector<WorkerId> asked(Story const& story) {
    std::vector<WorkerId> workers;
    for (auto const& reload : story.all<Reload>())
        workers.push_back(reload.worker);
    return workers;
}

Report const* only(Story const& story, Happening happening) {
    static std::vector<Report> found;
    found = story.reports(happening);
    return found.size() == 1 ? &found.front() : nullptr;
}

} // namespace

TEST_CASE("workers reload one after the other, and the wish is answered when all have", "[lifecycle]") {
    auto story = served(three);
    story.tell(ReloadWished{});
    CHECK(story.said(Happening::Reloading));
    for (unsigned number = 1; number <= 3; ++number) {
        CHECK(asked(story).size() == number);
        CHECK(asked(story).back() == WorkerId{number});
        CHECK_FALSE(story.said(Happening::ReloadDone));
        story.tell(Reloaded{WorkerId{number}});
    }
    CHECK(story.said(Happening::ReloadDone));
    CHECK(story.timers.empty());
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("who cannot reload is the last that is asked", "[lifecycle]") {
    auto story = served(three);
    story.tell(ReloadWished{});
    SECTION("it says so") {
        story.tell(ReloadRefused{WorkerId{1}});
        CHECK(only(story, Happening::ReloadFailed)->cause == Cause::ReloadRefused);
    }
    SECTION("it says nothing") {
        story.pass(9s);
        CHECK_FALSE(story.said(Happening::ReloadFailed));
        story.pass(1s);
        CHECK(only(story, Happening::ReloadFailed)->cause == Cause::ReloadDeadline);
    }
    SECTION("it asks for more time, and says nothing") {
        story.pass(9s);
        story.tell(TimeExtended{WorkerId{1}, 5s});
        story.pass(4s);
        CHECK_FALSE(story.said(Happening::ReloadFailed));
        story.pass(1s);
        CHECK(only(story, Happening::ReloadFailed)->cause == Cause::ReloadDeadline);
    }
    SECTION("it dies of it") {
        story.exits(WorkerId{1}, ExitKind::UncleanSignal);
        CHECK(only(story, Happening::ReloadFailed)->cause == Cause::ExitedSoon);
    }
    CHECK(asked(story) == std::vector{WorkerId{1}});
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("who starts is waited for, and who came after the wish need not reload", "[lifecycle]") {
    auto story = served(three);
    story.exits(WorkerId{2}, ExitKind::UncleanSignal); // worker 4 starts in its place
    story.tell(ReloadWished{});
    story.tell(Reloaded{WorkerId{1}});
    story.exits(WorkerId{3}, ExitKind::UncleanSignal); // and worker 5, with the new configuration
    CHECK(asked(story) == std::vector{WorkerId{1}, WorkerId{3}});
    // it was asked, and died: that may be why
    CHECK(story.said(Happening::ReloadFailed));
    story.new_chapter();

    story.comes_up(WorkerId{4});
    story.tell(ReloadWished{});
    story.tell(Reloaded{WorkerId{1}});
    story.tell(Reloaded{WorkerId{4}});
    CHECK_FALSE(story.said(Happening::ReloadDone));
    story.comes_up(WorkerId{5});
    story.tell(Reloaded{WorkerId{5}});
    CHECK(story.said(Happening::ReloadDone));
}

TEST_CASE("a reload that is wished again begins again, and both have one answer", "[lifecycle]") {
    auto story = served(three);
    story.tell(ReloadWished{});
    story.tell(Reloaded{WorkerId{1}});
    story.tell(ReloadWished{});
    CHECK(asked(story) == std::vector{WorkerId{1}, WorkerId{2}});
    story.tell(Reloaded{WorkerId{2}});
    for (unsigned number = 1; number <= 3; ++number)
        story.tell(Reloaded{WorkerId{number}});
    CHECK(asked(story).size() == 5);
    CHECK(story.reports(Happening::ReloadDone).size() == 1);
}

TEST_CASE("a stop ends a reload, and is its answer", "[lifecycle]") {
    auto story = served(three);
    story.tell(ReloadWished{});
    story.tell(StopWished{});
    for (unsigned number = 1; number <= 3; ++number)
        story.exits(WorkerId{number});
    CHECK(story.said(Happening::Stopped));
    CHECK_FALSE(story.state.reload);
    CHECK(asked(story).size() == 1);
}

TEST_CASE("in place nobody is replaced, and the workers are on probation", "[lifecycle]") {
    auto story = served(three);
    story.tell(RestartWished{});
    CHECK(story.said(Happening::RolloutBegan));
    CHECK(story.phase() == UnitPhase::Rolling);
    for (unsigned number = 1; number <= 3; ++number)
        story.tell(Reloaded{WorkerId{number}});
    CHECK(only(story, Happening::TookEffect)->until == story.now + 2s);
    CHECK_FALSE(story.said(Happening::RolloutDone));
    story.pass(2s);
    CHECK(story.said(Happening::RolloutDone));
    CHECK(story.all<Spawn>().empty());
    CHECK(story.all<Drain>().empty());
    CHECK(story.phase() == UnitPhase::Active);
}

TEST_CASE("in place a worker that has reloaded and fails ends the rollout", "[lifecycle]") {
    auto story = served(three);
    story.tell(RestartWished{});
    story.tell(Reloaded{WorkerId{1}});
    SECTION("the others keep what they have") {
        story.exits(WorkerId{1}, ExitKind::UncleanSignal);
        CHECK(asked(story).size() == 2);
    }
    SECTION("one that was not asked yet is not at fault") {
        story.exits(WorkerId{3}, ExitKind::UncleanSignal);
        CHECK_FALSE(story.said(Happening::RolloutFailed));
        story.comes_up(WorkerId{4});
        story.tell(Reloaded{WorkerId{2}});
        CHECK(story.said(Happening::TookEffect));
        story.exits(WorkerId{4}, ExitKind::UncleanSignal); // on probation
    }
    SECTION("the one that took the place of another has read it too") {
        story.exits(WorkerId{3}, ExitKind::UncleanSignal);
        story.exits(WorkerId{4}, ExitKind::UncleanCode);
    }
    auto const* const failed = only(story, Happening::RolloutFailed);
    REQUIRE(failed != nullptr);
    CHECK(failed->generation == GenerationId{2});
    CHECK_FALSE(story.state.rollout);
    CHECK_FALSE(story.said(Happening::RolloutDone));
}

TEST_CASE("where nothing runs there is nothing to reload, and a restart in place starts it", "[lifecycle]") {
    Story story{three};
    story.tell(RestartWished{});
    for (auto const worker : std::vector{story.spawned})
        story.comes_up(worker);
    CHECK(asked(story).empty());
    CHECK(story.said(Happening::RolloutDone));
}

TEST_CASE("a rollout in place that is paused asks nobody until it is resumed", "[lifecycle]") {
    auto story = served(three);
    story.tell(RestartWished{});
    story.tell(PauseRolloutWished{});
    CHECK(story.said(Happening::RolloutPaused));
    story.tell(Reloaded{WorkerId{1}});
    CHECK(asked(story).size() == 1);
    story.tell(ResumeRolloutWished{});
    CHECK(asked(story).size() == 2);
}

TEST_CASE("a restart supersedes a rollout in place, and never do two workers reload at once", "[lifecycle]") {
    auto story = served(three);
    story.tell(RestartWished{});
    story.tell(RestartWished{});
    CHECK(only(story, Happening::RolloutSuperseded)->generation == GenerationId{2});
    CHECK(asked(story).size() == 1);
    story.tell(Reloaded{WorkerId{1}});
    CHECK(asked(story) == std::vector{WorkerId{1}, WorkerId{1}});
    story.tell(RestartWished{Strategy::Overlap});
    CHECK(story.spawned.size() == 3);
    story.tell(Reloaded{WorkerId{1}});
    CHECK(asked(story).size() == 2);
    CHECK_FALSE(story.state.reload);
}

TEST_CASE("a worker that dies after it has reloaded ends the reload", "[lifecycle]") {
    auto story = served(three);
    story.tell(ReloadWished{});
    story.tell(Reloaded{WorkerId{1}});
    story.exits(WorkerId{1}, ExitKind::UncleanSignal);
    CHECK(story.reports(Happening::ReloadFailed).size() == 1);
    story.tell(Reloaded{WorkerId{2}});
    CHECK(asked(story).size() == 2);
    CHECK_FALSE(story.said(Happening::ReloadDone));
}

TEST_CASE("a reload on the probation of a rollout in place fails with it", "[lifecycle]") {
    auto story = served(three);
    story.tell(RestartWished{});
    for (unsigned number = 1; number <= 3; ++number)
        story.tell(Reloaded{WorkerId{number}});
    story.new_chapter();
    story.tell(ReloadWished{});
    story.exits(WorkerId{1}, ExitKind::CoreDump);
    CHECK(story.said(Happening::RolloutFailed));
    CHECK(story.said(Happening::ReloadFailed));
    CHECK(asked(story) == std::vector{WorkerId{1}});
}

TEST_CASE("a rollout in place that is paused ends with what it was for", "[lifecycle]") {
    auto policy = three;
    policy.restart = RestartWhen::No;
    auto story = served(policy);
    story.tell(RestartWished{});
    story.tell(PauseRolloutWished{});
    for (unsigned number = 3; number >= 1; --number)
        story.exits(WorkerId{number});
    CHECK(story.said(Happening::RolloutFailed));
    CHECK(story.said(Happening::Finished));
    CHECK_FALSE(story.state.rollout);
}

TEST_CASE("who is parked keeps the configuration that it was started with", "[lifecycle]") {
    auto story = served(three);
    story.tell(RestartWished{Strategy::Overlap});
    for (auto const worker : std::vector{story.spawned})
        story.comes_up(worker);
    story.tell(ReloadWished{});
    CHECK(asked(story) == std::vector{WorkerId{4}});
}
