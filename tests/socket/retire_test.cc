// SPDX-License-Identifier: Apache-2.0
// The end of a listener: nobody new, nobody lost; and a listener that a worker shut down.
#include "catch.h"
#include "socket/inspect.h"
#include "socket/retire.h"
#include "support.h"

#include <cerrno>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::uint32_t waiting_in(Listener const& listener) {
    auto const count = count_waiting(listener);
    if (!count)
        FAIL(to_string(count.error()));
    QueueSnapshot snapshot;
    CHECK(count_waiting(listener, snapshot).value() == *count);
    return *count;
}

bool is_connected(FdRef client) {
    int error = -1;
    socklen_t length = sizeof error;
    pollfd seen{client.raw(), POLLOUT, 0};
    return ::poll(&seen, 1, 0) == 1 && (seen.revents & POLLERR) == 0 &&
           ::getsockopt(client.raw(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

UniqueFd accept_from(Listener const& listener) {
    return UniqueFd{::accept4(listener.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
}

/// Two-way traffic over the first connection that waits.
bool serves(Listener const& listener, FdRef client) {
    UniqueFd const served = accept_from(listener);
    char byte = 0;
    pollfd seen{served.raw(), POLLIN, 0};
    return ::send(client.raw(), "x", 1, MSG_NOSIGNAL) == 1 && ::poll(&seen, 1, 5000) == 1 &&
           ::recv(served.raw(), &byte, 1, 0) == 1;
}

int keep(Listener& listener) {
    auto const kept = keep_listening(listener, 16);
    if (!kept)
        FAIL(to_string(kept.error()));
    return *kept ? 1 : 0;
}

} // namespace

TEST_CASE("a TCP listener that turns clients away lets in nobody new and loses nobody who waits",
          "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), tcp("")}) {
        auto listener = bind_one(spec_of(address));
        auto const target = tcp(address.host.empty() ? "127.0.0.1" : address.host, listener.port);
        auto const early = connect_to(target);
        REQUIRE(early.is_open());
        REQUIRE(turn_clients_away(listener));
        auto const late = connect_to(target, true);
        CHECK_FALSE(is_connected(late));
        CHECK(waiting_in(listener) == 1);
        CHECK(serves(listener, early));
        CHECK(waiting_in(listener) == 0);
        CHECK_FALSE(is_connected(late));
    }
}

TEST_CASE("a connection accepted after clients are turned away is an ordinary one", "[socket]") {
    auto listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto client = connect_to(listener.bound());
    REQUIRE(turn_clients_away(listener));
    UniqueFd const served = accept_from(listener);
    std::string const much(100000, 'x');
    std::size_t received = 0;
    char buffer[65536];
    REQUIRE(::send(client.raw(), much.data(), much.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(much.size()));
    client.reset();
    CHECK(eventually([&] {
        ssize_t const count = ::recv(served.raw(), buffer, sizeof buffer, 0);
        received += count > 0 ? static_cast<std::size_t>(count) : 0;
        return count == 0;
    }));
    CHECK(received == much.size());
}

TEST_CASE("a handshake under way when clients are turned away still gets in, with and without root's rights",
          "[socket]") {
    bool const drops_rights = GENERATE(false, true);
    auto const answer = in_child([&]() -> std::string {
        if (drops_rights && ::geteuid() == 0 && !become_nobody())
            return "skipped: cannot become nobody";
        std::string told;
        for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), tcp("")}) {
            auto listener = bind_one(spec_of(address));
            int const seconds = 10;
            ::setsockopt(listener.fd.raw(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
            auto const target = tcp(address.host.empty() ? "127.0.0.1" : address.host, listener.port);
            auto const early = connect_to(target);
            if (auto const away = turn_clients_away(listener); !away)
                return to_string(away.error());
            auto const late = connect_to(target, true);
            bool const is_sent = ::send(early.raw(), "x", 1, MSG_NOSIGNAL) == 1;
            bool const is_in = is_sent && eventually([&] {
                                   return inspect_queue(listener.fd, Transport::Tcp).value().waiting == 1;
                               });
            told += is_in && serves(listener, early) && !is_connected(late) ? "served " : "lost ";
        }
        return told;
    });
    if (!is_skipped(answer))
        CHECK(answer == "served served served ");
}

TEST_CASE("a handshake under way counts as waiting though the accept queue is empty", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("0.0.0.0"), tcp("")}) {
        auto const listener = bind_one(spec_of(address));
        // With it the kernel keeps a connection in SYN_RECV until its first data arrive.
        int const seconds = 10;
        REQUIRE(::setsockopt(listener.fd.raw(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) ==
                0);
        auto const client = connect_to(tcp("127.0.0.1", listener.port));
        REQUIRE(client.is_open());
        CHECK(inspect_queue(listener.fd, Transport::Tcp).value().waiting == 0);
        CHECK(waiting_in(listener) == 1);
        REQUIRE(::send(client.raw(), "x", 1, MSG_NOSIGNAL) == 1);
        CHECK(eventually([&] { return inspect_queue(listener.fd, Transport::Tcp).value().waiting == 1; }));
        CHECK(waiting_in(listener) == 1);
    }
}

TEST_CASE("handshakes with another address or port do not count", "[socket]") {
    auto const other = bind_one(spec_of(tcp("127.0.0.2")));
    int const seconds = 10;
    REQUIRE(::setsockopt(other.fd.raw(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) == 0);
    auto const same_port = bind_one(spec_of(tcp("127.0.0.1", other.port)));
    auto const same_host = bind_one(spec_of(tcp("127.0.0.2")));
    auto const client = connect_to(other.bound());
    CHECK(waiting_in(other) == 1);
    CHECK(waiting_in(same_port) == 0);
    CHECK(waiting_in(same_host) == 0);
}

TEST_CASE("a unix path that turns clients away is gone, and those who wait are served", "[socket]") {
    TempFolder const folder;
    auto listener = bind_one(spec_of(unix_at(folder / "web.sock")));
    auto const early = connect_to(listener.wanted);
    REQUIRE(turn_clients_away(listener));
    CHECK(folder.names().empty());
    CHECK(waiting_in(listener) == 1);
    CHECK(serves(listener, early));
    CHECK(waiting_in(listener) == 0);
}

TEST_CASE("a path bound anew while the old listener leaves stays when that one is given up", "[socket]") {
    TempFolder const folder;
    auto leaving = bind_one(spec_of(unix_at(folder / "web.sock")));
    REQUIRE(turn_clients_away(leaving));
    auto const fresh = bind_one(spec_of(unix_at(folder / "web.sock")));
    give_up(std::move(leaving));
    CHECK(connect_to(fresh.wanted).is_open());
}

TEST_CASE("a UDP socket that turns clients away keeps what it has and takes nothing more", "[socket]") {
    auto listener = bind_one(spec_of(udp("127.0.0.1")));
    auto const client = connect_to(listener.bound());
    REQUIRE(::send(client.raw(), "a", 1, 0) == 1);
    REQUIRE(eventually([&] { return waiting_in(listener) > 0; }));
    REQUIRE(turn_clients_away(listener));
    REQUIRE(::send(client.raw(), "b", 1, 0) == 1);
    char byte = 0;
    CHECK(::recv(listener.fd.raw(), &byte, 1, MSG_DONTWAIT) == 1);
    CHECK(byte == 'a');
    CHECK(::recv(listener.fd.raw(), &byte, 1, MSG_DONTWAIT) == -1);
    CHECK(waiting_in(listener) == 0);
}

TEST_CASE("an abstract name cannot be closed to clients, which is said", "[socket]") {
    auto listener = bind_one(spec_of(unix_at("@holdfast-retire-" + std::to_string(::getpid()))));
    auto const outcome = turn_clients_away(listener);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == EOPNOTSUPP);
}

TEST_CASE("a listener that listens is left alone", "[socket]") {
    TempFolder const folder;
    for (auto const& address : {tcp("127.0.0.1"), unix_at(folder / "web.sock"), udp("127.0.0.1")}) {
        auto listener = bind_one(spec_of(address));
        int const before = listener.fd.raw();
        auto const client = connect_to(listener.bound());
        CHECK(keep(listener) == 0);
        CHECK(listener.fd.raw() == before);
    }
}

TEST_CASE("a TCP listener that a worker shut down listens again on its port", "[socket]") {
    std::uint16_t asked_for = 0;
    { asked_for = bind_one(spec_of(tcp("127.0.0.1"))).port; }
    for (auto const& address : {tcp("127.0.0.1"), tcp("127.0.0.1", asked_for), tcp("")}) {
        auto listener = bind_one(spec_of(address));
        REQUIRE(::shutdown(listener.fd.raw(), SHUT_RDWR) == 0);
        CHECK_FALSE(connect_to(tcp("127.0.0.1", listener.port)).is_open());
        auto const port = listener.port;
        CHECK(keep(listener) == 1);
        CHECK(listener.port == port);
        auto const client = connect_to(tcp("127.0.0.1", port));
        REQUIRE(client.is_open());
        CHECK(serves(listener, client));
        CHECK(keep(listener) == 0);
    }
}

TEST_CASE("a unix listener that a worker shut down is made anew with its name and mode", "[socket]") {
    TempFolder const folder;
    for (auto const& address :
         {unix_at(folder / "web.sock"), unix_at("@holdfast-mend-" + std::to_string(::getpid()))}) {
        auto spec = spec_of(address);
        spec.socket_mode = 0640;
        spec.non_blocking = true;
        auto listener = bind_one(spec);
        auto const descriptors = open_descriptors().size();
        REQUIRE(::shutdown(listener.fd.raw(), SHUT_RDWR) == 0);
        CHECK_FALSE(connect_to(address).is_open());
        CHECK(keep(listener) == 1);
        auto const client = connect_to(address);
        REQUIRE(client.is_open());
        CHECK(serves(listener, client));
        CHECK(name_of(listener.fd) == address.host);
        CHECK((::fcntl(listener.fd.raw(), F_GETFL) & O_NONBLOCK) != 0);
        CHECK(keep(listener) == 0);
        CHECK(open_descriptors().size() == descriptors + 1); // the client
    }
    struct stat status {};
    REQUIRE(::stat((folder / "web.sock").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("an abstract name that a worker still holds shut down is mended once that worker has gone",
          "[socket]") {
    auto listener = bind_one(spec_of(unix_at("@holdfast-shared-" + std::to_string(::getpid()))));
    UniqueFd workers{::fcntl(listener.fd.raw(), F_DUPFD_CLOEXEC, 0)};
    REQUIRE(::shutdown(workers.raw(), SHUT_RDWR) == 0);
    auto const refused = keep_listening(listener, 16);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EADDRINUSE);
    CHECK(listener.fd.is_open());
    workers.reset();
    CHECK(keep(listener) == 1);
    CHECK(connect_to(listener.wanted).is_open());
}
