// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "socket/connection.h"
#include "socket/listener.h"

#include <algorithm>
#include <cerrno>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using Kind = RemotePeer::Kind;

namespace {

RemotePeer ip_peer(char const* address, std::uint16_t port) {
    RemotePeer peer;
    peer.port = port;
    if (::inet_pton(AF_INET, address, peer.address.data()) == 1)
        peer.kind = Kind::IPv4;
    else if (::inet_pton(AF_INET6, address, peer.address.data()) == 1)
        peer.kind = Kind::IPv6;
    return peer;
}

RemotePeer unix_peer(uid_t uid, pid_t pid, std::string name = {}) {
    RemotePeer peer;
    peer.kind = Kind::Unix;
    peer.uid = uid;
    peer.gid = uid;
    peer.pid = pid;
    peer.unix_name = std::move(name);
    return peer;
}

Listener listener_at(char const* address) {
    SocketSpec socket;
    socket.name = "test";
    socket.non_blocking = true;
    auto const parsed = parse_address(address);
    REQUIRE(parsed);
    auto bound = bind_listener(socket, *parsed);
    REQUIRE(bound);
    return std::move(bound).value();
}

UniqueFd client_of(std::uint16_t port) {
    UniqueFd client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(client.raw(), reinterpret_cast<sockaddr const*>(&to), sizeof to) == 0);
    return client;
}

} // namespace

TEST_CASE("a peer is said in words that say all of it and nothing else", "[socket]") {
    for (auto const& peer : {ip_peer("10.0.0.1", 5123), ip_peer("2001:db8::1", 65535), unix_peer(1000, 42),
                             unix_peer(static_cast<uid_t>(-1), 0), RemotePeer{}}) {
        INFO(to_string(peer));
        CHECK(to_word(peer).size() <= 37);
        CHECK(to_word(peer).find(' ') == std::string::npos);
        REQUIRE(peer_of_word(to_word(peer)));
        CHECK(*peer_of_word(to_word(peer)) == peer);
    }
    for (auto const* word : {"", "c", "c0a0000011", "c0a00000114zz", "u00", "7", "0 1 2", "x7"})
        CHECK_FALSE(peer_of_word(word));
}

TEST_CASE("a peer is called by its address, or by its user and process", "[socket]") {
    CHECK(to_string(ip_peer("10.0.0.1", 5123)) == "10.0.0.1:5123");
    CHECK(to_string(ip_peer("2001:db8::1", 5123)) == "[2001:db8::1]:5123");
    CHECK(to_string(unix_peer(1000, 42)) == "uid1000.pid42");
}

TEST_CASE("its program is told what there is to tell", "[socket]") {
    using Texts = std::vector<std::string>;
    CHECK(variables_of(ip_peer("10.0.0.1", 5123)) == Texts{"REMOTE_ADDR=10.0.0.1", "REMOTE_PORT=5123"});
    CHECK(variables_of(ip_peer("::1", 7)) == Texts{"REMOTE_ADDR=::1", "REMOTE_PORT=7"});
    CHECK(variables_of(unix_peer(1000, 42)) == Texts{"REMOTE_UID=1000", "REMOTE_GID=1000", "REMOTE_PID=42"});
    CHECK(variables_of(unix_peer(0, 1, "@me")).front() == "REMOTE_ADDR=@me");
    CHECK(variables_of({}).empty());
}

TEST_CASE("IPv6 is one source by its first 64 bits, IPv4 by its address, unix by user", "[socket]") {
    auto const source = [](char const* address) { return source_of(ip_peer(address, 1)); };
    CHECK(source("2001:db8:0:1::1") == source("2001:db8:0:1:ffff::2"));
    CHECK_FALSE(source("2001:db8:0:1::1") == source("2001:db8:0:2::1"));
    CHECK_FALSE(source("10.0.0.1") == source("10.0.0.2"));
    CHECK(source_of(unix_peer(1000, 1)) == source_of(unix_peer(1000, 2)));
    CHECK_FALSE(source_of(unix_peer(1000, 1)) == source_of(unix_peer(1001, 1)));
    CHECK_FALSE(source_of(unix_peer(7, 1)) == source("0.0.0.7"));
}

TEST_CASE("accepting never waits, and an IPv4 peer of an IPv6 listener is IPv4", "[socket]") {
    for (auto const* address : {"127.0.0.1:0", "[::]:0"}) {
        INFO(address);
        auto const listener = listener_at(address);
        auto const nobody = accept_connection(listener.fd, false);
        REQUIRE_FALSE(nobody);
        CHECK(nobody.error().code == EAGAIN);
        auto const client = client_of(listener.port);
        auto const accepted = accept_connection(listener.fd, false);
        REQUIRE(accepted);
        CHECK(accepted->peer.kind == Kind::IPv4);
        CHECK(address_text(accepted->peer) == "127.0.0.1");
        CHECK((::fcntl(accepted->fd.raw(), F_GETFL) & O_NONBLOCK) == 0);
        CHECK((::fcntl(accepted->fd.raw(), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("who has reset his connection before it was accepted is nobody", "[socket]") {
    auto const listener = listener_at("127.0.0.1:0");
    auto gone = client_of(listener.port);
    linger const at_once{1, 0};
    REQUIRE(::setsockopt(gone.raw(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    gone.reset();
    auto half_closed = client_of(listener.port);
    REQUIRE(::shutdown(half_closed.raw(), SHUT_WR) == 0); // as of one who has asked and waits for the answer
    auto const lost = accept_connection(listener.fd, false);
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code == ECONNABORTED);
    CHECK(accept_connection(listener.fd, false));
    auto const nobody = accept_connection(listener.fd, false);
    REQUIRE_FALSE(nobody);
    CHECK(nobody.error().code == EAGAIN);
}

TEST_CASE("who is refused hears a reset, not an end", "[socket]") {
    auto const listener = listener_at("127.0.0.1:0");
    auto const client = client_of(listener.port);
    auto accepted = accept_connection(listener.fd, false);
    REQUIRE(accepted);
    reset_connection(std::move(accepted).value());
    char byte = 0;
    CHECK(::read(client.raw(), &byte, 1) < 0);
    CHECK(errno == ECONNRESET);
}
