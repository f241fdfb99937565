// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "catch.h"
#include "lifecycle/saved.h"

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

std::optional<UnitState> read(std::string_view text) {
    StateReader reader;
    for (auto const line : split(text, '\n'))
        if (!line.empty())
            reader.take(line);
    return std::move(reader).finish();
}

/// Every member has another value than its default.
UnitState full_state() {
    MonotonicTime const t{90s};
    UnitState state;
    state.goal = Goal::Up;
    state.listening = state.start_owed = state.stop_owed = state.resize_owed = true;
    state.quick_ends = 3;
    state.stop_covers = GenerationId{4};
    state.last_generation = GenerationId{9};
    state.last_worker = WorkerId{77};
    state.idle_since = t + 5s;
    state.next = NextGeneration{GenerationId{10}, Strategy::Canary, true, true, true, true};
    Rollout rollout;
    rollout.id = GenerationId{9};
    rollout.strategy = Strategy::Rolling;
    rollout.stage = RolloutStage::RollingBack;
    rollout.is_paused = true;
    rollout.share = 5;
    rollout.aim = 25;
    rollout.cause = Cause::Watchdog;
    rollout.exit = ExitKind::CoreDump;
    rollout.failed = WorkerId{76};
    rollout.until = t + 1s;
    rollout.left = 2s;
    state.rollout = rollout;
    state.reload = ReloadRound{GenerationId{1}, true, true, true, WorkerId{1}, WorkerId{2}, WorkerId{3}, t};
    state.pause = Pause{true, t + 4s};
    state.generations.push_back({GenerationId{9},
                                 Role::Incoming,
                                 true,
                                 true,
                                 GenerationId{8},
                                 {.spec = SpecId{6},
                                  .workers = 4,
                                  .type = ServiceType::Notify,
                                  .steps = {7, 70},
                                  .steering = SteeringMode::Cpu,
                                  .trigger_limit_burst = 3,
                                  .trigger_limit_interval = 4s,
                                  .idle_stop = 5s}});
    Worker worker{.id = WorkerId{77},
                  .generation = GenerationId{9},
                  .slot = Slot{3},
                  .tries = 2,
                  .phase = WorkerPhase::Draining,
                  .was_ready = true,
                  .forked = true,
                  .shown = true,
                  .sent = true,
                  .told = true,
                  .dismissed = true,
                  .is_lent = true,
                  .bank = Bank::Green,
                  .is_unhealthy = true,
                  .missed_watchdog = true,
                  .is_stuck = true,
                  .since = t,
                  .ready_at = t + 2s,
                  .deadline = t + 3s};
    state.workers.push_back(worker);
    state.refills.push_back({GenerationId{9}, Slot{1}, 5, true, t});
    state.automatic_starts.push_back({Slot{2}, t});
    state.shares = {{{0, Bank::Green}, 65535}, {{1, Bank::Blue}, 1}};
    state.restless.push_back({{1, Bank::Green}, 2, true, t});
    return state;
}

} // namespace

TEST_CASE("a state is read back as it was written, every member", "[lifecycle]") {
    auto const state = full_state();
    CHECK(read(to_lines(state)) == state);
    CHECK(read(to_lines(UnitState{})) == UnitState{});
}

TEST_CASE("what an older version did not write has its default, what a newer one added is passed over",
          "[lifecycle]") {
    auto const older = read("unit goal=up last-generation=2\n"
                            "generation id=2 role=serving\n"
                            "worker id=5 generation=2 slot=0 phase=ready\n");
    REQUIRE(older);
    CHECK(older->goal == Goal::Up);
    CHECK(older->workers.front().id == WorkerId{5});
    CHECK(older->workers.front().deadline == MonotonicTime::never());
    CHECK(older->generations.front().policy == Policy{});
    auto lines = to_lines(full_state());
    lines = "mood cheerful=1\n" + lines + "weather sun=2\n";
    lines.insert(lines.find(" goal="), " colour=%20blue");
    CHECK(read(lines) == full_state());
}

TEST_CASE("a damaged state is none", "[lifecycle]") {
    CHECK_FALSE(read(""));
    CHECK_FALSE(read("generation id=1\n"));
    CHECK_FALSE(read("unit goal=sideways\n"));
    CHECK_FALSE(read("unit goal=up\nworker id=1 generation=2\n"));
    CHECK_FALSE(read("unit goal=up\nrefill generation=2 slot=1\n"));
    CHECK_FALSE(read("unit goal=up\npolicy workers=2\n"));
    CHECK_FALSE(read("unit goal=up shares=0blue\n"));
    auto const whole = to_lines(full_state());
    for (std::size_t end = 0; end < whole.size(); ++end) // cut anywhere: none, or one that step() can take
        (void)read(whole.substr(0, end));
}
