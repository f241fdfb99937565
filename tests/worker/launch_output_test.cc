// SPDX-License-Identifier: Apache-2.0
// Where a worker's output goes when the journal does not answer; and what a worker does not inherit where the
// kernel lacks close_range(2).
#include "support.h"

#include <cstddef>
#include <cstring>
#include <iostream>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

enum class Journal { Absent, Dead, Full, Alive };

UniqueFd open_stream() {
    return UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

sockaddr_un journal_address() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, "/run/systemd/journal/stdout");
    return address;
}

/// What a worker says whose output goes to a journal in this state, each after where it went: in a mount
/// namespace with a /run of its own. "skipped" where there can be none.
std::string said_to(Journal state, LaunchPlan const& plan, std::string const& through) {
    return in_child([&]() -> std::string {
        if (::unshare(CLONE_NEWNS) < 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
            ::mount("none", "/run", "tmpfs", 0, nullptr) < 0)
            return "skipped";
        for (auto const* name : {"/run/systemd", "/run/systemd/journal"})
            if (::mkdir(name, 0755) < 0)
                return "mkdir";
        auto const address = journal_address();
        auto const* const at = reinterpret_cast<sockaddr const*>(&address);
        UniqueFd journal = open_stream();
        if (state != Journal::Absent &&
            (::bind(journal.raw(), at, sizeof address) < 0 || ::listen(journal.raw(), 0) < 0))
            return "bind";
        if (state == Journal::Dead)
            journal.reset();
        std::vector<UniqueFd> clients;
        while (state == Journal::Full) {
            clients.push_back(open_stream());
            if (::connect(clients.back().raw(), at, sizeof address) < 0)
                break;
        }
        UniqueFd const file = open_new(through);
        if (::dup2(file.raw(), 1) < 0 || ::dup2(file.raw(), 2) < 0)
            return "dup2";
        if (auto const why = launch_and_wait(plan); !why.empty())
            return why;
        if (state != Journal::Alive)
            return "through: " + read_file(through);
        UniqueFd const client{::accept4(journal.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
        char text[100]{};
        return ::read(client.raw(), text, sizeof text - 1) < 0 ? "read" : "journal: " + std::string{text};
    });
}

} // namespace

TEST_CASE("a journal that does not answer does not keep a worker from starting", "[worker]") {
    // A dead journald failed every launch, and one that did not accept kept the child waiting for ever.
    TempFolder const folder;
    auto plan = shell("echo hello", "");
    plan.output.kind = Output::Kind::Journal;
    plan.output.identifier = "web";
    if (said_to(Journal::Absent, plan, folder / "probe") == "skipped") {
        std::cout << "skipped: a mount namespace needs more rights\n";
        return;
    }
    CHECK(said_to(Journal::Absent, plan, folder / "absent") == "through: hello\n");
    CHECK(said_to(Journal::Dead, plan, folder / "dead") == "through: hello\n");
    CHECK(said_to(Journal::Full, plan, folder / "full") == "through: hello\n");
    CHECK(said_to(Journal::Alive, plan, folder / "alive") == "journal: web\n\n6\n1\n0\n0\n0\nhello\n");
}

TEST_CASE("a worker's output file is written to as any file, not without waiting", "[worker]") {
    TempFolder const folder;
    Watched watched;
    auto const flags = shown(watched.run(shell("cat /proc/$$/fdinfo/1", folder / "out")), "flags:");
    CHECK((std::stoi(flags, nullptr, 8) & (O_NONBLOCK | O_APPEND)) == O_APPEND);
}

TEST_CASE("without close_range a worker still inherits nothing that is not meant for it", "[worker]") {
    // Its failure (before Linux 5.11, or refused by a container engine) was ignored.
    TempFolder const folder;
    auto plan = shell(show_script, folder / "out");
    auto const why = in_child([&]() -> std::string {
        UniqueFd const stray = open_new(folder / "stray");
        if (::fcntl(stray.raw(), F_DUPFD, 100) < 0) // not close-on-exec
            return "dup";
        sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        sock_fprog const filter{std::size(code), code};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
            return "skipped";
        return launch_and_wait(plan);
    });
    if (why == "skipped") {
        std::cout << "skipped: seccomp filters are not to be had\n";
        return;
    }
    CHECK(why == "");
    auto const found = shown_descriptors(read_file(folder / "out"));
    CHECK(found.contains(2));
    for (auto const& [number, target] : found)
        CHECK(number < 3);
}
