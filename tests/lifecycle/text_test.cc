// SPDX-License-Identifier: Apache-2.0
// Facts, orders and policies as `holdfast trace` prints them.
#include "catch.h"
#include "lifecycle/order.h"
#include "lifecycle/trace.h"

#include <set>

using namespace holdfast;
using namespace holdfast::lifecycle;
using namespace std::chrono_literals;

namespace {

constexpr WorkerId worker{4294967295};

/// Every kind of fact, with every value of every enum in it.
std::vector<Fact> every_fact() {
    std::vector<Fact> facts{StartWished{},
                            StopWished{},
                            RestartWished{},
                            UndoWished{},
                            PauseRolloutWished{},
                            ResumeRolloutWished{},
                            PolicyChanged{},
                            TrafficArrived{},
                            Forked{worker},
                            Executed{worker},
                            SpawnFailed{worker},
                            ReadySaid{worker},
                            StoppingSaid{worker},
                            ProbePassed{worker},
                            ProbeFailed{worker},
                            WatchdogMissed{worker},
                            ShardsHeld{8},
                            ShardAtRest{{1023, Bank::Blue}},
                            ShardAtRest{{0, Bank::Green}},
                            ShardStuck{{2, Bank::Blue}},
                            ShardMoving{{2, Bank::Green}},
                            TimeExtended{worker, 1500ms},
                            TimeExtended{worker, forever}};
    for (auto const& fact : std::initializer_list<Fact>{
             ReloadWished{}, Reloaded{worker}, ReloadRefused{worker}, PauseWished{90s}, ResumeWished{},
             QueueNearlyFull{}, IdleBegan{}, IdleEnded{}})
        facts.push_back(fact);
    for (auto const& row : enum_table(Strategy{}))
        facts.emplace_back(RestartWished{row.value});
    for (auto const& row : enum_table(ExitKind{}))
        facts.emplace_back(Exited{worker, row.value});
    for (auto const& row : enum_table(TimerKind{}))
        facts.emplace_back(TimerExpired{{row.value, 65537}});
    return facts;
}

} // namespace

TEST_CASE("every fact is read back as it was written", "[lifecycle]") {
    std::set<std::size_t> kinds;
    std::set<std::string> lines;
    for (auto const& fact : every_fact()) {
        auto const line = to_string(fact);
        INFO(line);
        CHECK(parse_fact(line) == fact);
        CHECK(line.find("?") == std::string::npos);
        kinds.insert(fact.index());
        lines.insert(line);
    }
    CHECK(kinds.size() == std::variant_size_v<Fact>);
    CHECK(lines.size() == every_fact().size());
}

TEST_CASE("facts and orders read as words", "[lifecycle]") {
    CHECK(to_string(Fact{Exited{WorkerId{3}, ExitKind::Clean}}) == "exited worker=3 kind=clean");
    CHECK(to_string(Fact{RestartWished{}}) == "restart");
    CHECK(to_string(Fact{RestartWished{Strategy::Replace}}) == "restart strategy=replace");
    CHECK(to_string(Order{Spawn{WorkerId{3}, GenerationId{2}, Slot{1}, SpecId{9}}}) ==
          "spawn worker=3 generation=2 slot=1 spec=9");
    CHECK(to_string(Order{Arm{{TimerKind::StopDeadline, 3}, MonotonicTime{2s}}}) ==
          "arm timer=stop-deadline of=3 at=2000000us");
    CHECK(to_string(Order{Report{.happening = Happening::WorkerGone,
                                 .worker = WorkerId{3},
                                 .generation = GenerationId{1},
                                 .exit = ExitKind::CoreDump}}) ==
          "report what=worker-gone worker=3 generation=1 cause=none exit=core-dump");
}

TEST_CASE("a malformed fact is refused", "[lifecycle]") {
    for (auto const* const line : {"",
                                   " ",
                                   "dance",
                                   "exited",
                                   "exited worker=3",
                                   "exited worker=3 kind=",
                                   "exited worker=3 kind=sad",
                                   "exited kind=clean worker=3",
                                   "exited worker=-3 kind=clean",
                                   "exited worker=4294967296 kind=clean",
                                   "exited worker=3 kind=clean ",
                                   "exited worker=3 kind=clean more=1",
                                   "exited  worker=3 kind=clean",
                                   "starting",
                                   "start worker=1",
                                   "restart strategy=slowly",
                                   "extended worker=1 by=5",
                                   "extended worker=1 by=us",
                                   "expired timer=start-deadline",
                                   "ready worker=3x"}) {
        INFO(line);
        CHECK_FALSE(parse_fact(line).has_value());
    }
}

TEST_CASE("a trace line carries its time, and a policy every member of it", "[lifecycle]") {
    Policy const policy{.spec = SpecId{2},
                        .workers = 3,
                        .type = ServiceType::Simple,
                        .activation = Activation::Lazy,
                        .restart = RestartWhen::OnAbort,
                        .strategy = Strategy::Replace,
                        .timeout_start = 1us,
                        .timeout_stop = forever,
                        .drain_timeout = 3s,
                        .restart_delay = 4s,
                        .restart_max_delay = 5s,
                        .restart_steps = 6,
                        .start_limit_burst = 7,
                        .start_limit_interval = 8s,
                        .steering = SteeringMode::LeastLoaded,
                        .trigger_limit_burst = 10,
                        .trigger_limit_interval = 11s,
                        .idle_stop = 12s,
                        .max_generations = 9};
    for (auto const& line :
         {TraceLine{MonotonicTime{1500ms}, policy}, TraceLine{MonotonicTime{}, Fact{StopWished{}}}}) {
        INFO(to_string(line));
        CHECK(parse_trace_line(to_string(line)) == line);
    }
    for (auto const* const bad :
         {"", "start", "5us", "5 start", "5us  start", "us start", "5us policy spec=1"}) {
        INFO(bad);
        CHECK_FALSE(parse_trace_line(bad).has_value());
    }
}
