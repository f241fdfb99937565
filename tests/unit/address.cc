// SPDX-License-Identifier: Apache-2.0
#include "unit/address.h"

#include "catch.h"

using namespace holdfast;

namespace {

std::string canonical(std::string_view text) {
    auto const address = parse_address(text);
    return address ? to_string(*address) : "refused: " + address.error().doing;
}

} // namespace

TEST_CASE("an address is read and written in its canonical form", "[unit]") {
    CHECK(canonical("80") == "80");
    CHECK(canonical("tcp://80") == "80");
    CHECK(canonical("127.0.0.1:80") == "127.0.0.1:80");
    CHECK(canonical("tcp://127.0.0.1:80") == "127.0.0.1:80");
    CHECK(canonical("[0:0:0:0:0:0:0:1]:0") == "[::1]:0");
    CHECK(canonical("[FE80::1%eth0]:443") == "[fe80::1%eth0]:443");
    CHECK(canonical("udp://53") == "udp://53");
    CHECK(canonical("udp://[::]:53") == "udp://[::]:53");
    CHECK(canonical("unix:/run/a") == "unix:/run/a");
    CHECK(canonical("unix:///run/a") == "unix:/run/a");
    CHECK(canonical("/run//./a") == "unix:/run/a");
    CHECK(canonical("@a b") == "unix:@a b");
    CHECK(canonical("unix:@web") == "unix:@web");
    CHECK(canonical("inherit:http") == "inherit:http");
    CHECK(canonical("inherit:my web.socket:2") == "inherit:my web.socket:2");
}

TEST_CASE("an address knows what it is", "[unit]") {
    auto const any = parse_address("8080").value();
    CHECK(any.host.empty());
    CHECK(any.port == 8080);
    CHECK_FALSE(any.is_ipv6());
    CHECK(parse_address("[::1]:80").value().is_ipv6());
    CHECK(parse_address("udp://1.2.3.4:5").value().transport == Transport::Udp);
    CHECK(parse_address("@x").value().is_abstract());
    CHECK_FALSE(parse_address("/x").value().is_abstract());
    CHECK_FALSE(parse_address("unix:/a:b").value().is_ipv6());
}

TEST_CASE("a name that no passed socket can have is refused", "[unit]") {
    for (auto const* text : {"inherit:", "inherit::2", "inherit:a/b", "inherit:a:1", "inherit:a:x",
                             "inherit:a:2:3", "inherit:\xc3\xa4", "inherit:a\tb"}) {
        INFO(text);
        CHECK(!parse_address(text));
    }
    CHECK(!parse_address("inherit:" + std::string(101, 'n')));
}

TEST_CASE("a host name is refused with the advice that addresses are numeric", "[unit]") {
    auto const address = parse_address("localhost:80");
    REQUIRE(!address);
    CHECK_THAT(address.error().doing, ContainsSubstring("addresses are numeric"));
    CHECK_THAT(address.error().advice, ContainsSubstring("127.0.0.1:80"));
}

TEST_CASE("each form that is not built says so", "[unit]") {
    for (auto const* text :
         {"mptcp://80", "sctp://80", "udplite://80", "unix-dgram:/a", "unix-seqpacket:/a", "vsock:1:2",
          "netlink:route 1", "fifo:/a", "mqueue:/a", "special:/dev/a", "raw:1"}) {
        auto const address = parse_address(text);
        REQUIRE(!address);
        CHECK_THAT(address.error().doing, ContainsSubstring("not supported yet"));
    }
}

TEST_CASE("a unix path may have 107 bytes and no more", "[unit]") {
    CHECK(parse_address("/" + std::string(106, 'x')).has_value());
    CHECK(!parse_address("/" + std::string(107, 'x')).has_value());
    CHECK(parse_address("@" + std::string(107, 'x')).has_value());
    CHECK(!parse_address("@" + std::string(108, 'x')).has_value());
}

TEST_CASE("what is no address is refused", "[unit]") {
    for (auto const* text : {"",
                             " 80",
                             "80 ",
                             "+80",
                             "65536",
                             "1.2.3:80",
                             "01.2.3.4:80",
                             "[::1]80",
                             "[::1",
                             "[]:80",
                             "[::1%eth 0]:80",
                             "1.2.3.4:80:90",
                             "unix:",
                             "unix:@",
                             "@",
                             "/",
                             "//",
                             "/a/",
                             "/../a",
                             "unix:/a\nb",
                             "udp://",
                             "tcp://",
                             "://80"}) {
        INFO(text);
        CHECK(!parse_address(text).has_value());
    }
    CHECK(!parse_address(std::string_view{"/a\0b", 4}).has_value());
}
