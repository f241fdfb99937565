// SPDX-License-Identifier: Apache-2.0
// What a bound TCP, UDP or abstract listener is like.
#include "catch.h"
#include "support.h"

#include <cerrno>
#include <cstddef>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

bool is_non_blocking(FdRef fd) {
    return (::fcntl(fd.raw(), F_GETFL) & O_NONBLOCK) != 0;
}

/// Makes socket(AF_INET6, …) answer as on a kernel without IPv6, for the rest of this process.
bool lose_ipv6() {
    sock_filter const program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog const filter{.len = std::size(program), .filter = const_cast<sock_filter*>(program)};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

} // namespace

TEST_CASE("a TCP listener accepts at once on the port that the kernel chose and tells it", "[socket]") {
    for (std::string const host : {"127.0.0.1", "::1"}) {
        auto const listener = bind_one(spec_of(tcp(host)));
        CHECK(listener.name == "web");
        CHECK(listener.wanted == tcp(host));
        CHECK(listener.port != 0);
        CHECK(listener.bound() == tcp(host, listener.port));
        CHECK(name_of(listener.fd) == host);
        CHECK(connect_to(listener.bound()).is_open());
    }
}

TEST_CASE("a TCP listener is close-on-exec, may be bound again at once, and blocks unless told otherwise",
          "[socket]") {
    auto spec = spec_of(tcp("127.0.0.1"));
    auto const blocking = bind_one(spec);
    CHECK((::fcntl(blocking.fd.raw(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(option_of(blocking.fd, SOL_SOCKET, SO_REUSEADDR) == 1);
    CHECK_FALSE(is_non_blocking(blocking.fd));
    spec.non_blocking = true;
    CHECK(is_non_blocking(bind_one(spec).fd));
}

TEST_CASE("a port with connections in TIME_WAIT is bound again at once", "[socket]") {
    auto first = bind_one(spec_of(tcp("127.0.0.1")));
    auto const address = first.bound();
    auto client = connect_to(address);
    UniqueFd served{::accept4(first.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
    REQUIRE(served.is_open());
    served.reset(); // the server's side closes first, so it keeps TIME_WAIT
    client.reset();
    give_up(std::move(first));
    CHECK(bind_one(spec_of(address)).port == address.port);
}

TEST_CASE("a bare port takes both IPv4 and IPv6 clients, whatever bindv6only says", "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        UniqueFd const setting{::open("/proc/sys/net/ipv6/bindv6only", O_WRONLY | O_CLOEXEC)};
        if (!setting.is_open() || ::write(setting.raw(), "1", 1) != 1)
            return "skipped: net.ipv6.bindv6only cannot be set here";
        auto const both = bind_listener(spec_of(tcp("")), tcp(""));
        if (!both)
            return to_string(both.error());
        return std::string{connect_to(tcp("127.0.0.1", both->port)).is_open() ? "IPv4 " : ""} +
               (connect_to(tcp("::1", both->port)).is_open() ? "IPv6" : "");
    });
    if (!is_skipped(answer))
        CHECK(answer == "IPv4 IPv6");
}

TEST_CASE("a bare port is bound for IPv4 where the kernel has no IPv6", "[socket]") {
    auto const answer = in_child([]() -> std::string {
        if (!lose_ipv6())
            return "skipped: no system call filter can be set here";
        auto const listener = bind_listener(spec_of(tcp("")), tcp(""));
        if (!listener)
            return to_string(listener.error());
        auto const explicit_one = bind_listener(spec_of(tcp("::1")), tcp("::1"));
        return name_of(listener->fd) +
               (connect_to(tcp("127.0.0.1", listener->port)).is_open() ? " serves" : "") +
               (explicit_one ? ""
                             : "; " + std::string{errno_name(explicit_one.error().code)} +
                                   " for [::1]: " + explicit_one.error().advice);
    });
    if (!is_skipped(answer))
        CHECK(answer == "0.0.0.0 serves; EAFNOSUPPORT for [::1]: this kernel has IPv6 switched off");
}

TEST_CASE("an explicit IPv6 address takes IPv6 only, [::] what the system says", "[socket]") {
    CHECK(option_of(bind_one(spec_of(tcp("::1"))).fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
    UniqueFd const plain{::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK(option_of(bind_one(spec_of(tcp("::"))).fd, IPPROTO_IPV6, IPV6_V6ONLY) ==
          option_of(plain, IPPROTO_IPV6, IPV6_V6ONLY));
}

TEST_CASE("an IPv4 address written in IPv6 is bound", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("::ffff:127.0.0.1")));
    CHECK(connect_to(tcp("127.0.0.1", listener.port)).is_open());
}

TEST_CASE("a zone is an interface's name or number", "[socket]") {
    CHECK(name_of(bind_one(spec_of(tcp("::1%lo"))).fd) == "::1");
    CHECK(name_of(bind_one(spec_of(tcp("::1%1"))).fd) == "::1");
}

TEST_CASE("a UDP socket receives on the port that the kernel chose and is shared with nobody", "[socket]") {
    auto const listener = bind_one(spec_of(udp("127.0.0.1")));
    CHECK(option_of(listener.fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);
    CHECK(option_of(listener.fd, SOL_SOCKET, SO_REUSEADDR) == 0);
    auto const client = connect_to(listener.bound());
    REQUIRE(::send(client.raw(), "hello", 5, 0) == 5);
    char text[8] = {};
    CHECK(::recv(listener.fd.raw(), text, sizeof text, 0) == 5);
    CHECK(bind_error(spec_of(listener.bound())).code == EADDRINUSE);
}

TEST_CASE("TCP and UDP may have the same port", "[socket]") {
    auto const stream = bind_one(spec_of(tcp("127.0.0.1")));
    CHECK(bind_one(spec_of(udp("127.0.0.1", stream.port))).port == stream.port);
}

TEST_CASE("an abstract unix socket serves and vanishes with its descriptor", "[socket]") {
    auto const spec = spec_of(unix_at("@holdfast-test-" + std::to_string(::getpid())));
    auto first = bind_one(spec);
    CHECK(first.path_inode == 0);
    CHECK(name_of(first.fd) == spec.listen[0].host);
    CHECK(connect_to(spec.listen[0]).is_open());
    CHECK(bind_error(spec).code == EADDRINUSE);
    give_up(std::move(first));
    CHECK(bind_one(spec).fd.is_open());
}

TEST_CASE("the backlog in force is what the kernel makes of the wanted one", "[socket]") {
    auto const cap = somaxconn();
    REQUIRE(cap);
    CHECK(effective_backlog(1) == 1);
    CHECK(effective_backlog(*cap + 1) == *cap);
    CHECK(effective_backlog(-1) == *cap);
    auto const answer = in_own_network([]() -> std::string {
        UniqueFd const setting{::open("/proc/sys/net/core/somaxconn", O_WRONLY | O_CLOEXEC)};
        if (!setting.is_open() || ::write(setting.raw(), "17", 2) != 2)
            return "skipped: net.core.somaxconn cannot be set here";
        bool const is_seen = eventually([] { return effective_backlog(4096) == 17; });
        return std::to_string(somaxconn().value_or(0)) + (is_seen ? " seen " : " unseen ") +
               std::to_string(effective_backlog(5));
    });
    if (!is_skipped(answer))
        CHECK(answer == "17 seen 5");
}

TEST_CASE("a bound listener takes over another backlog and name while connections wait", "[socket]") {
    auto spec = spec_of(tcp("127.0.0.1"));
    auto listener = bind_one(spec);
    auto const client = connect_to(listener.bound());
    spec.backlog = 3;
    spec.name = "http";
    REQUIRE(change_in_place(listener, spec));
    CHECK(listener.name == "http");
    tcp_info info{};
    socklen_t length = sizeof info;
    REQUIRE(::getsockopt(listener.fd.raw(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
    CHECK(info.tcpi_sacked == 3);
    CHECK(UniqueFd{::accept4(listener.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open());
}

TEST_CASE("a datagram socket takes over another name", "[socket]") {
    auto listener = bind_one(spec_of(udp("127.0.0.1")));
    REQUIRE(change_in_place(listener, spec_of(udp("127.0.0.1"), "dns")));
    CHECK(listener.name == "dns");
}
