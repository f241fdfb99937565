// SPDX-License-Identifier: Apache-2.0
// KeeperLink against the real holdfast-keeper: three lives of a holdfastd, which are this very program with a
// hidden test.
#include "catch.h"
#include "handoff/sockets.h"
#include "store/keeper_link.h"
#include "support/temp_folder.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t count = 600;
constexpr char result_variable[] = "HOLDFAST_TEST_RESULT";

/// What went wrong; nothing is fine.
std::string first_life(KeeperLink& link, Dump const& dump) {
    if (dump.start.starts != 1 || dump.start.reason != StartReason::First || !dump.held.empty())
        return "the first start is not told as such";
    auto const fd = some_fd();
    std::vector<Keep> entries;
    for (std::size_t i = 0; i < count; ++i)
        entries.push_back({"listener web " + std::to_string(i), fd});
    pid_t const worker = ::fork();
    if (worker == 0) {
        ::signal(SIGTERM, SIG_DFL); // Catch would tell of it
        for (;;)
            ::pause();
    }
    UniqueFd const pidfd{static_cast<int>(::syscall(SYS_pidfd_open, worker, 0))};
    entries.push_back({"worker web 1", pidfd});
    link.put(entries);
    link.drop({"listener web 7"});
    link.save(fd);
    link.tell_ready();
    link.signal("worker web 1", SIGTERM);
    if (!link.sync(20s))
        return "nothing was said to be kept";
    ::raise(SIGKILL);
    return "unreachable";
}

std::string second_life(KeeperLink& link, Dump const& dump) {
    if (dump.start.reason != StartReason::Crash || dump.start.previous_exit != "2 9")
        return "the second start is not told as such";
    if (dump.held.size() != count || !dump.state.is_open())
        return "not all was held";
    for (auto const& held : dump.held)
        if (held.name == "worker web 1" && (held.signals != 1 || held.last_signal != SIGTERM))
            return "the signal was not counted";
    auto exits = dump.exits;
    for (pollfd at{link.socket().raw(), POLLIN, 0}; exits.empty() && ::poll(&at, 1, 20'000) == 1;)
        if (auto more = link.receive(); more)
            exits = *more;
    if (exits.size() != 1 || exits[0].code != CLD_KILLED || exits[0].status != SIGTERM)
        return "the end of the worker was not told";
    link.tell_ready();
    if (!link.sync(20s))
        return "the upgrade could not be prepared";
    ::_exit(start_successor);
}

std::string third_life(KeeperLink& link, Dump const& dump) {
    if (dump.start.reason != StartReason::Upgrade || dump.start.upgrade != UpgradeOutcome::Ok)
        return "the upgrade is not told as such";
    if (dump.held.size() != count || dump.exits.size() != 1)
        return "not all was held across the upgrade";
    link.tell_ready();
    return link.take_refusals().empty() ? "fine" : "something was refused";
}

std::string live() {
    auto inherited = KeeperLink::inherited();
    if (!inherited || !*inherited)
        return "no keeper was inherited";
    auto& link = **inherited;
    auto const dump = link.dump(20s);
    if (!dump)
        return to_string(dump.error());
    switch (dump->start.starts) {
    case 1:
        return first_life(link, *dump);
    case 2:
        return second_life(link, *dump);
    case 3:
        return third_life(link, *dump);
    default:
        return "started too often";
    }
}

} // namespace

TEST_CASE("a life under the keeper", "[.under-keeper]") {
    auto const result = live();
    write_file(::getenv(result_variable), result);
    ::_exit(0);
}

TEST_CASE("both ends of the protocol understand each other, across a crash and an upgrade", "[store]") {
    TempFolder const folder;
    auto const path = folder / "result";
    auto const self = std::filesystem::read_symlink("/proc/self/exe");
    ::setenv(result_variable, path.c_str(), 1);
    pid_t const keeper = ::fork();
    if (keeper == 0) {
        ::execl(HOLDFAST_KEEPER_PROGRAM, "holdfast-keeper", "--", self.c_str(), "[.under-keeper]", nullptr);
        ::_exit(99);
    }
    int status = -1;
    REQUIRE(::waitpid(keeper, &status, 0) == keeper);
    CHECK(status == 0);
    CHECK(read_file(path) == "fine");
}
