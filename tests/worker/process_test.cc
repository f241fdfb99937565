// SPDX-License-Identifier: Apache-2.0
// One worker from fork to reap: its end is told once, and nothing of it stays.
#include "support.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// The number in a file that a script writes; 0 until it is there as a whole line.
pid_t pid_in(std::string const& path) {
    auto const text = read_file(path);
    return text.ends_with('\n') ? std::stoi(text) : 0;
}

char state_of(pid_t pid) {
    auto const state = shown(read_file("/proc/" + std::to_string(pid) + "/status"), "State:");
    return state.front();
}

/// A worker whose leader has a child that could become its main process, and ends with status 7 as soon as
/// release() says so. Orphans come to us.
class TwoProcesses {
public:
    explicit TwoProcesses(std::string const& leader_waits = "read x < $GATE; exit 7") {
        become_reaper();
        REQUIRE(::mkfifo((folder / "gate").c_str(), 0600) == 0);
        auto const plan = shell("GATE='" + folder / "gate" + "'; sleep 1000 & echo $! > '" + folder / "main" +
                                    "'; " + leader_waits,
                                folder / "out");
        leader = watched.start(plan).pid();
        REQUIRE(watched.until([&] { return pid_in(folder / "main") != 0; }));
        main = pid_in(folder / "main");
    }
    void release() { write_file(folder / "gate", "go\n", 0600); }

    TempFolder folder;
    Watched watched;
    pid_t leader = 0;
    pid_t main = 0;
};

} // namespace

TEST_CASE("an execution and an exit are told once each, in this order", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto const pid = watched.start(shell("exit 3", folder / "out")).pid();
    REQUIRE(watched.until_over());
    CHECK(watched.executions == 1);
    CHECK(watched.deaths == 1);
    CHECK(to_string(watched.exit) == "exit code 3");
    CHECK(look_at_child(pid) == "no child"); // reaped
}

TEST_CASE("a worker that was killed says by which signal", "[worker]") {
    TempFolder const folder;
    Watched watched;
    watched.run(shell("kill -SEGV $$", folder / "out"));
    CHECK(watched.exit.signal == SIGSEGV);
    CHECK_THAT(to_string(watched.exit), ContainsSubstring("killed by SIGSEGV"));
    CHECK(to_string(ExitStatus{true, 0, SIGABRT, true}) == "killed by SIGABRT (core dumped)");
    CHECK(to_string(ExitStatus{false, 0, 0, false}) == "exit status unknown");
}

TEST_CASE("a worker is told to be executed while it runs, and gets signals", "[worker]") {
    TempFolder const folder;
    Watched watched;
    watched.start(shell("exec sleep 1000", folder / "out"));
    REQUIRE(watched.until([&] { return watched.executions == 1; }));
    CHECK(watched.worker->send(SIGTERM));
    REQUIRE(watched.until_over());
    CHECK(watched.exit.signal == SIGTERM);
    CHECK(watched.executions == 1);
}

TEST_CASE("a signal to a worker that is dead already is an error, and hits nobody", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto& worker = watched.start(shell("exit 0", folder / "out"));
    siginfo_t info{};
    // Dead and not reaped: its death is about to be told.
    REQUIRE(::waitid(P_PID, static_cast<id_t>(worker.pid()), &info, WEXITED | WNOWAIT) == 0);
    CHECK(worker.send(SIGTERM)); // a zombie takes signals
    REQUIRE(watched.until_over());
    CHECK(to_string(watched.exit) == "exit code 0");
}

TEST_CASE("what a worker leaves behind in its process group ends with it", "[worker]") {
    become_reaper();
    TempFolder const folder;
    Watched watched;
    watched.run(shell("sleep 1000 & echo $! > '" + folder / "left" + "'; exit 0", folder / "out"));
    auto const left = pid_in(folder / "left");
    REQUIRE(left != 0);
    CHECK(watched.until([&] { return look_at_child(left) == "signal 9"; }));
}

TEST_CASE("killing the group ends all of it, even when the leader ignores signals", "[worker]") {
    become_reaper();
    TempFolder const folder;
    Watched watched;
    watched.start(
        shell("trap '' TERM; sleep 1000 & echo $! > '" + folder / "child" + "'; wait; wait", folder / "out"));
    REQUIRE(watched.until([&] { return pid_in(folder / "child") != 0; }));
    auto const child = pid_in(folder / "child");
    watched.worker->kill_group();
    REQUIRE(watched.until_over());
    CHECK(watched.exit.signal == SIGKILL);
    CHECK(watched.until([&] { return look_at_child(child) == "signal 9"; }));
}

TEST_CASE("MAINPID names a process of the worker's session, whose death is then told", "[worker]") {
    TwoProcesses two;
    auto& worker = *two.watched.worker;
    REQUIRE(worker.change_main(two.main));
    CHECK(worker.pid() == two.main);
    CHECK(worker.leader() == two.leader);
    SECTION("the leader may go, and is reaped") {
        two.release();
        REQUIRE(two.watched.until([&] { return look_at_child(two.leader) == "no child"; }));
        CHECK(two.watched.deaths == 0);
        CHECK(worker.send(SIGTERM)); // to the main process
        REQUIRE(two.watched.until_over());
        CHECK(two.watched.exit.signal == SIGTERM);
        CHECK(look_at_child(two.main) == "no child"); // reaped, since it came to us
    }
    SECTION("the leader goes with it") {
        REQUIRE(::kill(two.main, SIGUSR1) == 0);
        REQUIRE(two.watched.until_over());
        CHECK(two.watched.deaths == 1);
        CHECK(two.watched.until([&] { return look_at_child(two.leader) == "signal 9"; }));
    }
    SECTION("killing the group ends both") {
        worker.kill_group();
        REQUIRE(two.watched.until_over());
        CHECK(two.watched.until([&] { return look_at_child(two.leader) != "running"; }));
    }
}

TEST_CASE("a worker may become its own main process again", "[worker]") {
    // The leader was then watched twice; the one watch reaped it, and the other found no status.
    TwoProcesses two;
    REQUIRE(two.watched.worker->change_main(two.main));
    REQUIRE(two.watched.worker->change_main(two.leader));
    CHECK(two.watched.worker->pid() == two.leader);
    two.release();
    REQUIRE(two.watched.until_over());
    CHECK(to_string(two.watched.exit) == "exit code 7");
    CHECK(two.watched.until([&] { return look_at_child(two.main) == "signal 9"; }));
}

TEST_CASE("MAINPID of a process that is not the worker's is refused and changes nothing", "[worker]") {
    TwoProcesses two;
    auto& worker = *two.watched.worker;
    auto const refused = [&](pid_t pid) {
        auto const outcome = worker.change_main(pid);
        return outcome ? std::string{"accepted"} : to_string(outcome.error());
    };
    CHECK_THAT(refused(::getpid()), ContainsSubstring("not of the worker's session"));
    CHECK_THAT(refused(1), ContainsSubstring("as main process"));
    CHECK_THAT(refused(0), ContainsSubstring("as main process"));
    CHECK_THAT(refused(-5), ContainsSubstring("as main process"));
    CHECK_THAT(refused(0x3fffffff), ContainsSubstring("No such process"));
    CHECK(worker.pid() == two.leader);
    CHECK(worker.change_main(two.leader)); // what it is already
    two.release();
    REQUIRE(two.watched.until_over());
    CHECK(to_string(two.watched.exit) == "exit code 7");
}

TEST_CASE("MAINPID of a process that is dead already is refused", "[worker]") {
    // A process that had ended and was not yet waited for was taken, so that the worker was dead at once.
    TwoProcesses two{"exec cat $GATE"}; // which never waits for a child
    auto const command = "/proc/" + std::to_string(two.leader) + "/comm";
    REQUIRE(two.watched.until([&] { return read_file(command) == "cat\n"; }));
    REQUIRE(::kill(two.main, SIGKILL) == 0);
    REQUIRE(two.watched.until([&] { return state_of(two.main) == 'Z'; }));
    CHECK(!two.watched.worker->change_main(two.main));
    CHECK(two.watched.worker->pid() == two.leader);
}

TEST_CASE("orphans are reaped, and none of our own workers", "[worker]") {
    become_reaper();
    TempFolder const folder;
    Watched watched;
    // A session of its own, so that it does not end with the worker.
    watched.run(
        shell("setsid sh -c 'exit 5' & echo $! > '" + folder / "orphan" + "'; exit 0", folder / "out"));
    auto const orphan = pid_in(folder / "orphan");
    auto const other = ::fork();
    if (other == 0)
        ::_exit(9);
    auto const is_ours = [&](pid_t pid) { return pid == other; };
    // Until both are dead; the one of ours stops it, wherever it stands in the kernel's list.
    REQUIRE(watched.until([&] { return !reap_orphans(is_ours); }));
    CHECK(look_at_child(other) == "exit 9");
    REQUIRE(watched.until([&] { return reap_orphans(is_ours) && ::kill(orphan, 0) < 0; }));
    CHECK(look_at_child(orphan) == "no child");
}

TEST_CASE("a main process that hands over and ends at once is followed by its successor", "[worker]") {
    // A daemon's parent says MAINPID=child and exits; its death was seen before its words, and the child
    // killed.
    TwoProcesses two;
    auto& worker = *two.watched.worker;
    int endings = 0;
    two.watched.hear_last_words = [&](WorkerProcess& ending) {
        CHECK(ending.pid() == two.leader);
        CHECK(::getsid(two.leader) == two.leader); // not reaped: the sender can still be looked up
        if (++endings == 1)
            CHECK(ending.change_main(two.main));
    };
    two.release();
    REQUIRE(two.watched.until([&] { return endings == 1; }));
    CHECK(look_at_child(two.leader) == "no child"); // reaped by its own watch
    CHECK(two.watched.deaths == 0);
    CHECK(worker.pid() == two.main);
    CHECK(look_at_child(two.main) == "running");
    two.watched.hear_last_words = {};
    CHECK(worker.send(SIGTERM));
    REQUIRE(two.watched.until_over());
    CHECK(two.watched.exit.signal == SIGTERM);
    CHECK(two.watched.deaths == 1);
}

TEST_CASE("a process that cannot be watched is killed and reaped, and told as not launched", "[worker]") {
    // Where epoll_ctl(2) refused the watch, the process ran on and nobody knew of it.
    TempFolder const folder;
    Watched watched;
    auto launched = fork_worker(shell("exec sleep 1000", folder / "out"));
    REQUIRE(launched);
    auto const pid = launched->pid;
    launched->status = open_new(folder / "file"); // which epoll_ctl(2) refuses, with EPERM
    watched.worker = std::make_unique<WorkerProcess>(*watched.loop, watched, 7U, std::move(launched).value());
    CHECK(!watched.failure); // told from the loop, never from within the construction
    REQUIRE(watched.until_over());
    REQUIRE(watched.failure);
    CHECK(look_at_child(pid) == "no child");
    CHECK_THAT(to_string(to_error(*watched.failure, {})),
               ContainsSubstring("cannot watch its process: Operation not permitted"));
    CHECK(watched.executions == 0);
    CHECK(watched.deaths == 0);
}

TEST_CASE("a process that is killed before it executes its program is not launched", "[worker]") {
    // The launch pipe is closed by a death too, and that was told as an execution and an exit.
    Watched watched;
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    Launched launched;
    launched.status = UniqueFd{ends[0]};
    launched.pid = ::fork();
    if (launched.pid == 0)
        for (;;)
            ::pause();
    ::close(ends[1]);
    launched.pidfd = UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, launched.pid, 0))};
    REQUIRE(launched.pidfd.is_open());
    auto const pid = launched.pid;
    watched.worker = std::make_unique<WorkerProcess>(*watched.loop, watched, 7U, std::move(launched));
    REQUIRE(::kill(pid, SIGKILL) == 0);
    REQUIRE(watched.until_over());
    CHECK(watched.executions == 0);
    CHECK(watched.deaths == 0);
    REQUIRE(watched.failure);
    auto plan = program({"/bin/app"}, "");
    CHECK_THAT(to_string(to_error(*watched.failure, plan)),
               ContainsSubstring("cannot execute /bin/app") && ContainsSubstring("was killed before that"));
    CHECK(look_at_child(pid) == "no child");
}

TEST_CASE("a program that ended before anybody looked was executed", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto const& worker = watched.start(program({"/bin/sh", "-c", "kill -9 $$"}, folder / "out"));
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(worker.pid()), &info, WEXITED | WNOWAIT) == 0);
    REQUIRE(watched.until_over());
    CHECK(watched.executions == 1);
    CHECK(watched.exit.signal == SIGKILL);
    CHECK(!watched.failure);
}

TEST_CASE("orphans without end leave others their turn", "[worker]") {
    // While a fork bomb went on, the loop did nothing but reap.
    for (int i = 0; i < 100; ++i) {
        auto const pid = ::fork();
        if (pid == 0)
            ::_exit(0);
        REQUIRE(pid > 0);
        siginfo_t info{};
        REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
    }
    auto const is_ours = [](pid_t) { return false; };
    CHECK_FALSE(reap_orphans(is_ours));
    CHECK(reap_orphans(is_ours));
}
