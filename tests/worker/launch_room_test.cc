// SPDX-License-Identifier: Apache-2.0
// What a child needs until it executes is kept for it, and no longer.
#include "base/raw_call.h"
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
    CHECK((!has_raw_calls || rooms.used() == count));
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

TEST_CASE("a child of another user keeps our memory from being looked at while it is in it, and no longer",
          "[worker]") {
    if (::geteuid() != 0) {
        WARN("skipped: only root can become another user");
        return;
    }
    TempFolder const folder;
    constexpr id_t nobody = 65534;
    auto const before = ::prctl(PR_GET_DUMPABLE);
    auto plan = shell("id -u", "");
    plan.output = {};
    plan.identity = Identity{};
    plan.identity->uid = plan.identity->gid = nobody;
    plan.is_gated = true;
    auto launched = fork_worker(plan);
    REQUIRE(launched.has_value());
    // Somebody else who wants it back too early waits.
    LaunchRooms::ours().may_be_dumped(before);
    open_gate(std::move(launched.value().gate));
    CHECK(until_reaped(launched->pid) == 0);
    CHECK(read_launch_status(launched->status).state == LaunchStatus::State::Executed);
    CHECK(LaunchRooms::ours().used() == 0);
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
