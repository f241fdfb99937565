// SPDX-License-Identifier: Apache-2.0
// Who holds an address: this very process is the one to be found.
#include "catch.h"
#include "socket/inspect.h"
#include "support.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

bool is_held_by_us(ListenAddress const& address) {
    auto const holders = find_holders(address);
    return holders.size() == 1 && holders[0].pid == ::getpid() && holders[0].command == own_command();
}

} // namespace

TEST_CASE("the holder of a TCP, UDP or unix address is found", "[socket]") {
    TempFolder const folder;
    for (auto const& address :
         {tcp("127.0.0.1"), tcp("::1"), tcp(""), tcp("::"), tcp("0.0.0.0"), udp("127.0.0.1"), udp("::1"),
          unix_at(folder / "web.sock"), unix_at("@holdfast-holder-" + std::to_string(::getpid()))}) {
        auto const listener = bind_one(spec_of(address));
        CHECK(is_held_by_us(listener.bound()));
    }
}

TEST_CASE("an address that nobody holds has no holder", "[socket]") {
    auto listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const address = listener.bound();
    give_up(std::move(listener));
    CHECK(find_holders(address).empty());
    CHECK(find_holders(unix_at("/nonexistent/web.sock")).empty());
    CHECK(find_holders(unix_at("@holdfast-nobody")).empty());
}

TEST_CASE("a wildcard holds every address of its family, and [::] those of IPv4 too", "[socket]") {
    auto const any4 = bind_one(spec_of(tcp("0.0.0.0")));
    CHECK(is_held_by_us(tcp("127.0.0.1", any4.port)));
    CHECK(is_held_by_us(tcp("", any4.port)));
    CHECK(find_holders(tcp("::1", any4.port)).empty());

    auto const both = bind_one(spec_of(tcp("")));
    CHECK(is_held_by_us(tcp("127.0.0.1", both.port)));
    CHECK(is_held_by_us(tcp("0.0.0.0", both.port)));
    CHECK(is_held_by_us(tcp("::1", both.port)));

    auto const one = bind_one(spec_of(tcp("127.0.0.1")));
    CHECK(is_held_by_us(tcp("0.0.0.0", one.port)));
    CHECK(is_held_by_us(tcp("", one.port)));
    CHECK(find_holders(tcp("127.0.0.2", one.port)).empty());
    CHECK(find_holders(udp("127.0.0.1", one.port)).empty());
}

TEST_CASE("an IPv6-only wildcard does not hold addresses of IPv4", "[socket]") {
    UniqueFd const only6{::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int const on = 1;
    REQUIRE(::setsockopt(only6.raw(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    socklen_t length = sizeof in;
    REQUIRE(::bind(only6.raw(), reinterpret_cast<sockaddr const*>(&in), sizeof in) == 0);
    REQUIRE(::listen(only6.raw(), 1) == 0);
    REQUIRE(::getsockname(only6.raw(), reinterpret_cast<sockaddr*>(&in), &length) == 0);
    CHECK(is_held_by_us(tcp("::1", ntohs(in.sin6_port))));
    CHECK(find_holders(tcp("127.0.0.1", ntohs(in.sin6_port))).empty());
}

TEST_CASE("a port held by the near end of a connection is found when nobody listens on it", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const client = connect_to(listener.bound());
    sockaddr_in in{};
    socklen_t length = sizeof in;
    REQUIRE(::getsockname(client.raw(), reinterpret_cast<sockaddr*>(&in), &length) == 0);
    CHECK(is_held_by_us(tcp("127.0.0.1", ntohs(in.sin_port))));
}

TEST_CASE("the search for a holder leaves nothing open", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const before = open_descriptors();
    CHECK(is_held_by_us(listener.bound()));
    CHECK(open_descriptors() == before);
}

TEST_CASE("an inherited listener names every process that has it", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const answer = in_child([&] { return std::to_string(find_holders(listener.bound()).size()); });
    CHECK(answer == "2");
}
