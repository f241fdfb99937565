// SPDX-License-Identifier: Apache-2.0
// What a worker finds when its program begins: descriptors, variables, signals, identity, limits.
#include "base/scope_exit.h"
#include "support.h"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <numeric>
#include <random>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::vector<int> keys(std::map<int, std::string> const& map) {
    std::vector<int> numbers;
    for (auto const& [number, target] : map)
        numbers.push_back(number);
    return numbers;
}

/// Opens `count` files, puts them (and `leaks` more that nobody asked for) at random numbers from 3 on, and
/// hands the first ones over. What is wrong in the worker, or nothing.
std::string hand_over_shuffled(TempFolder const& folder, unsigned seed) {
    std::mt19937 random{seed};
    int const count = static_cast<int>(random() % 12);
    int const leaks = static_cast<int>(random() % 4);
    std::vector<int> places(static_cast<std::size_t>(count + leaks));
    std::iota(places.begin(), places.end(), 3);
    std::shuffle(places.begin(), places.end(), random);
    if (::syscall(SYS_close_range, 3U, 100U, 0U) < 0)
        return "cannot close";

    auto plan = shell(show_script, folder / ("out" + std::to_string(seed)));
    for (int i = 0; i < count + leaks; ++i) {
        auto const place = places[static_cast<std::size_t>(i)];
        auto const file = folder / ("file" + std::to_string(i));
        UniqueFd source{::open(file.c_str(), O_RDWR | O_CREAT, 0666)};
        if (source.raw() != place) { // the number may be taken by one that was put there: then it moves away
            UniqueFd const far{::fcntl(source.raw(), F_DUPFD, 60)};
            source.reset();
            if (::fcntl(place, F_GETFD) >= 0)
                return "a place is taken";
            source = UniqueFd{::dup3(far.raw(), place, random() % 2 == 0 ? O_CLOEXEC : 0)};
        }
        if (i < count)
            plan.listeners.push_back({"s" + std::to_string(i), FdRef{source.raw()}});
        (void)source.release(); // held until the next round, as a leak is
    }
    if (auto const why = launch_and_wait(plan); !why.empty())
        return why;
    auto const found = shown_descriptors(read_file(plan.output.path));
    std::string wrong;
    for (int i = 0; i < count; ++i)
        if (auto const at = found.find(3 + i);
            at == found.end() || at->second != folder / ("file" + std::to_string(i)))
            wrong += " " + std::to_string(3 + i) + " is " + (at == found.end() ? "closed" : at->second);
    if (keys(found).size() != static_cast<std::size_t>(3 + count))
        wrong += " " + std::to_string(keys(found).size()) + " descriptors";
    return wrong;
}

} // namespace

TEST_CASE("a worker has 0, 1, 2 and its listeners in order, wherever they were and whatever else is open",
          "[worker]") {
    TempFolder const folder;
    auto const wrong = in_child([&] {
        std::string all;
        for (unsigned seed = 1; seed <= 60; ++seed)
            if (auto const one = hand_over_shuffled(folder, seed); !one.empty())
                all += "seed " + std::to_string(seed) + ":" + one + "\n";
        return all;
    });
    CHECK(wrong == "");
}

TEST_CASE("the same descriptor may be handed over under several names", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto const file = open_new(folder / "one");
    auto plan = shell(show_script, folder / "out");
    plan.listeners = {{"a", file}, {"b", file}};
    plan.others = {file};
    auto const found = shown_descriptors(watched.run(plan));
    CHECK(keys(found) == std::vector{0, 1, 2, 3, 4, 5});
    for (int const number : {3, 4, 5})
        CHECK(found.at(number) == folder / "one");
}

TEST_CASE("a supervisor started without 0, 1 and 2 hands over what has got their numbers", "[worker]") {
    // The pipe for the launch status got the number 0 and was replaced by /dev/null, a listener at 1 by the
    // output.
    TempFolder const folder;
    auto plan = shell(show_script, folder / "out");
    auto const why = in_child([&]() -> std::string {
        for (int const standard : {0, 1, 2})
            ::close(standard);
        UniqueFd const zero = open_new(folder / "zero");
        UniqueFd const one = open_new(folder / "one");
        if (zero.raw() != 0 || one.raw() != 1)
            return "the numbers are not free";
        plan.listeners = {{"one", one}, {"zero", zero}};
        return launch_and_wait(plan);
    });
    CHECK(why == "");
    auto const found = shown_descriptors(read_file(folder / "out"));
    CHECK(keys(found) == std::vector{0, 1, 2, 3, 4});
    CHECK(found.at(0) == "/dev/null");
    CHECK(found.at(1) == folder / "out");
    CHECK(found.at(3) == folder / "one");
    CHECK(found.at(4) == folder / "zero");
}

TEST_CASE("a supervisor without 1 and 2 that lets output through gives its workers /dev/null", "[worker]") {
    // The worker had no 1 and 2, so that the first socket it opened got its error messages.
    TempFolder const folder;
    auto plan = shell("(exec ls -l /proc/$$/fd > '" + folder / "fds" + "'); :", "");
    plan.output.kind = Output::Kind::Through;
    auto const why = in_child([&] {
        for (int const standard : {0, 1, 2})
            ::close(standard);
        return launch_and_wait(plan);
    });
    CHECK(why == "");
    auto const found = shown_descriptors(read_file(folder / "fds"));
    for (int const standard : {0, 1, 2})
        CHECK(found.at(standard) == "/dev/null");
}

TEST_CASE("output that is let through is the supervisor's own", "[worker]") {
    TempFolder const folder;
    auto plan = shell("echo out; echo err >&2", "");
    plan.output.kind = Output::Kind::Through;
    auto const why = in_child([&] {
        UniqueFd const file = open_new(folder / "both");
        ::dup2(file.raw(), 1);
        ::dup2(file.raw(), 2);
        return launch_and_wait(plan);
    });
    CHECK(why == "");
    CHECK(read_file(folder / "both") == "out\nerr\n");
}

TEST_CASE("output to a file is appended, for both streams, and others cannot read it", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto const plan = shell("echo out; echo err >&2", folder / "log");
    watched.run(plan);
    CHECK(watched.run(plan) == "out\nerr\nout\nerr\n");
    CHECK(std::filesystem::status(folder / "log").permissions() ==
          (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write |
           std::filesystem::perms::group_read));
}

TEST_CASE("workers start where a seccomp filter knows no clone3, as in a container", "[worker]") {
    // Every start failed with ENOSYS under the default filter of container engines.
    TempFolder const folder;
    auto const plan = shell("echo up", folder / "out");
    auto const why = in_child([&]() -> std::string {
        sock_filter filter[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        sock_fprog const fprog{std::size(filter), filter};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog) < 0)
            return "skipped: no seccomp filter can be had here";
        return launch_and_wait(plan);
    });
    if (why.starts_with("skipped")) {
        WARN(why);
        return;
    }
    CHECK(why == "");
    CHECK(read_file(folder / "out") == "up\n");
}

TEST_CASE("LISTEN_FDS and its companions tell of the listeners, and of the right process", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto const a = open_new(folder / "a");
    auto const b = open_new(folder / "b");
    auto plan = shell(show_script, folder / "out");
    plan.listeners = {{"http", a}, {"admin", b}};
    SECTION("announced") {
        plan.announces_listeners = true;
        auto const output = watched.run(plan);
        CHECK(shown(output, "LISTEN_FDS=") == "2");
        CHECK(shown(output, "LISTEN_FDNAMES=") == "http:admin");
        CHECK(shown(output, "LISTEN_PID=") == shown(output, "pid "));
        CHECK(shown(output, "LISTEN_PIDFDID=") != "");
    }
    SECTION("not announced") {
        auto const output = watched.run(plan);
        CHECK(shown(output, "LISTEN_") == "none");
        CHECK(shown_descriptors(output).count(4) == 1);
    }
}

TEST_CASE("a worker has default signals and an empty mask, whatever the supervisor blocks and ignores",
          "[worker]") {
    TempFolder const folder;
    Watched watched;
    SignalMask const mask{SIGTERM, SIGCHLD, SIGUSR1};
    REQUIRE(ignores_broken_pipes);
    auto const status = watched.run(program({"/bin/cat", "/proc/self/status"}, folder / "out"));
    CHECK(shown(status, "SigBlk:") == "0000000000000000");
    CHECK(shown(status, "SigIgn:") == "0000000000000000");
    CHECK(shown(status, "SigCgt:") == "0000000000000000");
}

TEST_CASE("a signal that comes before the exec ends the worker, and runs no handler of ours in it",
          "[worker]") {
    // A worker that was stopped as soon as it was started ran the supervisor's handler, on a copy of its
    // memory.
    TempFolder const folder;
    auto const plan = program({"/bin/sleep", "1000"}, folder / "out");
    static std::string const note = folder / "handled";
    auto const before = ::signal(SIGTERM, [](int) { ::close(::open(note.c_str(), O_CREAT | O_RDWR, 0600)); });
    ScopeExit const back{[&] { ::signal(SIGTERM, before); }};
    for (int i = 0; i < 50; ++i) {
        Watched watched;
        auto& worker = watched.start(plan);
        (void)worker.send(SIGTERM);
        REQUIRE(watched.until_over());
        // By which side of the exec the signal came.
        CHECK((watched.failure ? watched.failure->code == ECANCELED : watched.exit.signal == SIGTERM));
    }
    CHECK(!std::filesystem::exists(note));
}

TEST_CASE("a worker leads a session and a process group of its own", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto const status = watched.run(program({"/bin/cat", "/proc/self/status"}, folder / "out"));
    auto const pid = shown(status, "Pid:");
    CHECK(shown(status, "NSpgid:") == pid);
    CHECK(shown(status, "NSsid:") == pid);
}

TEST_CASE("folder, umask and limits are what the plan says", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto plan = shell("pwd; umask; ulimit -Sn; ulimit -Hn", folder / "out");
    plan.working_directory = folder.path();
    plan.umask = 027;
    plan.limits = {{RLIMIT_NOFILE, 100, 200}};
    CHECK(watched.run(plan) == folder.path() + "\n0027\n100\n200\n");
}

TEST_CASE("a worker runs as its user with the groups it should have and no other", "[worker]") {
    if (::geteuid() != 0) {
        WARN("skipped: only root may change users");
        return;
    }
    TempFolder const folder;
    Watched watched;
    auto plan = program({"/bin/cat", "/proc/self/status"}, folder / "out");
    plan.identity = Identity{1, 2, {3, 4}, "daemon", "", ""};
    auto const status = watched.run(plan);
    CHECK(shown(status, "Uid:") == "1\t1\t1\t1");
    CHECK(shown(status, "Gid:") == "2\t2\t2\t2");
    CHECK(shown(status, "Groups:").substr(0, 3) == "3 4");
    CHECK(shown(status, "CapEff:") == "0000000000000000");
}

TEST_CASE("an ordinary user may name itself as the user", "[worker]") {
    TempFolder const folder;
    auto plan = program({"/bin/cat", "/proc/self/status"}, folder / "out");
    auto const why = in_child([&]() -> std::string {
        if (!become_nobody())
            return "cannot become nobody";
        plan.identity = Identity{::geteuid(), ::getegid(), {}, "nobody", "", ""};
        return launch_and_wait(plan);
    });
    CHECK(why == "");
    CHECK(read_file(folder / "out") != "");
}
