// SPDX-License-Identifier: Apache-2.0
#include "base/fd.h"
#include "base/peer.h"
#include "catch.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;

namespace {

UniqueFd open_null() {
    UniqueFd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    REQUIRE(fd.is_open());
    return fd;
}

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

std::pair<UniqueFd, UniqueFd> socket_pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    return {UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

} // namespace

TEST_CASE("a descriptor is closed with its owner", "[base]") {
    int number = -1;
    {
        auto const fd = open_null();
        number = fd.raw();
        CHECK(is_open(number));
    }
    CHECK_FALSE(is_open(number));
}

TEST_CASE("a moved descriptor has one owner", "[base]") {
    auto first = open_null();
    int const number = first.raw();
    UniqueFd second{std::move(first)};
    CHECK_FALSE(first.is_open()); // NOLINT(bugprone-use-after-move): this is what is tested
    CHECK(second.raw() == number);
    auto third = open_null();
    int const replaced = third.raw();
    third = std::move(second);
    CHECK_FALSE(is_open(replaced));
    CHECK(third.raw() == number);
    auto& same = third;
    third = std::move(same);
    CHECK(is_open(number));
}

TEST_CASE("a released descriptor is the caller's", "[base]") {
    int number = -1;
    {
        auto fd = open_null();
        number = fd.release();
        CHECK_FALSE(fd.is_open());
    }
    CHECK(is_open(number));
    ::close(number);
}

TEST_CASE("closing keeps errno, and closing nothing is fine", "[base]") {
    auto fd = open_null();
    errno = ERANGE;
    fd.reset();
    CHECK(errno == ERANGE);
    fd.reset();
    UniqueFd{}.reset();
    CHECK_FALSE(fd.is_open());
}

TEST_CASE("closing a descriptor twice ends the process: it is a bug of ours", "[base]") {
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);
        ::freopen("/dev/null", "w", stderr);
        UniqueFd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
        ::close(fd.raw());
        fd.reset();
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("looking at a descriptor does not own it", "[base]") {
    auto const fd = open_null();
    {
        FdRef const look = fd;
        CHECK(look.raw() == fd.raw());
        CHECK(look == FdRef{fd.raw()});
        CHECK(look.is_open());
    }
    CHECK(is_open(fd.raw()));
    CHECK_FALSE(FdRef{}.is_open());
}

TEST_CASE("the kernel tells who is at the other end of a unix socket", "[base]") {
    auto const [ours, theirs] = socket_pair();
    auto const peer = read_peer(ours);
    REQUIRE(peer);
    CHECK(peer->uid == ::geteuid());
    CHECK(peer->gid == ::getegid());
    CHECK(peer->pid == ::getpid());
    std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
    REQUIRE(::getgroups(static_cast<int>(groups.size()), groups.data()) >= 0);
    CHECK(peer->groups == groups);
}

TEST_CASE("a peer in more groups than fit at once is read whole", "[base]") {
    if (::geteuid() != 0) {
        std::puts("skipped: needs root to be in many groups");
        return;
    }
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::vector<gid_t> groups;
        for (gid_t gid = 5000; gid < 5100; ++gid)
            groups.push_back(gid);
        int fds[2];
        if (::setgroups(groups.size(), groups.data()) < 0)
            ::_exit(77);
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
            ::_exit(2);
        auto const peer = read_peer(FdRef{fds[0]});
        ::_exit(peer && peer->groups == groups ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        std::puts("skipped: setgroups is not permitted here");
        return;
    }
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("what is no unix socket has no peer", "[base]") {
    CHECK(read_peer(open_null()).error().code == ENOTSOCK);
    UniqueFd const tcp{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK_FALSE(read_peer(tcp));
    UniqueFd const alone{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK_FALSE(read_peer(alone));
}

TEST_CASE("a peer is allowed by user, by group, or by a supplementary group", "[base]") {
    Peer const peer{1000, 100, 1, {4, 27}};
    std::vector<uid_t> const users{1000};
    std::vector<uid_t> const others{0, 1001};
    std::vector<gid_t> const none;
    CHECK(is_allowed(peer, users, none));
    CHECK_FALSE(is_allowed(peer, others, none));
    CHECK(is_allowed(peer, {}, std::vector<gid_t>{100}));
    CHECK(is_allowed(peer, others, std::vector<gid_t>{5, 27}));
    CHECK_FALSE(is_allowed(peer, others, std::vector<gid_t>{5, 1000}));
    CHECK_FALSE(is_allowed(peer, {}, {}));
    CHECK_FALSE(is_allowed(Peer{0, 0, 1, {}}, users, none)); // not even root
}
