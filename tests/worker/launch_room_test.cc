// SPDX-License-Identifier: Apache-2.0
// What a child needs until it executes is kept for it, and no longer.
#include "support.h"
#include "worker/launch_room.h"

#include <csignal>

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Does a child share our memory here? While it is at its gate it has a stack then.
bool shares_memory() {
    TempFolder const folder;
    auto plan = shell("exit 0", folder / "out");
    plan.is_gated = true;
    auto launched = fork_worker(std::move(plan));
    REQUIRE(launched.has_value());
    LaunchRooms::ours().sweep();
    bool const is_in_it = LaunchRooms::ours().used() > 0;
    open_gate(std::move(launched.value().gate));
    REQUIRE(::waitpid(launched->pid, nullptr, 0) == launched->pid);
    LaunchRooms::ours().sweep();
    return is_in_it;
}

int until_reaped(pid_t pid) {
    int status = 0;
    return ::waitpid(pid, &status, 0) == pid ? status : -1;
}

} // namespace

TEST_CASE("a child leaves our memory when it executes, and its room is given back", "[worker]") {
    TempFolder const folder;
    auto& rooms = LaunchRooms::ours();
    for (int round = 0; round < 20; ++round) {
        CHECK(launch_and_wait(shell("exit 0", folder / "out")).empty());
        CHECK(rooms.used() == 0);
    }
}

TEST_CASE("children wait at their gates in our memory, each in a room of its own", "[worker]") {
    TempFolder const folder;
    auto& rooms = LaunchRooms::ours();
    constexpr std::size_t count = 20;
    std::vector<Launched> waiting;
    for (std::size_t i = 0; i < count; ++i) {
        auto plan = shell("echo " + std::to_string(i), folder / std::to_string(i));
        plan.is_gated = true;
        auto launched = fork_worker(std::move(plan));
        REQUIRE(launched.has_value());
        waiting.push_back(std::move(launched).value());
    }
    // The last of those who have a copy is given back with the next one.
    CHECK(rooms.used() == (shares_memory() ? count : 1));
    // One dies there, one is let down, the others go on; all plans are long gone.
    CHECK(::kill(waiting[0].pid, SIGKILL) == 0);
    waiting[1].gate.reset();
    for (std::size_t i = 2; i < count; ++i)
        open_gate(std::move(waiting[i].gate));
    CHECK(WIFSIGNALED(until_reaped(waiting[0].pid)));
    CHECK(WEXITSTATUS(until_reaped(waiting[1].pid)) == 127);
    for (std::size_t i = 2; i < count; ++i) {
        CHECK(until_reaped(waiting[i].pid) == 0);
        CHECK(read_file(folder / std::to_string(i)) == std::to_string(i) + "\n");
    }
    rooms.sweep();
    CHECK(rooms.used() == 0);
}

TEST_CASE("what a child changes of itself is not changed here", "[worker]") {
    TempFolder const folder;
    auto const mask = ::umask(022);
    ::umask(mask);
    char before[4096], after[4096];
    REQUIRE(::getcwd(before, sizeof before) != nullptr);
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    auto plan = shell("umask; pwd", folder / "out");
    plan.umask = 0077;
    plan.working_directory = "/";
    CHECK(launch_and_wait(plan).empty());
    CHECK(read_file(folder / "out") == "0077\n/\n");
    CHECK(::umask(mask) == mask);
    REQUIRE(::getcwd(after, sizeof after) != nullptr);
    CHECK(std::string{before} == after);
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    for (int signal = 1; signal < 64; ++signal)
        CHECK(::sigismember(&now, signal) == ::sigismember(&blocked, signal));
}

TEST_CASE("our memory is not looked at until the last child of another user has left it", "[worker]") {
    if (::prctl(PR_GET_DUMPABLE) != 1) {
        WARN("skipped: we are not dumpable ourselves");
        return;
    }
    LaunchRooms rooms;
    int first[2], second[2];
    REQUIRE(::pipe(first) == 0);
    REQUIRE(::pipe(second) == 0);
    UniqueFd const first_read{first[0]}, second_read{second[0]};
    UniqueFd first_child{first[1]}, second_child{second[1]};
    auto plan = shell("exit 0", "");
    plan.identity = Identity{};
    auto& one = rooms.prepare(plan, first_read);
    auto& other = rooms.prepare(plan, second_read);
    if (!one.stack) {
        WARN("skipped: memory is not shared with other users here");
        return;
    }
    REQUIRE(::prctl(PR_SET_DUMPABLE, 0) == 0); // as a child does that changes its user
    rooms.may_be_dumped(1);
    CHECK(::prctl(PR_GET_DUMPABLE) == 0);
    // The word of the kernel frees the room, but is not enough.
    one.is_used = 0;
    other.is_used = 0;
    rooms.sweep();
    CHECK(rooms.used() == 0);
    CHECK(::prctl(PR_GET_DUMPABLE) == 0);
    first_child.reset();
    rooms.sweep();
    CHECK(::prctl(PR_GET_DUMPABLE) == 0);
    second_child.reset();
    rooms.sweep();
    CHECK(::prctl(PR_GET_DUMPABLE) == 1);
}

TEST_CASE("after a worker of another user we can be dumped again", "[worker]") {
    if (::geteuid() != 0) {
        WARN("skipped: only root can become another user");
        return;
    }
    constexpr id_t nobody = 65534;
    auto const before = ::prctl(PR_GET_DUMPABLE);
    auto plan = shell("exit 0", "");
    plan.output = {};
    plan.identity = Identity{};
    plan.identity->uid = plan.identity->gid = nobody;
    CHECK(launch_and_wait(plan).empty());
    LaunchRooms::ours().sweep();
    CHECK(::prctl(PR_GET_DUMPABLE) == before);
}

TEST_CASE("a child that cannot execute tells why, and its room is given back", "[worker]") {
    TempFolder const folder;
    auto plan = shell("exit 0", folder / "out");
    plan.programs = {"/nonexistent/program"};
    CHECK_FALSE(launch_and_wait(plan).empty());
    LaunchRooms::ours().sweep();
    CHECK(LaunchRooms::ours().used() == 0);
}
