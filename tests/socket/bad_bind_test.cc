// SPDX-License-Identifier: Apache-2.0
// Each way in which the world refuses a bind: the errno, words that say what to do, and nothing left behind.
#include "catch.h"
#include "socket/bind_error.h"
#include "support.h"

#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// "EACCES: the advice", or "bound".
std::string outcome_of(ListenAddress const& address, bool free_bind = false) {
    auto spec = spec_of(address);
    spec.free_bind = free_bind;
    auto const listener = bind_listener(spec, address);
    if (listener)
        return "bound";
    return std::string{errno_name(listener.error().code)} + ": " + listener.error().advice;
}

bool write_setting(char const* path, std::string const& value) {
    UniqueFd const setting{::open(path, O_WRONLY | O_CLOEXEC)};
    return setting.is_open() &&
           ::write(setting.raw(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

constexpr char const* port_start = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

} // namespace

TEST_CASE("a port in use by ourselves says so", "[socket]") {
    forget_holders();
    auto const holder = bind_one(spec_of(tcp("127.0.0.1")));
    auto const error = bind_error(spec_of(tcp("127.0.0.1", holder.port), "http"));
    CHECK(error.code == EADDRINUSE);
    CHECK_THAT(error.doing, ContainsSubstring("bind 127.0.0.1:" + std::to_string(holder.port)));
    CHECK_THAT(error.advice, ContainsSubstring("held by holdfastd itself"));
}

TEST_CASE("a port in use by another process names that process and its pid", "[socket]") {
    forget_holders();
    auto const holder = bind_one(spec_of(tcp("127.0.0.1")));
    auto const answer = in_child([&]() -> std::string { return outcome_of(holder.bound()); });
    CHECK(answer == "EADDRINUSE: port " + std::to_string(holder.port) + " is held by " + own_command() +
                        " (pid " + std::to_string(::getpid()) +
                        ") and 1 more: stop it, or choose another port");
}

TEST_CASE("a port in use by a process that we may not look into says whose it is", "[socket]") {
    forget_holders();
    if (::geteuid() != 0) {
        WARN("skipped: only root can be another user");
        return;
    }
    auto const holder = bind_one(spec_of(tcp("127.0.0.1")));
    auto const answer = in_child([&]() -> std::string {
        if (!become_nobody())
            return "skipped: cannot become nobody";
        ::close(holder.fd.raw());
        return outcome_of(holder.bound());
    });
    if (!is_skipped(answer))
        CHECK_THAT(answer, ContainsSubstring("is held by a process of user 0 that we may not look into"));
}

TEST_CASE("an address that no interface has is refused, with free_bind it is bound, and once it is there too",
          "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        auto const address = tcp("198.51.100.7", 8080);
        std::string told = outcome_of(address) + "\n" + outcome_of(address, true) + "\n";
        if (!add_address("198.51.100.7"))
            return "skipped: no address can be given to lo";
        return told + outcome_of(address);
    });
    if (!is_skipped(answer))
        CHECK(answer ==
              "EADDRNOTAVAIL: no interface has this address now; it is tried again, or set free_bind = "
              "true\nbound\nbound");
}

TEST_CASE("an IPv6 address that no interface has is bound with free_bind only", "[socket]") {
    CHECK_THAT(outcome_of(tcp("2001:db8::7")), ContainsSubstring("EADDRNOTAVAIL: no interface"));
    CHECK(outcome_of(tcp("2001:db8::7"), true) == "bound");
}

TEST_CASE("a zone without an interface is refused", "[socket]") {
    auto const error = bind_error(spec_of(tcp("fe80::1%nowhere", 8080)));
    CHECK(error.code == ENODEV);
    CHECK_THAT(error.advice, ContainsSubstring("no network interface \"nowhere\""));
}

TEST_CASE("a link-local address without a zone is refused with the form that it needs", "[socket]") {
    auto const error = bind_error(spec_of(tcp("fe80::1", 8080)));
    CHECK(error.code == EINVAL);
    CHECK_THAT(error.advice, ContainsSubstring("[fe80::1%eth0]:8080"));
}

TEST_CASE("a host that is not numeric is refused", "[socket]") {
    CHECK(bind_error(spec_of(tcp("localhost", 8080))).code == EINVAL);
    CHECK(bind_error(spec_of(tcp("1:2:x", 8080))).code == EINVAL);
}

TEST_CASE("a privileged port without the right says which right and which setting", "[socket]") {
    // In a network namespace of his own an ordinary user would have the right.
    auto const in_network = ::geteuid() == 0 ? in_own_network : in_child;
    auto const answer = in_network([]() -> std::string {
        std::string setting;
        std::ifstream{port_start} >> setting;
        if (setting != "1024" && !write_setting(port_start, "1024"))
            return "skipped: net.ipv4.ip_unprivileged_port_start is " + setting + " and cannot be set here";
        if (::geteuid() == 0 && !become_nobody())
            return "skipped: cannot become nobody";
        return outcome_of(tcp("127.0.0.1", 80));
    });
    if (!is_skipped(answer))
        CHECK(
            answer ==
            "EACCES: ports below 1024 need a right: give holdfastd CAP_NET_BIND_SERVICE (run it as root, or "
            "AmbientCapabilities= in its systemd unit), or lower net.ipv4.ip_unprivileged_port_start to "
            "80");
}

TEST_CASE("an ordinary user binds a low port where ip_unprivileged_port_start allows it", "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        if (!write_setting(port_start, "80"))
            return "skipped: net.ipv4.ip_unprivileged_port_start cannot be set here";
        if (::geteuid() != 0 || !become_nobody())
            return "skipped: only root can become a user without rights";
        return outcome_of(tcp("127.0.0.1", 80)) + "\n" + outcome_of(tcp("127.0.0.1", 79));
    });
    if (!is_skipped(answer))
        CHECK_THAT(answer, ContainsSubstring("bound\nEACCES: ports below 80 need"));
}

TEST_CASE("no descriptor left is said in words", "[socket]") {
    auto const answer = in_child([]() -> std::string {
        rlimit const none{3, 3};
        if (::setrlimit(RLIMIT_NOFILE, &none) < 0)
            return "skipped: the limit of descriptors cannot be lowered";
        return outcome_of(tcp("127.0.0.1"));
    });
    if (!is_skipped(answer))
        CHECK_THAT(answer, ContainsSubstring("EMFILE: holdfastd has no descriptor left"));
}

TEST_CASE("an error of a bind reads as one sentence with the socket's name", "[socket]") {
    CHECK(to_string(bind_error(spec_of(unix_at("/nonexistent/web.sock"), "admin"))) ==
          "admin: cannot bind unix:/nonexistent/web.sock: No such file or directory; the folder /nonexistent "
          "does not "
          "exist: create it first");
}

TEST_CASE("a thousand ports in use are refused quickly", "[socket]") {
    auto const holder = bind_one(spec_of(tcp("127.0.0.1")));
    auto const spec = spec_of(holder.bound());
    // The walk through /proc that names the holder is rationed to 200 ms in ten seconds. In a child, because
    // the ration is the process's, and other tests here want to see the name.
    auto const answer = in_child([&]() -> std::string {
        auto const start = MonotonicTime::now();
        int refused = 0;
        for (int i = 0; i < 1000; ++i)
            refused += bind_listener(spec, spec.listen[0]) ? 0 : 1;
        bool const is_quick = MonotonicTime::now() - start < std::chrono::seconds{5};
        return std::to_string(refused) + (is_quick ? " quickly" : " slowly");
    });
    CHECK(answer == "1000 quickly");
}
