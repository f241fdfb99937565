// SPDX-License-Identifier: Apache-2.0
// One listener of ours takes the place of another whose address is in its way, and no client is refused.
#include "catch.h"
#include "socket/plan.h"
#include "socket/retire.h"
#include "socket/side_by_side.h"
#include "support.h"

#include <cerrno>
#include <iostream>

#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

int accept_all(Listener const& listener) {
    int count = 0;
    while (UniqueFd{::accept4(listener.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open())
        ++count;
    return count;
}

Listener bound(std::string const& host, std::uint16_t port = 0) {
    auto spec = spec_of(tcp(host, port));
    spec.non_blocking = true;
    return bind_one(spec);
}

Result<Listener> beside(Listener const& old, std::string const& host, bool is_hidden = true) {
    auto spec = spec_of(tcp(host, old.port));
    spec.non_blocking = true;
    return bind_beside(spec, spec.listen.front(), {old.fd}, is_hidden);
}

/// Can another process of our user that sets SO_REUSEPORT listen there?
bool may_join(ListenAddress const& address) {
    auto const joined = bind_listener(spec_of(address), address, {true, false});
    return static_cast<bool>(joined);
}

struct Row {
    char const* old_host;
    char const* new_host;
};
constexpr Row rows[]{
    {"127.0.0.1", "0.0.0.0"}, {"0.0.0.0", "127.0.0.1"}, {"", "0.0.0.0"}, {"0.0.0.0", ""}, {"", "::"},
    {"127.0.0.1", ""},
};

} // namespace

TEST_CASE("addresses are in each other's way when one covers the other", "[socket]") {
    struct Pair {
        ListenAddress one;
        ListenAddress other;
        bool collide;
    };
    Pair const pairs[]{
        {tcp("", 80), tcp("0.0.0.0", 80), true},
        {tcp("", 80), tcp("::", 80), true},
        {tcp("", 80), tcp("::1", 80), true},
        {tcp("::", 80), tcp("127.0.0.1", 80), true}, // unless net.ipv6.bindv6only
        {tcp("0.0.0.0", 80), tcp("127.0.0.1", 80), true},
        {tcp("127.0.0.1", 80), tcp("127.0.0.1", 80), true},
        {tcp("127.0.0.1", 80), tcp("::ffff:127.0.0.1", 80), true},
        {tcp("127.0.0.1", 80), tcp("127.0.0.2", 80), false},
        {tcp("0.0.0.0", 80), tcp("::1", 80), false},
        {tcp("127.0.0.1", 80), tcp("::1", 80), false},
        {tcp("", 80), tcp("", 81), false},
        {tcp("", 80), udp("", 80), false},
        {tcp("", 0), tcp("", 0), false}, // the kernel finds two ports
        {udp("0.0.0.0", 53), udp("127.0.0.1", 53), true},
        {unix_at("/run/a"), unix_at("/run/a"), true},
        {unix_at("/run/a"), unix_at("@/run/a"), false},
    };
    for (auto const& pair : pairs) {
        CAPTURE(to_string(pair.one), to_string(pair.other));
        CHECK(may_collide(pair.one, pair.other) == pair.collide);
        CHECK(may_collide(pair.other, pair.one) == pair.collide);
    }
}

TEST_CASE("a listener takes the place of one that is in its way, and every client gets to one of them",
          "[socket]") {
    auto const answer = in_own_network([] {
        for (auto const& [old_host, new_host] : rows) {
            auto old = bound(old_host);
            auto const client_of = tcp("127.0.0.1", old.port);
            auto const where = " of " + to_string(old.bound()) + " -> " + new_host;
            if (bind_listener(spec_of(tcp(new_host, old.port)), tcp(new_host, old.port)))
                return "they are not in each other's way:" + where;
            auto fresh = beside(old, new_host);
            if (!fresh)
                return to_string(fresh.error()) + where;
            auto const come = [&](int expected_old, int expected_fresh,
                                  std::string const& when) -> std::string {
                for (int i = 0; i < 4; ++i)
                    if (!connect_to(client_of).is_open())
                        return "refused " + when + where;
                auto const got_old = old.fd.is_open() ? accept_all(old) : 0;
                auto const got_fresh = accept_all(*fresh);
                return got_old == expected_old && got_fresh == expected_fresh
                           ? ""
                           : when + where + ": " + std::to_string(got_old) + " and " +
                                 std::to_string(got_fresh);
            };
            if (auto wrong = come(4, 0, "while the new one is hidden"); !wrong.empty())
                return wrong;
            UniqueFd const early = connect_to(client_of); // waits in the old one
            if (!reveal(*fresh))
                return "not revealed" + where;
            old.is_replaced = true;
            if (!turn_clients_away(old))
                return "not diverted" + where;
            if (auto wrong = come(1, 4, "when the old one is diverted"); !wrong.empty())
                return wrong;
            if (may_join(fresh->bound()))
                return "anybody may join" + where;
            give_up(std::move(old));
            if (auto wrong = come(0, 4, "when the old one is gone"); !wrong.empty())
                return wrong;
            if (may_join(fresh->bound()))
                return "anybody may join in the end" + where;
        }
        return std::string{"done"};
    });
    if (!is_skipped(answer))
        CHECK(answer == "done");
}

TEST_CASE("a datagram listener takes the place of one that is in its way", "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        auto spec = spec_of(udp("0.0.0.0"));
        spec.non_blocking = true;
        auto old = bind_one(spec);
        auto const address = udp("127.0.0.1", old.port);
        auto fresh = bind_beside(spec, address, {old.fd}, true);
        if (!fresh)
            return to_string(fresh.error());
        auto const come = [&](Listener const& to) {
            UniqueFd const client = connect_to(address);
            char byte = 0;
            return ::send(client.raw(), "x", 1, 0) == 1 && ::recv(to.fd.raw(), &byte, 1, 0) == 1;
        };
        if (!come(old))
            return "hidden: not to the old one";
        old.is_replaced = true;
        if (!reveal(*fresh) || !turn_clients_away(old) || !come(*fresh))
            return "revealed: not to the new one";
        give_up(std::move(old));
        return come(*fresh) ? "done" : "alone: not to it";
    });
    if (!is_skipped(answer))
        CHECK(answer == "done");
}

TEST_CASE("who may not take the hiding back does not hide", "[socket]") {
    auto const answer = in_own_network([]() -> std::string {
        auto const old = bound("0.0.0.0");
        if (::setresuid(65534, 65534, 65534) < 0)
            return "skipped: no other user can be had";
        // Listeners that share a port must be of one user.
        auto const mine = bound("0.0.0.0");
        auto fresh = beside(mine, "127.0.0.1");
        if (!fresh)
            return to_string(fresh.error());
        if (fresh->is_hidden || !connect_to(fresh->bound()).is_open() || accept_all(*fresh) != 1)
            return "it is hidden";
        return beside(old, "127.0.0.1") ? "another user's was in the way of nobody" : "done";
    });
    if (!is_skipped(answer))
        CHECK(answer == "done");
}

TEST_CASE("a stranger in the way is still refused, and nothing has changed", "[socket]") {
    auto const old = bound("127.0.0.1");
    auto const stranger = bound("127.0.0.2", old.port);
    auto const fresh = beside(old, "0.0.0.0");
    REQUIRE(!fresh);
    CHECK(fresh.error().code == EADDRINUSE);
    CHECK(option_of(old.fd, SOL_SOCKET, SO_REUSEPORT) == 0);
    CHECK(connect_to(old.bound()).is_open());
    CHECK(!may_join(old.bound()));
}
