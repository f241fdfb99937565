// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "socket/plan.h"
#include "support.h"

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// "keep http", "change web (backlog 128 -> 4096)", "keep web [non_blocking false -> true]": a plan to
/// compare.
std::vector<std::string> told(std::vector<ListenerStep> const& steps) {
    std::vector<std::string> lines;
    for (auto const& step : steps) {
        std::string line = std::string{to_name(step.action)} + " " + step.name + " " + step.address.host +
                           ":" + std::to_string(step.address.port);
        for (auto const& why : step.why)
            line += " (" + why + ")";
        for (auto const& deferred : step.deferred)
            line += " [" + deferred + "]";
        lines.push_back(line);
    }
    return lines;
}

using Lines = std::vector<std::string>;

} // namespace

TEST_CASE("sockets that did not change are kept", "[socket]") {
    std::vector const sockets{spec_of(tcp("0.0.0.0", 80)), spec_of(unix_at("/run/a"), "admin")};
    CHECK(told(plan_listeners(sockets, sockets)) == Lines{"keep web 0.0.0.0:80", "keep admin /run/a:0"});
}

TEST_CASE("a unit without sockets has an empty plan", "[socket]") {
    CHECK(plan_listeners({}, {}).empty());
}

TEST_CASE("a new address is added and a missing one removed, in the order of the new sockets, removals last",
          "[socket]") {
    SocketSpec now = spec_of(tcp("0.0.0.0", 80));
    now.listen = {tcp("0.0.0.0", 80), tcp("0.0.0.0", 81), tcp("0.0.0.0", 82)};
    SocketSpec wanted = now;
    wanted.listen = {tcp("0.0.0.0", 83), tcp("0.0.0.0", 82)};
    CHECK(told(plan_listeners({now}, {wanted})) == Lines{"add web 0.0.0.0:83", "keep web 0.0.0.0:82",
                                                         "remove web 0.0.0.0:80", "remove web 0.0.0.0:81"});
}

TEST_CASE("a socket with another name at the same address is a change, not a new socket", "[socket]") {
    CHECK(told(plan_listeners({spec_of(tcp("::1", 80), "http")}, {spec_of(tcp("::1", 80), "web")})) ==
          Lines{"change web ::1:80 (name http -> web)"});
}

TEST_CASE("the same name at another address is a new socket", "[socket]") {
    CHECK(told(plan_listeners({spec_of(tcp("::1", 80))}, {spec_of(tcp("::1", 81))})) ==
          Lines{"add web ::1:81", "remove web ::1:80"});
}

TEST_CASE("the old name is told of a removed socket", "[socket]") {
    CHECK(told(plan_listeners({spec_of(tcp("::1", 80), "old")}, {})) == Lines{"remove old ::1:80"});
}

TEST_CASE("addresses of another family or transport are other sockets", "[socket]") {
    auto const now = spec_of(tcp("", 80));
    CHECK(told(plan_listeners({now}, {spec_of(tcp("::", 80))})) == Lines{"add web :::80", "remove web :80"});
    CHECK(told(plan_listeners({now}, {spec_of(tcp("0.0.0.0", 80))})) ==
          Lines{"add web 0.0.0.0:80", "remove web :80"});
    CHECK(told(plan_listeners({now}, {spec_of(udp("", 80))})) == Lines{"add web :80", "remove web :80"});
    CHECK(told(plan_listeners({spec_of(unix_at("/run/a"))}, {spec_of(unix_at("@/run/a"))})) ==
          Lines{"add web @/run/a:0", "remove web /run/a:0"});
}

TEST_CASE("sockets that change places keep their listeners", "[socket]") {
    auto const a = spec_of(tcp("::1", 80), "a");
    auto const b = spec_of(tcp("::1", 81), "b");
    CHECK(told(plan_listeners({a, b}, {b, a})) == Lines{"keep b ::1:81", "keep a ::1:80"});
}

TEST_CASE("an address that moves to another socket table takes over that one's settings", "[socket]") {
    SocketSpec now = spec_of(tcp("::1", 80), "a");
    SocketSpec wanted = spec_of(tcp("::1", 80), "b");
    wanted.backlog = 7;
    CHECK(told(plan_listeners({now}, {wanted})) ==
          Lines{"change b ::1:80 (name a -> b) (backlog 4096 -> 7)"});
}

TEST_CASE("a changed backlog is a change of a stream and nothing to a datagram socket", "[socket]") {
    auto stream = spec_of(tcp("::1", 80));
    auto datagram = spec_of(udp("::1", 80));
    auto const before = std::vector{stream, datagram};
    stream.backlog = datagram.backlog = 128;
    CHECK(told(plan_listeners(before, {stream, datagram})) ==
          Lines{"change web ::1:80 (backlog 4096 -> 128)", "keep web ::1:80"});
}

TEST_CASE("a changed mode is a change of a unix path and nothing to any other socket", "[socket]") {
    std::vector now{spec_of(unix_at("/run/a")), spec_of(unix_at("@a")), spec_of(tcp("::1", 80))};
    auto wanted = now;
    for (auto& socket : wanted)
        socket.socket_mode = 0600;
    CHECK(told(plan_listeners(now, wanted)) ==
          Lines{"change web /run/a:0 (socket_mode 0666 -> 0600)", "keep web @a:0", "keep web ::1:80"});
}

TEST_CASE("what a bound socket cannot take over is kept and told", "[socket]") {
    auto const now = spec_of(tcp("::1", 80));
    auto wanted = now;
    wanted.free_bind = true;
    wanted.non_blocking = true;
    CHECK(told(plan_listeners({now}, {wanted})) ==
          Lines{"keep web ::1:80 [free_bind false -> true] [non_blocking false -> true]"});
    wanted.backlog = 1;
    wanted.non_blocking = false;
    CHECK(told(plan_listeners({now}, {wanted})) ==
          Lines{"change web ::1:80 (backlog 4096 -> 1) [free_bind false -> true]"});
}

TEST_CASE("an address listed twice is matched once each", "[socket]") {
    SocketSpec now = spec_of(tcp("::1", 0));
    SocketSpec wanted = now;
    wanted.listen.push_back(tcp("::1", 0));
    CHECK(told(plan_listeners({now}, {wanted})) == Lines{"keep web ::1:0", "add web ::1:0"});
    CHECK(told(plan_listeners({wanted}, {now})) == Lines{"keep web ::1:0", "remove web ::1:0"});
}
