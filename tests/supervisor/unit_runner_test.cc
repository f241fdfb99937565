// SPDX-License-Identifier: Apache-2.0
// A unit with real workers: every wish is answered once and truly, and what runs is not lost.
#include "harness.h"

#include <csignal>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;
using namespace std::chrono_literals;
using lifecycle::UnitPhase;

namespace {

pid_t only_pid(UnitRunner const& unit) {
    REQUIRE(unit.workers().size() == 1);
    return unit.workers().front()->process.pid();
}

bool is_alive(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

} // namespace

TEST_CASE("start, restart and stop are each answered once, with what came of them", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", tcp_socket("http", 0) + service(runs));
    CHECK(home.phase(unit) == UnitPhase::Inactive);

    CHECK(home.start(unit).ok);
    CHECK(home.phase(unit) == UnitPhase::Active);
    auto const first = only_pid(unit);
    CHECK(home.start(unit).ok); // is started already
    CHECK(only_pid(unit) == first);

    auto const restarted = home.restart(unit);
    CHECK(restarted.ok);
    REQUIRE(restarted.report);
    CHECK(restarted.report->verdict == Verdict::Done);
    CHECK(restarted.report->generation == 2);
    CHECK(restarted.report->previous_generation == 1U);
    CHECK(only_pid(unit) != first);
    CHECK(!is_alive(first));

    auto const second = only_pid(unit);
    CHECK(home.stop(unit).ok);
    CHECK(home.phase(unit) == UnitPhase::Inactive);
    CHECK(!is_alive(second));
    CHECK(unit.sockets().held().size() == 1); // held on
    CHECK(home.stop(unit).ok);
    CHECK(home.restart(unit).ok); // of a unit that is down: starts it
    CHECK(home.phase(unit) == UnitPhase::Active);
}

TEST_CASE("a start that fails says why, in words", "[supervisor]") {
    Home home;
    SECTION("the program is missing") {
        auto& unit = home.add("web", "[service]\nexec_start = [\"/no/such/program\"]\n");
        auto const result = home.start(unit);
        CHECK(!result.ok);
        CHECK_THAT(result.message, ContainsSubstring("cannot execute /no/such/program: No such file"));
        CHECK_THAT(unit.trouble(), ContainsSubstring("/no/such/program"));
    }
    SECTION("the user does not exist") {
        auto& unit = home.add("web", service(runs, "user = \"no-such-user\""));
        CHECK_THAT(home.start(unit).message, ContainsSubstring("there is no user 'no-such-user'"));
    }
    SECTION("the working directory does not exist") {
        auto& unit = home.add("web", service(runs, "working_directory = \"/no/such/folder\""));
        CHECK_THAT(home.start(unit).message, ContainsSubstring("/no/such/folder"));
    }
    SECTION("it ends before it is ready") {
        auto& unit = home.add("web", service("exit 3", "type = \"notify\""));
        auto const result = home.start(unit);
        CHECK(!result.ok);
        CHECK_THAT(result.message, ContainsSubstring("exit code 3"));
    }
    SECTION("it does not become ready in time") {
        auto& unit = home.add("web", service(runs, "type = \"notify\"\ntimeout_start = \"200ms\""));
        auto const result = home.start(unit);
        CHECK(!result.ok);
        CHECK_THAT(result.message, ContainsSubstring("not ready within 200ms (timeout_start)"));
    }
    SECTION("its socket cannot be had") {
        UniqueFd const other = listen_on_loopback();
        auto& unit = home.add("web", tcp_socket("http", port_of(other)) + service(runs));
        auto const result = home.start(unit);
        CHECK(!result.ok);
        CHECK_THAT(result.message, ContainsSubstring("its sockets cannot be bound"));
        CHECK(unit.workers().empty());
    }
}

TEST_CASE("a restart whose new generation fails leaves the old one serving", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", tcp_socket("http", 0) + service(runs));
    REQUIRE(home.start(unit).ok);
    auto const first = only_pid(unit);
    auto const changed = unit_of("web", tcp_socket("http", 0) + service("exit 4", "type = \"notify\""));
    Answer answer;
    unit.change(changed, true, answer.taker());
    REQUIRE(home.until([&] { return answer.count > 0; }));
    home.settle();
    CHECK(answer.count == 1);
    CHECK(!answer.result.ok);
    CHECK_THAT(answer.result.message, ContainsSubstring("exit code 4"));
    CHECK_THAT(answer.result.message, ContainsSubstring("generation 1 serves on"));
    REQUIRE(answer.result.report);
    CHECK(answer.result.report->verdict == Verdict::Failed);
    CHECK(home.until([&] { return unit.workers().size() == 1; }));
    CHECK(only_pid(unit) == first);
    CHECK(is_alive(first));
}

TEST_CASE("a newer restart supersedes the one under way, and both are answered", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", service(runs, "type = \"notify\"")); // never ready
    Answer start, first, second, stop;
    unit.start(start.taker());
    home.until([&] { return !unit.workers().empty(); });
    unit.restart(std::nullopt, first.taker());
    unit.restart(std::nullopt, second.taker());
    REQUIRE(home.until([&] { return first.count > 0; }));
    CHECK(!first.result.ok);
    CHECK(first.result.report->verdict == Verdict::Superseded);
    unit.stop(stop.taker());
    REQUIRE(home.until([&] { return stop.count > 0; }));
    home.settle();
    CHECK(stop.result.ok);
    for (auto const* answer : {&start, &first, &second, &stop})
        CHECK(answer->count == 1);
    CHECK(!start.result.ok);
    CHECK(second.result.report->verdict == Verdict::Stopped);
}

TEST_CASE("a start while the unit still stops is answered by its own outcome", "[supervisor]") {
    Home home;
    auto& unit =
        home.add("web", service("trap 'sleep 0.1; exit 0' TERM; echo up; while :; do sleep 0.02; done"));
    REQUIRE(home.start(unit).ok);
    auto const first = only_pid(unit);
    REQUIRE(home.until([&] { return read_file(home.folder / "log/web.log") == "up\n"; }));
    Answer stop, start;
    unit.stop(stop.taker());
    unit.start(start.taker());
    REQUIRE(home.until([&] { return stop.count > 0 && start.count > 0; }));
    home.settle();
    CHECK(stop.result.ok);
    CHECK(start.result.ok);
    CHECK(stop.count + start.count == 2);
    REQUIRE(home.until([&] { return !is_alive(first) && unit.workers().size() == 1; }));
    CHECK(home.phase(unit) == UnitPhase::Active);
}

TEST_CASE("a lazy unit runs nothing until its first client, whom its worker then finds", "[supervisor]") {
    Home home;
    // The test is the worker's heart: it accepts from the listener that both hold.
    auto& unit = home.add("web", tcp_socket("http", 0) + service(runs, "activation = \"lazy\""));
    CHECK(home.start(unit).ok);
    CHECK(home.phase(unit) == UnitPhase::Listening);
    home.settle();
    CHECK(unit.workers().empty());
    UniqueFd const client = connect_to(unit.sockets().held().front().port);
    REQUIRE(client.is_open());
    REQUIRE(home.until([&] { return home.phase(unit) == UnitPhase::Active; }));
    auto const pid = only_pid(unit);
    home.settle();
    CHECK(only_pid(unit) == pid); // the client still waits, and that starts no second one
}

TEST_CASE("a lazy unit that is changed while it waits sees clients of its new socket", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", tcp_socket("http", 0) + service(runs, "activation = \"lazy\""));
    REQUIRE(home.start(unit).ok);
    UniqueFd reserved = listen_on_loopback();
    auto const port = port_of(reserved);
    reserved.reset();
    Answer answer;
    unit.change(unit_of("web", tcp_socket("http", 0) + tcp_socket("admin", port) +
                                   service(runs, "activation = \"lazy\"")),
                true, answer.taker());
    REQUIRE(home.until([&] { return answer.count == 1; }));
    CHECK(answer.result.ok);
    CHECK(unit.workers().empty());
    UniqueFd const client = connect_to(port);
    REQUIRE(client.is_open());
    CHECK(home.until([&] { return home.phase(unit) == UnitPhase::Active; }));
}

TEST_CASE("a worker that dies is replaced, and the unit says what happened", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", tcp_socket("http", 0) + service(runs, "restart_delay = \"10ms\""));
    REQUIRE(home.start(unit).ok);
    auto const first = only_pid(unit);
    auto const listener = unit.sockets().held().front().fd.raw();
    REQUIRE(::kill(first, SIGKILL) == 0);
    REQUIRE(home.until([&] {
        return unit.workers().size() == 1 && unit.workers().front()->process.pid() != first &&
               home.phase(unit) == UnitPhase::Active;
    }));
    auto const died = home.events("worker-died");
    REQUIRE(died.size() == 1);
    CHECK_THAT(died.front(), ContainsSubstring("worker 1 died: killed by SIGKILL"));
    CHECK(unit.sockets().held().front().fd.raw() == listener);
}

TEST_CASE("an old generation is drained by the spec it was started with", "[supervisor]") {
    Home home;
    auto& unit =
        home.add("web", service("trap 'echo usr1; exit 0' USR1; echo up; while :; do sleep 0.02; done",
                                "drain_signal = \"SIGUSR1\""));
    REQUIRE(home.start(unit).ok);
    REQUIRE(home.until([&] { return read_file(home.folder / "log/web.log") == "up\n"; }));
    Answer answer;
    unit.change(unit_of("web", service(runs)), true, answer.taker());
    REQUIRE(home.until([&] { return answer.count == 1; }));
    CHECK(answer.result.ok);
    CHECK(read_file(home.folder / "log/web.log") == "up\nusr1\n");
    CHECK(unit.spec().service.drain_signal == SIGTERM);
}

TEST_CASE("a change whose new socket cannot be bound is refused, and what runs goes on", "[supervisor]") {
    Home home;
    UniqueFd const other = listen_on_loopback();
    auto const before = tcp_socket("http", 0) + service(runs);
    auto& unit = home.add("web", before);
    REQUIRE(home.start(unit).ok);
    auto const pid = only_pid(unit);
    Answer answer;
    unit.change(unit_of("web", tcp_socket("more", port_of(other)) + before), true, answer.taker());
    REQUIRE(home.until([&] { return answer.count == 1; }));
    CHECK(!answer.result.ok);
    CHECK_THAT(answer.result.message, ContainsSubstring("nothing is changed, what runs goes on"));
    CHECK(only_pid(unit) == pid);
    CHECK(unit.spec().sockets.size() == 1);
    CHECK(unit.sockets().held().size() == 1);
}

TEST_CASE("a promise broken for one unit leaves the others working", "[supervisor]") {
    Home home;
    auto& broken = home.add("broken", tcp_socket("http", 0) + service(runs));
    auto& other = home.add("other", service(runs));
    REQUIRE(home.start(broken).ok);
    auto const pid = only_pid(broken);
    Answer waiting;
    broken.restart(std::nullopt, waiting.taker());
    // As the event trampoline does when our own code throws while it works for the unit.
    home.loop->post([&] {
        home.loop->set_owner(broken.number());
        throw BrokenPromise{"promise broken in a test"};
    });
    REQUIRE(home.until([&] { return broken.is_broken(); }));
    home.settle();
    CHECK(waiting.count == 1);
    CHECK(is_alive(pid));
    CHECK(connect_to(broken.sockets().held().front().port).is_open());
    CHECK_THAT(broken.trouble(), ContainsSubstring("promise broken in a test"));
    CHECK(home.events("broken").size() == 1);
    CHECK(!home.start(broken).ok);
    CHECK(!home.restart(broken).ok);

    CHECK(home.start(other).ok);
    CHECK(home.restart(other).ok);
    CHECK(home.stop(other).ok);
}

TEST_CASE("a broken unit can still be stopped, and leaves no worker behind", "[supervisor]") {
    // The stop was refused, and so was that of the shutdown: its workers outlived the supervisor.
    Home home;
    auto& unit = home.add("web", service(runs));
    REQUIRE(home.start(unit).ok);
    auto const pid = only_pid(unit);
    unit.mark_broken("in a test");
    CHECK(home.stop(unit).ok);
    CHECK(home.until([&] { return !is_alive(pid); }));
    CHECK(home.until([&] { return unit.workers().empty(); }));
}

TEST_CASE("the trace has the last facts in their order, and says how many it has forgotten", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", service(runs));
    CHECK(unit.trace().facts().empty());
    REQUIRE(home.start(unit).ok);
    auto const trace = unit.trace().facts();
    REQUIRE(trace.size() == 3);
    CHECK(lifecycle::to_string(trace[0].fact) == "start");
    CHECK(std::holds_alternative<lifecycle::Forked>(trace[1].fact));
    CHECK(std::holds_alternative<lifecycle::Executed>(trace[2].fact));
    CHECK(unit.trace().forgotten() == 0);

    for (int i = 0; i < 100; ++i)
        REQUIRE(home.start(unit).ok);
    auto const full = unit.trace().facts();
    CHECK(full.size() == 64);
    CHECK(unit.trace().forgotten() == 103 - 64);
    for (std::size_t i = 1; i < full.size(); ++i)
        CHECK(full[i - 1].at <= full[i].at);
}

// The bug: the queues of a broken unit with least_loaded were looked at 66 times a second, for as long as
// clients came, and what was seen was dropped.
TEST_CASE("nobody looks at the shards of a broken unit", "[supervisor]") {
    Home home;
    auto& unit =
        home.add("web", tcp_socket("http", 0) + "reuse_port = true\n" + service(runs, "workers = 2\n") +
                            "[steering]\nmode = \"least_loaded\"\n");
    REQUIRE(home.start(unit).ok);
    auto const client = connect_to(unit.sockets().shards()->groups().front().bound().port);
    REQUIRE(client.is_open()); // nobody accepts it
    REQUIRE(home.until([&] { return unit.state().shares.size() == 2; }));
    unit.mark_broken("in a test");
    int wakings = 0;
    for (auto const end = MonotonicTime::now() + 300ms; MonotonicTime::now() < end;)
        wakings += home.loop->run_once(end - MonotonicTime::now()) ? 1 : 0;
    CHECK(wakings <= 3); // what was on its way
}
