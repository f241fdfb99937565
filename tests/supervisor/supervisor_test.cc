// SPDX-License-Identifier: Apache-2.0
// All units together: boot, apply, what workers say, orphans, and the end.
#include "harness.h"

#include <csignal>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;
using lifecycle::UnitPhase;

namespace {

/// A worker that says something on NOTIFY_SOCKET, with nothing but what is everywhere. Whoever says it waits
/// until it was heard, as sd_notify_barrier(3) does: a process that is gone by then is nobody's.
std::string says(std::string const& words) {
    return "python3 -c 'import os,socket; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); "
           "s.connect(os.environ[\"NOTIFY_SOCKET\"]); s.send(" +
           words +
           ".encode()); r,w=os.pipe(); socket.send_fds(s,[b\"BARRIER=1\"],[w]); os.close(w); "
           "os.read(r,1)'\n";
}

void say(std::string const& path, std::string const& text) {
    UniqueFd const fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::sendto(fd.raw(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&address),
                     sizeof address) == static_cast<ssize_t>(text.size()));
}

std::string actions(Supervisor::Applied const& applied) {
    std::string text;
    for (auto const& step : applied.plan.steps)
        text += step.unit + " " + std::string{to_name(step.action)} + "\n";
    return text;
}

bool is_alive(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

} // namespace

TEST_CASE("at boot all sockets are held, and the units that start at boot are started", "[supervisor]") {
    Home home;
    home.file("web", tcp_socket("http", 0) + service(runs));
    home.file("later", "[unit]\nstart_at_boot = false\n" + tcp_socket("http", 0) + service(runs));
    home.file("bad", "[service]\nexec_strat = [\"/bin/app\"]\n");
    home.supervisor->boot();
    CHECK(home.unit("later").sockets().held().size() == 1);
    REQUIRE(home.until([&] { return home.phase(home.unit("web")) == UnitPhase::Active; }));
    CHECK(home.phase(home.unit("later")) == UnitPhase::Inactive);
    CHECK(home.supervisor->find("bad") == nullptr);
    CHECK(home.supervisor->bad_units().count("bad") == 1);
    auto const told = home.events("unit-bad");
    REQUIRE(told.size() == 1);
    CHECK_THAT(told.front(), ContainsSubstring("exec_strat"));
    CHECK(home.supervisor->nearest_unit("wbe") == "web");
}

TEST_CASE("a unit whose port is taken at boot starts as soon as it is free", "[supervisor]") {
    Home home;
    UniqueFd other = listen_on_loopback();
    home.file("web", tcp_socket("http", port_of(other)) + service(runs));
    home.file("fine", service(runs));
    home.supervisor->boot();
    REQUIRE(home.until([&] { return home.phase(home.unit("fine")) == UnitPhase::Active; }));
    CHECK(home.unit("web").workers().empty());
    other.reset();
    CHECK(home.until([&] { return home.phase(home.unit("web")) == UnitPhase::Active; }));
}

TEST_CASE("an apply adds, changes and removes units, and leaves the others alone", "[supervisor]") {
    Home home;
    home.file("kept", service(runs));
    home.file("changed", tcp_socket("http", 0) + service(runs));
    home.file("gone", service(runs));
    home.supervisor->boot();
    REQUIRE(home.until([&] {
        return home.phase(home.unit("kept")) == UnitPhase::Active &&
               home.phase(home.unit("changed")) == UnitPhase::Active &&
               home.phase(home.unit("gone")) == UnitPhase::Active;
    }));
    CHECK(actions(home.apply()) == "changed keep\ngone keep\nkept keep\n");

    auto const kept = home.unit("kept").workers().front()->process.pid();
    auto const gone = home.unit("gone").workers().front()->process.pid();
    auto const changed = home.unit("changed").workers().front()->process.pid();
    auto const listener = home.unit("changed").sockets().held().front().fd.raw();
    std::filesystem::remove(home.folder / "units/gone.toml");
    home.file("changed", tcp_socket("http", 0) + service(runs, "environment = { A = \"1\" }"));
    home.file("new", service(runs));
    auto const applied = home.apply();
    CHECK(applied.ok);
    CHECK(actions(applied) == "changed restart\ngone remove\nkept keep\nnew add\n");
    CHECK(home.supervisor->find("gone") == nullptr);
    CHECK(!is_alive(gone));
    CHECK(home.unit("kept").workers().front()->process.pid() == kept);
    CHECK(home.unit("changed").workers().front()->process.pid() != changed);
    CHECK(home.unit("changed").sockets().held().front().fd.raw() == listener);
    CHECK(home.phase(home.unit("new")) == UnitPhase::Active);
}

TEST_CASE("a file that goes bad, and a folder that cannot be read, stop nothing that runs", "[supervisor]") {
    Home home;
    home.file("web", service(runs));
    home.supervisor->boot();
    REQUIRE(home.until([&] { return home.phase(home.unit("web")) == UnitPhase::Active; }));
    auto const pid = home.unit("web").workers().front()->process.pid();
    SECTION("bad") {
        home.file("web", "[service");
        CHECK(actions(home.apply()) == "web bad\n");
    }
    SECTION("gone altogether") {
        std::filesystem::remove_all(home.folder / "units");
        CHECK(!home.apply().ok);
    }
    CHECK(home.unit("web").workers().front()->process.pid() == pid);
    CHECK(home.phase(home.unit("web")) == UnitPhase::Active);
}

TEST_CASE("an apply that cannot start a unit says which and why, and does the rest", "[supervisor]") {
    Home home;
    home.file("web", "[service]\nexec_start = [\"/no/such/program\"]\n");
    home.file("fine", service(runs));
    auto const applied = home.apply();
    CHECK(!applied.ok);
    CHECK_THAT(applied.message, ContainsSubstring("web: "));
    CHECK_THAT(applied.message, ContainsSubstring("/no/such/program"));
    CHECK(home.phase(home.unit("fine")) == UnitPhase::Active);
}

TEST_CASE("a unit that is being removed is not started again, nor removed twice", "[supervisor]") {
    // It took its sockets back while they were being given up.
    Home home;
    home.file("web", tcp_socket("http", 0) +
                         service("trap 'sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.02; done"));
    home.supervisor->boot();
    REQUIRE(home.until([&] { return read_file(home.folder / "log/web.log") == "up\n"; }));
    std::filesystem::remove(home.folder / "units/web.toml");
    int done = 0;
    home.supervisor->apply({}, [&](Supervisor::Applied const&) { ++done; });
    Answer start;
    home.unit("web").start(start.taker());
    CHECK(start.count == 1);
    CHECK(start.result.message == "it is being removed");
    home.supervisor->apply({}, [&](Supervisor::Applied const&) { ++done; });
    REQUIRE(home.until([&] { return done == 2 && home.supervisor->find("web") == nullptr; }));
}

TEST_CASE("a notify worker is ready when it says so, and its status is kept", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", service(says("\"STATUS=warming up\"") + "read x < $FOLDER/gate\n" +
                                             says("\"READY=1\\nSTATUS=serving\"") + runs,
                                         "type = \"notify\""));
    REQUIRE(::mkfifo((home.folder / "gate").c_str(), 0600) == 0);
    Answer answer;
    unit.start(answer.taker());
    REQUIRE(home.until(
        [&] { return !unit.workers().empty() && unit.workers().front()->status == "warming up"; }));
    CHECK(home.phase(unit) == UnitPhase::Starting);
    CHECK(answer.count == 0);
    UniqueFd gate;
    REQUIRE(home.until([&] { // without waiting in open(2): the worker waits for us
        gate = UniqueFd{::open((home.folder / "gate").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)};
        return gate.is_open();
    }));
    REQUIRE(::write(gate.raw(), "go\n", 3) == 3);
    REQUIRE(home.until([&] { return answer.count == 1; }));
    CHECK(answer.result.ok);
    CHECK(unit.workers().front()->status == "serving");
}

TEST_CASE("a main process that a worker names is the one that counts", "[supervisor]") {
    // Every MAINPID= marked the unit broken.
    Home home;
    auto& unit =
        home.add("web", service("sleep 1000 & export MAIN=$!\n" +
                                    says("(\"READY=1\\nMAINPID=\" + os.environ[\"MAIN\"])") + "exit 0",
                                "type = \"notify\""));
    REQUIRE(home.start(unit).ok);
    auto const& process = unit.workers().front()->process;
    CHECK(process.pid() != process.leader());
    REQUIRE(home.until([&] { return !is_alive(process.leader()); })); // it has gone, and is reaped
    CHECK(home.phase(unit) == UnitPhase::Active);
    CHECK(!unit.is_broken());
    REQUIRE(home.stop(unit).ok);
    CHECK(unit.workers().empty());
}

TEST_CASE("a main process that leaves its session is still waited for, not reaped as an orphan",
          "[supervisor]") {
    Home home;
    auto& unit =
        home.add("web", service("python3 -c 'import os,time; open(\"gate\").read(); os.setsid(); "
                                "open(\"left\", \"w\").write(\"x\"); time.sleep(1000)' & export MAIN=$!\n" +
                                    says("(\"READY=1\\nMAINPID=\" + os.environ[\"MAIN\"])") + "exit 0",
                                "type = \"notify\"\nrestart = \"no\"\nworking_directory = \"" +
                                    home.folder.path() + "\""));
    REQUIRE(::mkfifo((home.folder / "gate").c_str(), 0600) == 0);
    REQUIRE(home.start(unit).ok);
    auto const main = unit.workers().front()->process.pid();
    auto const leader = unit.workers().front()->process.leader();
    REQUIRE(home.until([&] { return !is_alive(leader); })); // now it is our child
    auto const& mains = home.supervisor->shared().other_mains;
    CHECK(mains.count(main) == 1);
    write_file(home.folder / "gate", "go\n");
    REQUIRE(home.until([&] { return read_file(home.folder / "left") == "x"; }));
    REQUIRE(::kill(main, SIGKILL) == 0);
    REQUIRE(home.until([&] { return unit.workers().empty(); }));
    CHECK(mains.empty());
    home.settle();
    std::string told;
    for (auto const& event : home.supervisor->shared().events.recent())
        told += event.text + "\n";
    CHECK_THAT(told, ContainsSubstring("SIGKILL"));
}

TEST_CASE("what is said by anybody else than a worker changes nothing", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", service(runs, "type = \"notify\"\ntimeout_start = \"300ms\""));
    Answer answer;
    unit.start(answer.taker());
    REQUIRE(home.until([&] { return !unit.workers().empty(); }));
    for (int i = 0; i < 200; ++i) {
        say(home.folder / "notify", "READY=1\nSTATUS=lies\nMAINPID=" + std::to_string(::getpid()));
        home.settle();
    }
    REQUIRE(home.until([&] { return answer.count == 1; }));
    CHECK(!answer.result.ok);
    CHECK_THAT(answer.result.message, ContainsSubstring("was not ready within"));
}

TEST_CASE("what workers leave behind outside their group is reaped", "[supervisor]") {
    Home home;
    auto& unit =
        home.add("web", service("setsid sh -c 'echo $$ > $FOLDER/orphan; exit 0' & " + std::string{runs}));
    REQUIRE(home.start(unit).ok);
    REQUIRE(home.until([&] { return read_file(home.folder / "orphan").ends_with('\n'); }));
    auto const orphan = std::stoi(read_file(home.folder / "orphan"));
    REQUIRE(home.stop(unit).ok);
    CHECK(home.until([&] { return !is_alive(orphan); }));
}

TEST_CASE("a shutdown ends every worker, then every socket; asked twice, at once", "[supervisor]") {
    Home home;
    auto const path = home.folder / "socket";
    auto& polite =
        home.add("polite", "[[socket]]\nname = \"u\"\nlisten = \"unix:" + path + "\"\n" + service(runs));
    auto& stubborn = home.add("stubborn", service("trap '' TERM; echo up; while :; do sleep 0.02; done"));
    REQUIRE(home.start(polite).ok);
    REQUIRE(home.start(stubborn).ok);
    REQUIRE(home.until([&] { return read_file(home.folder / "log/stubborn.log") == "up\n"; }));
    auto const pid = stubborn.workers().front()->process.pid();
    int done = 0;
    home.supervisor->shut_down([&] { ++done; });
    CHECK(home.supervisor->is_shutting_down());
    REQUIRE(home.until([&] { return polite.workers().empty(); }));
    CHECK(done == 0);
    CHECK(std::filesystem::exists(path));
    home.supervisor->shut_down([&] { done += 10; });
    REQUIRE(home.until([&] { return done > 0; }));
    home.settle();
    CHECK(done == 1);
    CHECK(!is_alive(pid));
    CHECK(!std::filesystem::exists(path));
}
