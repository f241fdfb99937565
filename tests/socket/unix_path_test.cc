// SPDX-License-Identifier: Apache-2.0
// A unix path: made with its mode, stale ones replaced, live and foreign ones left alone, removed only while
// ours.
#include "catch.h"
#include "socket/bind_error.h"
#include "support.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

using Names = std::vector<std::string>;

mode_t mode_of(std::string const& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

ino_t inode_of(std::string const& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

/// A socket of `type` bound to `path` by somebody else's code: no holdfast in it.
UniqueFd foreign_socket(std::string const& path, int type) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    std::strcpy(un.sun_path, path.c_str());
    UniqueFd fd{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
    REQUIRE(::bind(fd.raw(), reinterpret_cast<sockaddr const*>(&un), sizeof un) == 0);
    return fd;
}

/// What a killed process leaves behind.
void leave_stale(std::string const& path) {
    foreign_socket(path, SOCK_STREAM);
}

} // namespace

TEST_CASE("a unix path serves under the very name that the unit gives it, with nothing beside it",
          "[socket]") {
    TempFolder const folder;
    auto const spec = spec_of(unix_at(folder / "web.sock"));
    auto const listener = bind_one(spec);
    CHECK(folder.names() == Names{"web.sock"});
    CHECK(listener.path_inode == inode_of(folder / "web.sock"));
    CHECK(name_of(listener.fd) == folder / "web.sock");
    CHECK(connect_to(spec.listen[0]).is_open());
    CHECK((::fcntl(listener.fd.raw(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(listener.fd.raw(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a unix path has the mode that the unit says, whatever the umask is", "[socket]") {
    TempFolder const folder;
    for (mode_t const umask_now : {0U, 077U, 0777U}) {
        mode_t const before = ::umask(umask_now);
        for (mode_t const wanted : {0600U, 0660U, 0666U, 0777U}) {
            auto spec = spec_of(unix_at(folder / "web.sock"));
            spec.socket_mode = wanted;
            auto listener = bind_one(spec);
            CHECK(mode_of(folder / "web.sock") == wanted);
            give_up(std::move(listener));
        }
        CHECK(::umask(before) == umask_now);
    }
}

TEST_CASE("the mode of a bound unix path can be changed in place", "[socket]") {
    TempFolder const folder;
    auto spec = spec_of(unix_at(folder / "web.sock"));
    auto listener = bind_one(spec);
    auto const client = connect_to(spec.listen[0]);
    spec.socket_mode = 0600;
    REQUIRE(change_in_place(listener, spec));
    CHECK(mode_of(folder / "web.sock") == 0600);
    CHECK(UniqueFd{::accept4(listener.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open());
}

TEST_CASE("the mode of a path that somebody replaced is left alone and said", "[socket]") {
    TempFolder const folder;
    auto spec = spec_of(unix_at(folder / "web.sock"));
    auto listener = bind_one(spec);
    REQUIRE(::unlink((folder / "web.sock").c_str()) == 0);
    std::ofstream{folder / "web.sock"} << "mine";
    auto const before = mode_of(folder / "web.sock");
    spec.socket_mode = 0611;
    auto const outcome = change_in_place(listener, spec);
    REQUIRE_FALSE(outcome);
    CHECK_THAT(outcome.error().advice, ContainsSubstring("removed or replaced"));
    CHECK(mode_of(folder / "web.sock") == before);
}

TEST_CASE("giving a unix path up removes it", "[socket]") {
    TempFolder const folder;
    auto listener = bind_one(spec_of(unix_at(folder / "web.sock")));
    give_up(std::move(listener));
    CHECK(folder.names().empty());
}

TEST_CASE("giving a unix path up leaves what somebody else has put there", "[socket]") {
    TempFolder const folder;
    auto listener = bind_one(spec_of(unix_at(folder / "web.sock")));
    REQUIRE(::unlink((folder / "web.sock").c_str()) == 0);
    auto const other = foreign_socket(folder / "web.sock", SOCK_STREAM);
    auto const inode = inode_of(folder / "web.sock");
    give_up(std::move(listener));
    CHECK(inode_of(folder / "web.sock") == inode);
}

TEST_CASE("giving a unix path up that is gone already is no trouble", "[socket]") {
    TempFolder const folder;
    auto listener = bind_one(spec_of(unix_at(folder / "web.sock")));
    REQUIRE(::unlink((folder / "web.sock").c_str()) == 0);
    give_up(std::move(listener));
    CHECK(folder.names().empty());
}

TEST_CASE("a process that ends does not remove the path of a listener it shares", "[socket]") {
    TempFolder const folder;
    auto const listener = bind_one(spec_of(unix_at(folder / "web.sock")));
    CHECK(in_child([] { return std::string{"ended"}; }) == "ended");
    CHECK(connect_to(listener.wanted).is_open());
}

TEST_CASE("a stale socket is replaced", "[socket]") {
    TempFolder const folder;
    leave_stale(folder / "web.sock");
    auto const listener = bind_one(spec_of(unix_at(folder / "web.sock")));
    CHECK(folder.names() == Names{"web.sock"});
    CHECK(connect_to(listener.wanted).is_open());
    CHECK(name_of(listener.fd) == folder / "web.sock");
}

TEST_CASE("the path of a killed supervisor is replaced by the next", "[socket]") {
    TempFolder const folder;
    auto const spec = spec_of(unix_at(folder / "web.sock"));
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    UniqueFd const from{ends[0]};
    UniqueFd to{ends[1]};
    pid_t const child = ::fork();
    if (child == 0) {
        auto const held = bind_listener(spec, spec.listen[0]);
        if (held && ::write(to.raw(), "x", 1) == 1)
            ::pause();
        ::_exit(1);
    }
    to.reset();
    char byte = 0;
    REQUIRE(::read(from.raw(), &byte, 1) == 1);
    CHECK(bind_error(spec).code == EADDRINUSE);
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    auto const again = bind_one(spec); // before the node is looked at
    CHECK(again.path_inode == inode_of(folder / "web.sock"));
    CHECK(folder.names() == Names{"web.sock"});
}

TEST_CASE("a path that a live process listens on is refused and goes on serving", "[socket]") {
    forget_holders();
    TempFolder const folder;
    auto const live = bind_one(spec_of(unix_at(folder / "web.sock")));
    auto const error = bind_error(spec_of(unix_at(folder / "web.sock"), "second"));
    CHECK(error.code == EADDRINUSE);
    CHECK_THAT(error.advice, ContainsSubstring("held by holdfastd itself"));
    CHECK(folder.names() == Names{"web.sock"});
    CHECK(connect_to(live.wanted).is_open());
}

TEST_CASE("a live path names the process that holds it", "[socket]") {
    forget_holders();
    TempFolder const folder;
    auto live = bind_one(spec_of(unix_at(folder / "web.sock")));
    auto const answer = in_child([&]() -> std::string {
        live.fd.reset(); // its number may be the lower one, and it would find itself first
        auto const refused = bind_listener(spec_of(live.wanted), live.wanted);
        return refused ? "bound" : refused.error().advice;
    });
    CHECK_THAT(answer, ContainsSubstring("it is held by " + own_command() + " (pid " +
                                         std::to_string(::getpid()) + ")"));
}

TEST_CASE("a live path whose queue is full is refused", "[socket]") {
    TempFolder const folder;
    auto spec = spec_of(unix_at(folder / "web.sock"));
    spec.backlog = 0;
    auto const live = bind_one(spec);
    auto const first = connect_to(live.wanted, true);
    CHECK(connect_to(live.wanted, true).raw() == -1); // full
    CHECK(bind_error(spec).code == EADDRINUSE);
    CHECK(folder.names() == Names{"web.sock"});
}

TEST_CASE("a live datagram or seqpacket path is refused", "[socket]") {
    TempFolder const folder;
    for (int const type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
        auto const other = foreign_socket(folder / "web.sock", type);
        auto const inode = inode_of(folder / "web.sock");
        CHECK(bind_error(spec_of(unix_at(folder / "web.sock"))).code == EADDRINUSE);
        CHECK(inode_of(folder / "web.sock") == inode);
        ::unlink((folder / "web.sock").c_str());
    }
}

TEST_CASE("a path that another process has bound a moment ago and does not listen on yet is refused",
          "[socket]") {
    TempFolder const folder;
    auto const other = foreign_socket(folder / "web.sock", SOCK_STREAM);
    auto const inode = inode_of(folder / "web.sock");
    CHECK(bind_error(spec_of(unix_at(folder / "web.sock"))).code == EADDRINUSE);
    CHECK(inode_of(folder / "web.sock") == inode);
}

TEST_CASE("anything that is no socket is refused by its kind and left alone", "[socket]") {
    TempFolder const folder;
    std::ofstream{folder / "file"} << "mine";
    REQUIRE(::mkdir((folder / "folder").c_str(), 0700) == 0);
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
    REQUIRE(::symlink("nowhere", (folder / "link").c_str()) == 0);
    auto const before = folder.names();
    for (auto const& [name, kind] : {std::pair{"file", "a regular file"}, std::pair{"folder", "a folder"},
                                     std::pair{"fifo", "a FIFO"}, std::pair{"link", "a symbolic link"}}) {
        auto const error = bind_error(spec_of(unix_at(folder / name)));
        CHECK(error.code == EEXIST);
        CHECK_THAT(error.advice, ContainsSubstring(kind));
    }
    CHECK(folder.names() == before);
}

TEST_CASE("a folder that is missing, is no folder, or may not be written says so", "[socket]") {
    TempFolder const folder;
    std::ofstream{folder / "file"} << "";
    auto const missing = bind_error(spec_of(unix_at(folder / "missing/web.sock")));
    CHECK(missing.code == ENOENT);
    CHECK_THAT(missing.advice, ContainsSubstring("the folder " + folder.path() + "/missing does not exist"));
    auto const no_folder = bind_error(spec_of(unix_at(folder / "file/web.sock")));
    CHECK(no_folder.code == ENOTDIR);
    CHECK_THAT(no_folder.advice, ContainsSubstring("a part of " + folder.path() + "/file is no folder"));

    auto const answer = in_child([&]() -> std::string {
        if (::geteuid() == 0 && !become_nobody())
            return "skipped: cannot become nobody";
        auto const refused = bind_listener(spec_of(unix_at("/web.sock")), unix_at("/web.sock"));
        return refused ? "bound"
                       : std::string{errno_name(refused.error().code)} + ": " + refused.error().advice;
    });
    if (!is_skipped(answer))
        CHECK_THAT(answer,
                   ContainsSubstring("EACCES: user ") && ContainsSubstring(" may not create files in /"));
}

TEST_CASE("a stale socket in a folder where we may remove nothing is refused", "[socket]") {
    if (::geteuid() != 0) {
        WARN("skipped: only root can be another user");
        return;
    }
    TempFolder const folder;
    leave_stale(folder / "web.sock");
    REQUIRE(::chmod((folder / "web.sock").c_str(), 0777) == 0);
    REQUIRE(::chmod(folder.path().c_str(), 01777) == 0); // sticky: everybody may add, only owners may remove
    auto const answer = in_child([&]() -> std::string {
        if (!become_nobody())
            return "skipped: cannot become nobody";
        auto const spec = spec_of(unix_at(folder / "web.sock"));
        auto const refused = bind_listener(spec, spec.listen[0]);
        return refused ? "bound" : to_string(refused.error());
    });
    if (!is_skipped(answer))
        CHECK_THAT(answer, ContainsSubstring("cannot replace the stale socket") &&
                               ContainsSubstring("not permitted"));
    CHECK(folder.names() == Names{"web.sock"});
}

TEST_CASE("a socket that we may not test is left alone", "[socket]") {
    if (::geteuid() != 0) {
        WARN("skipped: only root can be another user");
        return;
    }
    TempFolder const folder;
    leave_stale(folder / "web.sock");
    REQUIRE(::chmod((folder / "web.sock").c_str(), 0600) == 0);
    REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
    auto const answer = in_child([&]() -> std::string {
        if (!become_nobody())
            return "skipped: cannot become nobody";
        auto const spec = spec_of(unix_at(folder / "web.sock"));
        auto const refused = bind_listener(spec, spec.listen[0]);
        return refused ? "bound" : to_string(refused.error());
    });
    if (!is_skipped(answer))
        CHECK_THAT(answer, ContainsSubstring("we may not test whether it is still in use"));
    CHECK(folder.names() == Names{"web.sock"});
}

TEST_CASE("a path of 107 bytes is bound, one of 108 is refused with its length", "[socket]") {
    TempFolder const folder;
    auto const longest = folder / std::string(107 - folder.path().size() - 1, 'x');
    auto const listener = bind_one(spec_of(unix_at(longest)));
    CHECK(connect_to(listener.wanted).is_open());
    auto const error = bind_error(spec_of(unix_at(longest + "x")));
    CHECK(error.code == ENAMETOOLONG);
    CHECK_THAT(error.advice, ContainsSubstring("it has 108 bytes") && ContainsSubstring("107"));
    CHECK(folder.names().size() == 1);
}

TEST_CASE("of processes that replace a stale path at once never more than one wins, and it serves",
          "[socket]") {
    int winners_in_all = 0;
    for (int round = 0; round < 40; ++round) {
        TempFolder const folder;
        auto const spec = spec_of(unix_at(folder / "web.sock"));
        leave_stale(folder / "web.sock");
        std::array<int, 2> gate{};
        std::array<int, 2> answers{};
        REQUIRE(::pipe2(gate.data(), O_CLOEXEC) == 0);
        REQUIRE(::pipe2(answers.data(), O_CLOEXEC) == 0);
        constexpr int count = 2;
        std::array<pid_t, count> children{};
        for (auto& child : children) {
            child = ::fork();
            if (child == 0) {
                char byte = 0;
                ::close(gate[1]);
                if (::read(gate[0], &byte, 1) != 0) // all start when the gate's last writer goes
                    ::_exit(1);
                auto const mine = bind_listener(spec, spec.listen[0]);
                byte = mine ? 'w' : 'l';
                if (::write(answers[1], &byte, 1) == 1)
                    ::pause();
                ::_exit(1);
            }
        }
        ::close(gate[0]);
        ::close(gate[1]);
        int winners = 0;
        for (int i = 0; i < count; ++i) {
            char byte = 0;
            REQUIRE(::read(answers[0], &byte, 1) == 1);
            winners += byte == 'w' ? 1 : 0;
        }
        CHECK(winners <= 1);
        winners_in_all += winners;
        if (winners == 1)
            CHECK(connect_to(spec.listen[0], true).is_open());
        CHECK(folder.names().size() <= 1);
        for (pid_t const child : children) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
        ::close(answers[0]);
        ::close(answers[1]);
    }
    CHECK(winners_in_all > 30);
}
