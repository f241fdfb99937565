// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "client/child.h"
#include "handoff/listen_fds.h"
#include "handoff/sockets.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <holdfast.h>
#include <sys/resource.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// "2: http=3 admin=4", or "-EINVAL".
std::string describe(int result, holdfast_listeners* set) {
    if (result < 0)
        return "-" + std::string{::strerrorname_np(-result)} + (set ? " with a set" : "");
    auto text = std::to_string(result) + ":";
    for (std::size_t i = 0; i < holdfast_count(set); ++i)
        text += ' ' + std::string{holdfast_name(set, i)} + '=' + std::to_string(holdfast_fd(set, i));
    return text;
}

std::string inherit() {
    holdfast_listeners* set = nullptr;
    int const result = holdfast_inherit(&set, 0);
    auto text = describe(result, set);
    holdfast_free(set);
    return text;
}

} // namespace

TEST_CASE("listeners that come by LISTEN_FDS are found by name, close-on-exec, at their numbers",
          "[client]") {
    auto const http = some_fd();
    auto const admin = some_fd();
    auto const said = in_worker(
        {{"LISTEN_FDS", "2"}, {"LISTEN_PID", "@pid"}, {"LISTEN_FDNAMES", "http:admin"}}, {http, admin}, [] {
            holdfast_listeners* set = nullptr;
            int const result = holdfast_inherit(&set, 0);
            auto text = describe(result, set);
            for (int fd : {3, 4})
                if (is_close_on_exec(FdRef{fd}))
                    text += " cloexec";
            return text;
        });
    CHECK(said == "2: http=3 admin=4 cloexec cloexec");
}

TEST_CASE("a listener without a name is unknown, as under systemd", "[client]") {
    auto const fd = some_fd();
    CHECK(in_worker({{"LISTEN_FDS", "1"}, {"LISTEN_PID", "@pid"}}, {fd}, inherit) == "1: unknown=3");
}

TEST_CASE("what is taken is the caller's, the rest is closed with the set", "[client]") {
    auto const fd = some_fd();
    auto const said = in_worker({{"LISTEN_FDS", "3"}, {"LISTEN_PID", "@pid"}, {"LISTEN_FDNAMES", "a:b:a"}},
                                {fd, fd, fd}, [] {
                                    holdfast_listeners* set = nullptr;
                                    if (holdfast_inherit(&set, 0) != 3)
                                        return std::string{"not 3"};
                                    std::string text;
                                    for (auto const* name : {"a", "c", "a", "a"})
                                        text += std::to_string(holdfast_take(set, name)) + ' ';
                                    text += std::to_string(holdfast_fd(set, 0) == -EBADF) + ' ' +
                                            std::to_string(holdfast_fd(set, 3) == -EINVAL) + ' ';
                                    holdfast_free(set);
                                    for (int number : {3, 4, 5})
                                        text += ::fcntl(number, F_GETFD) < 0 ? "closed " : "open ";
                                    return text;
                                });
    auto const none = std::to_string(-ENOENT);
    CHECK(said == "3 " + none + " 5 " + none + " 1 1 open closed open ");
}

TEST_CASE("listeners of another process are not ours", "[client]") {
    auto const fd = some_fd();
    CHECK(in_worker({{"LISTEN_FDS", "1"}, {"LISTEN_PID", "@wrong"}}, {fd}, inherit) == "0:");
    CHECK(in_worker({{"LISTEN_FDS", "1"}}, {fd}, inherit) == "0:");
    CHECK(in_worker({{"LISTEN_PID", "@pid"}}, {fd}, inherit) == "0:");
    CHECK(in_worker({}, {fd}, inherit) == "0:");
}

TEST_CASE("LISTEN_PIDFDID must be this process's own number", "[client]") {
    auto const fd = some_fd();
    auto const with_id = [&](std::string const& id) {
        return in_worker({{"LISTEN_FDS", "1"}, {"LISTEN_PID", "@pid"}}, {fd}, [&] {
            ::setenv("LISTEN_PIDFDID", id.empty() ? std::to_string(own_pidfd_id()).c_str() : id.c_str(), 1);
            return inherit();
        });
    };
    CHECK(with_id("x1") == "-EINVAL");
    if (own_pidfd_id() == 0) {
        std::puts("skipped in part: pidfds have no numbers here (before Linux 6.9)");
        CHECK(with_id("12345") == "1: unknown=3");
        return;
    }
    CHECK(with_id("") == "1: unknown=3");
    CHECK(with_id(std::to_string(own_pidfd_id())) == "0:"); // the parent's
}

TEST_CASE("malformed variables are an error, whatever they are", "[client]") {
    auto const fd = some_fd();
    auto const count = GENERATE(as<std::string>{}, "garbage", "-1", "", "1x", "+1", " 1", "1 ", "0x1",
                                "2147483647", "18446744073709551616", "99999999999999999999999999");
    INFO("LISTEN_FDS=" << count);
    CHECK(in_worker({{"LISTEN_FDS", count}, {"LISTEN_PID", "@pid"}}, {fd}, inherit) == "-EINVAL");
    auto const pid = GENERATE(as<std::string>{}, "garbage", "-1", "0", "", "4294967296000");
    INFO("LISTEN_PID=" << pid);
    CHECK(in_worker({{"LISTEN_FDS", "1"}, {"LISTEN_PID", pid}}, {fd}, inherit) == "-EINVAL");
}

TEST_CASE("a count that is a lie ends at the first descriptor that is not open, and costs no memory",
          "[client]") {
    auto const fd = some_fd();
    auto const count = GENERATE(as<std::string>{}, "2", "2147483644");
    auto const said = in_worker({{"LISTEN_FDS", count}, {"LISTEN_PID", "@pid"}}, {fd}, [] {
        auto text = inherit();
        return text + (::fcntl(3, F_GETFD) < 0 ? " closed" : " open");
    });
    CHECK(said == "-EBADF open");
}

TEST_CASE("as many names as descriptors, or an error", "[client]") {
    auto const fd = some_fd();
    auto const names = GENERATE(as<std::string>{}, "", "a", "a:b:c", "a:b:", ":");
    auto const said = in_worker({{"LISTEN_FDS", "2"}, {"LISTEN_PID", "@pid"}, {"LISTEN_FDNAMES", names}},
                                {fd, fd}, inherit);
    CHECK(said == (names == ":" ? "2: =3 =4" : "-EINVAL"));
}

TEST_CASE("the variables are unset when asked, also after an error", "[client]") {
    auto const fd = some_fd();
    auto const count = GENERATE(as<std::string>{}, "1", "garbage");
    auto const said = in_worker({{"LISTEN_FDS", count},
                                 {"LISTEN_PID", "@pid"},
                                 {"LISTEN_FDNAMES", "a"},
                                 {"LISTEN_PIDFDID", "x"},
                                 {"HOLDFAST_HANDOFF", "x"}},
                                {fd}, [] {
                                    holdfast_listeners* set = nullptr;
                                    holdfast_inherit(&set, 1);
                                    std::string left;
                                    for (auto const* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                                                             "LISTEN_PIDFDID", "HOLDFAST_HANDOFF"})
                                        left += ::getenv(name) ? name : "";
                                    return left;
                                });
    CHECK(said.empty());
}

TEST_CASE("many listeners of one name are taken one by one", "[client]") {
    auto const fd = some_fd();
    std::vector<FdRef> const fds(50, fd);
    std::string names = "n";
    for (int i = 1; i < 50; ++i)
        names += ":n";
    CHECK(in_worker({{"LISTEN_FDS", "50"}, {"LISTEN_PID", "@pid"}, {"LISTEN_FDNAMES", names}}, fds, [] {
              holdfast_listeners* set = nullptr;
              int const result = holdfast_inherit(&set, 0);
              int taken = 0;
              while (holdfast_take(set, "n") >= 0)
                  ++taken;
              return std::to_string(result) + ' ' + std::to_string(taken);
          }) == "50 50");
}

TEST_CASE("an empty set and no set at all are fine to look at and to free", "[client]") {
    holdfast_free(nullptr);
    CHECK(holdfast_count(nullptr) == 0);
    CHECK(holdfast_name(nullptr, 0) == nullptr);
    CHECK(holdfast_fd(nullptr, 0) == -EINVAL);
    CHECK(holdfast_take(nullptr, "a") == -ENOENT);
    CHECK(holdfast_inherit(nullptr, 0) == -EINVAL);
    CHECK(holdfast_receive(nullptr) == -EINVAL);
}

TEST_CASE("the library says its version", "[client]") {
    CHECK(std::string{holdfast_version()} == HOLDFAST_VERSION);
}
