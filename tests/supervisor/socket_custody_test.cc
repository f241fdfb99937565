// SPDX-License-Identifier: Apache-2.0
// Listeners of a unit: held, tried again, changed, given up, watched and mended.
#include "harness.h"
#include "supervisor/addresses.h"
#include "supervisor/socket_custody.h"

#include <filesystem>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

UnitSpecPtr spec_with(std::string const& sockets) {
    return unit_of("web", sockets + service(runs));
}

struct Custody : OneUnit {
    explicit Custody(std::string const& socket_lines) : spec{spec_with(socket_lines)} {}
    bool hold() {
        return sockets.hold(spec, [this] { ++all_held; });
    }
    Outcome change(std::string const& to, bool is_served = true, Duration deadline = 10s) {
        auto const changed = spec_with(to);
        auto bound = sockets.bind_new(*changed, {}, true);
        if (!bound)
            return bound.error();
        sockets.take_over(changed, std::move(bound).value());
        sockets.retire_unlisted(*changed, is_served, deadline, [this] { ++retired; });
        return {};
    }
    [[nodiscard]] std::string told(std::string const& kind) const {
        std::string texts;
        for (auto const& event : shared.events.recent())
            if (event.kind == kind)
                texts += event.text + "\n";
        return texts;
    }
    [[nodiscard]] std::uint16_t port(std::size_t i) const { return sockets.held().at(i).port; }

    UnitSpecPtr spec;
    SocketCustody sockets{shared, 1, spec};
    int all_held = 0;
    int retired = 0;
};

UniqueFd accept_from(FdRef listener) {
    return UniqueFd{::accept4(listener.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
}

} // namespace

TEST_CASE("an address in use is tried again, and the unit is told once when all is held", "[supervisor]") {
    UniqueFd other = listen_on_loopback();
    auto const port = port_of(other);
    Custody custody{tcp_socket("a", 0) + tcp_socket("b", port)};
    CHECK(!custody.hold());
    CHECK(custody.sockets.held().size() == 1);
    REQUIRE(custody.sockets.failed().size() == 1);
    CHECK(custody.sockets.failed().front().name == "b");
    CHECK(custody.sockets.failed().front().error.code == EADDRINUSE);
    CHECK_THAT(custody.told("socket-failed"), ContainsSubstring(std::to_string(port)));
    auto const first = custody.sockets.held().front().fd.raw();

    other.reset();
    REQUIRE(custody.until([&] { return custody.all_held > 0; }));
    custody.settle();
    CHECK(custody.all_held == 1);
    CHECK(custody.sockets.is_complete());
    CHECK(custody.sockets.held().front().fd.raw() == first); // what was held is the same
    CHECK(connect_to(port).is_open());
    CHECK(custody.told("sockets-held") == "all sockets are held now\n");
}

TEST_CASE("asking again does not put the next try off, nor tell the failure again", "[supervisor]") {
    // Each `holdfast start` doubled the delay, so that who asked often enough waited half a minute.
    UniqueFd other = listen_on_loopback();
    Custody custody{tcp_socket("a", port_of(other))};
    for (int i = 0; i < 6; ++i)
        CHECK(!custody.hold());
    auto const told = custody.told("socket-failed");
    CHECK(std::count(told.begin(), told.end(), '\n') == 1);
    other.reset();
    CHECK(custody.until([&] { return custody.all_held > 0; }, 4s));
}

TEST_CASE("a change that cannot be had in full changes nothing", "[supervisor]") {
    UniqueFd const other = listen_on_loopback();
    UniqueFd free = listen_on_loopback();
    auto const free_port = port_of(free);
    free.reset();
    Custody custody{tcp_socket("a", 0)};
    REQUIRE(custody.hold());
    auto const outcome = custody.change(tcp_socket("b", free_port) + tcp_socket("c", port_of(other)));
    REQUIRE(!outcome);
    CHECK(outcome.error().code == EADDRINUSE);
    custody.settle();
    REQUIRE(custody.sockets.held().size() == 1);
    CHECK(custody.sockets.held().front().name == "a");
    CHECK(custody.retired == 0);
    CHECK(listen_on_loopback(free_port).is_open()); // given up again
}

TEST_CASE("a listener that stays keeps its descriptor and what waits in it", "[supervisor]") {
    UniqueFd reserved = listen_on_loopback();
    auto const port = port_of(reserved);
    reserved.reset();
    Custody custody{tcp_socket("a", port)};
    REQUIRE(custody.hold());
    auto const fd = custody.sockets.held().front().fd.raw();
    UniqueFd const client = connect_to(port);
    REQUIRE(client.is_open());
    REQUIRE(custody.change("[[socket]]\nname = \"renamed\"\nbacklog = 10\nlisten = \"127.0.0.1:" +
                           std::to_string(port) + "\"\n"));
    REQUIRE(custody.until([&] { return custody.retired == 1; }));
    REQUIRE(custody.sockets.held().size() == 1);
    CHECK(custody.sockets.held().front().fd.raw() == fd);
    CHECK(custody.sockets.held().front().name == "renamed");
    CHECK(accept_from(custody.sockets.held().front().fd).is_open());
}

TEST_CASE("a listener that is no longer listed waits for those in its queue, then closes", "[supervisor]") {
    Custody custody{tcp_socket("a", 0)};
    REQUIRE(custody.hold());
    UniqueFd const worker{::fcntl(custody.sockets.held().front().fd.raw(), F_DUPFD_CLOEXEC, 0)};
    UniqueFd const client = connect_to(custody.port(0));
    REQUIRE(client.is_open());
    auto const change = [&](bool is_served, Duration deadline) {
        REQUIRE(custody.change("", is_served, deadline));
        CHECK(custody.retired == 0); // never from within the call
    };
    SECTION("served: until somebody has accepted them") {
        change(true, 10s);
        auto const looked_until = MonotonicTime::now() + 50ms;
        custody.until([&] { return MonotonicTime::now() > looked_until; });
        CHECK(custody.retired == 0);
        UniqueFd const accepted = accept_from(worker);
        REQUIRE(accepted.is_open());
        REQUIRE(custody.until([&] { return custody.retired == 1; }));
        CHECK_THAT(custody.told("socket-closed"), ContainsSubstring("nobody was waiting in it"));
    }
    SECTION("served: but not beyond the deadline, and that is reported") {
        change(true, 30ms);
        REQUIRE(custody.until([&] { return custody.retired == 1; }));
        CHECK_THAT(custody.told("socket-closed"),
                   ContainsSubstring("closed with 1 connections still waiting"));
    }
    SECTION("not served: at once, since waiting would help nobody") {
        change(false, 10s);
        REQUIRE(custody.until([&] { return custody.retired == 1; }, 2s));
    }
    CHECK(custody.sockets.held().empty());
}

TEST_CASE("a unit that is removed gives up all, with its unix paths", "[supervisor]") {
    TempFolder const folder;
    auto const path = folder / "socket";
    Custody custody{tcp_socket("a", 0) + "[[socket]]\nname = \"u\"\nlisten = \"unix:" + path + "\"\n"};
    REQUIRE(custody.hold());
    CHECK(std::filesystem::exists(path));
    SECTION("in order") {
        custody.sockets.retire_all(true, 10s, [&] { ++custody.retired; });
        REQUIRE(custody.until([&] { return custody.retired == 1; }));
    }
    SECTION("at once, when the supervisor ends") {
        custody.sockets.give_up_all();
    }
    CHECK(!std::filesystem::exists(path));
    CHECK(custody.sockets.held().empty());
}

TEST_CASE("listeners are handed out under the names and in the order of the spec that asks", "[supervisor]") {
    TempFolder const folder;
    auto const unix_socket = [&](std::string const& name, std::string const& file) {
        return "[[socket]]\nname = \"" + name + "\"\nlisten = \"unix:" + folder / file + "\"\n";
    };
    Custody custody{unix_socket("a", "1") + unix_socket("b", "2") + tcp_socket("c", 0)};
    REQUIRE(custody.hold());
    auto const handed = custody.sockets.hand_out(
        *spec_with(unix_socket("x", "2") + unix_socket("y", "1") + unix_socket("z", "not held")));
    REQUIRE(handed.size() == 2);
    CHECK(handed[0].listener.name == "x");
    CHECK(handed[0].listener.fd == FdRef{custody.sockets.held()[1].fd});
    CHECK(handed[1].listener.name == "y");
    auto const own = custody.sockets.hand_out(*custody.spec);
    REQUIRE(own.size() == 3);
    CHECK(own[2].port == custody.port(2));
}

TEST_CASE("the first client on a watched listener is told once", "[supervisor]") {
    Custody custody{tcp_socket("a", 0)};
    REQUIRE(custody.hold());
    int traffic = 0;
    custody.sockets.watch([&] { ++traffic; });
    custody.settle();
    CHECK(traffic == 0);
    UniqueFd const one = connect_to(custody.port(0));
    UniqueFd const two = connect_to(custody.port(0));
    REQUIRE(custody.until([&] { return traffic > 0; }));
    custody.settle();
    CHECK(traffic == 1);
    custody.sockets.watch([&] { traffic += 10; }); // they still wait
    REQUIRE(custody.until([&] { return traffic > 1; }));
    custody.sockets.watch([&] { traffic += 100; });
    custody.sockets.unwatch();
    custody.settle();
    CHECK(traffic == 11);
}

// Where the kernel had no room for a watch (fs.epoll.max_user_watches) the unit was broken for good.
TEST_CASE("a listener that cannot be watched just now is watched later", "[supervisor]") {
    Custody custody{tcp_socket("a", 0)};
    REQUIRE(custody.hold());
    auto in_the_way = custody.loop->watch(
        custody.sockets.held()[0].fd, 0, [](std::uint32_t) {}, Priority::Clients);
    int traffic = 0;
    custody.sockets.watch([&] { ++traffic; });
    UniqueFd const client = connect_to(custody.port(0));
    custody.settle();
    CHECK(traffic == 0);
    auto const told = custody.told("socket-not-watched");
    CHECK_FALSE(told.empty());
    in_the_way.reset();
    CHECK(custody.until([&] { return traffic == 1; }, 5s));
    CHECK(custody.told("socket-not-watched") == told);
}

TEST_CASE("listeners that come while the unit is watched are watched too", "[supervisor]") {
    // A lazy unit that was changed while it waited did not see clients of its new socket; and a descriptor
    // that was closed while it was watched took the watch of another with it.
    Custody custody{tcp_socket("a", 0)};
    REQUIRE(custody.hold());
    int traffic = 0;
    custody.sockets.watch([&] { ++traffic; });
    UniqueFd reserved = listen_on_loopback();
    auto const port = port_of(reserved);
    reserved.reset();
    auto const changed = spec_with(tcp_socket("b", port));
    SECTION("by a change") {
        auto bound = custody.sockets.bind_new(*changed, {}, true);
        REQUIRE(bound);
        custody.sockets.take_over(changed, std::move(bound).value());
        custody.sockets.retire_unlisted(*changed, false, 0s, {});
    }
    SECTION("by a new binding") {
        custody.sockets.retire_unlisted(*changed, false, 0s, {});
        REQUIRE(custody.sockets.hold(changed, {}));
    }
    custody.settle();
    UniqueFd const client = connect_to(port);
    REQUIRE(client.is_open());
    CHECK(custody.until([&] { return traffic == 1; }, 5s));
}

// What an apply moved from a unit with accept to one without was left non-blocking: accept(2) of the new
// unit's program failed with EAGAIN where it should wait.
TEST_CASE("a listener that we accepted from waits as its next unit says", "[supervisor]") {
    OneUnit one;
    auto const spec =
        unit_of("web", tcp_socket("a", 0) + "[service]\naccept = true\nexec_start = [\"/bin/cat\"]\n");
    SocketCustody sockets{one.shared, 1, spec};
    REQUIRE(sockets.hold(spec, {}));
    sockets.watch_each([](Listener const&) {});
    auto const is_non_blocking = [](Listener const& listener) {
        return (::fcntl(listener.fd.raw(), F_GETFL) & O_NONBLOCK) != 0;
    };
    CHECK(is_non_blocking(sockets.held().front()));
    auto const released = sockets.release(identity_of(sockets.held().front()));
    CHECK_FALSE(is_non_blocking(released));
}

// A full house took the watches of all listeners away and made them anew for each connection; where epoll had
// no room for one in that moment the unit was broken for good.
TEST_CASE("who rests is told of nobody until he goes on, and keeps his watches", "[supervisor]") {
    Custody custody{tcp_socket("a", 0)};
    REQUIRE(custody.hold());
    int told = 0;
    custody.sockets.watch_each([&](Listener const& listener) {
        ++told;
        (void)accept_from(listener.fd);
    });
    custody.sockets.rest(true);
    auto const client = connect_to(custody.port(0));
    custody.settle();
    CHECK(told == 0);
    custody.sockets.rest(false);
    CHECK(custody.until([&] { return told == 1; }));
}

TEST_CASE("a listener that is shut down while its unit rests does not keep us busy", "[supervisor]") {
    Custody custody{tcp_socket("a", 0)};
    REQUIRE(custody.hold());
    int told = 0;
    custody.sockets.watch_each([&](Listener const&) { ++told; });
    custody.sockets.rest(true);
    bool is_hung_up = false;
    custody.hung_up = [&](int) { is_hung_up = true; };
    REQUIRE(::shutdown(custody.sockets.held().front().fd.raw(), SHUT_RD) == 0);
    REQUIRE(custody.until([&] { return is_hung_up; }));
    int turns = 0;
    while (turns < 100 && custody.loop->run_once(0ms))
        ++turns;
    CHECK(turns < 100);
    auto const fd = custody.sockets.held().front().fd.raw();
    REQUIRE(::listen(fd, 16) == 0);
    sockaddr_in now_at{}; // a port of the kernel's choice is another one by that
    socklen_t size = sizeof now_at;
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&now_at), &size) == 0);
    custody.sockets.rest(false);
    auto const client = connect_to(ntohs(now_at.sin_port));
    CHECK(custody.until([&] { return told > 0; }));
}
