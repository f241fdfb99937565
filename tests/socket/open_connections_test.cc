// SPDX-License-Identifier: Apache-2.0
// What workers still hold: real connections, held by processes that were forked for it.
#include "catch.h"
#include "shard_support.h"
#include "socket/open_connections.h"
#include "support.h"

#include <csignal>
#include <cstdio>
#include <ctime>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

MonotonicTime soon() {
    return MonotonicTime::now() + std::chrono::seconds{20};
}

/// A process group of its own that holds what this process has open when it is made.
class Holder {
public:
    /// `first` is done by the leader before it says that it is there.
    explicit Holder(std::function<void()> const& first = [] {}) {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        UniqueFd const said{ends[0]};
        UniqueFd saying{ends[1]};
        pid_ = ::fork();
        if (pid_ == 0) {
            ::setpgid(0, 0);
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            first();
            (void)!::write(saying.raw(), "", 1);
            for (;;)
                ::pause();
        }
        char byte = 1;
        REQUIRE(::read(said.raw(), &byte, 1) == 1);
    }
    ~Holder() { end(); }
    Holder(Holder const&) = delete;
    Holder& operator=(Holder const&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Killed with its group; and reaped, or not yet.
    void end(bool reaped = true) {
        if (pid_ <= 0)
            return;
        ::kill(-pid_, SIGKILL);
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | (reaped ? 0 : WNOWAIT));
        if (reaped)
            pid_ = 0;
    }

private:
    pid_t pid_ = 0;
};

/// A child of the holder, in its group, that does `first` and holds what is open then.
void leave_child(std::function<void()> const& first = [] {}) {
    int ends[2];
    (void)!::pipe2(ends, O_CLOEXEC);
    if (::fork() == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        first();
        (void)!::write(ends[1], "", 1);
        for (;;)
            ::pause();
    }
    char byte;
    (void)!::read(ends[0], &byte, 1);
    ::close(ends[0]);
    ::close(ends[1]);
}

struct Connection {
    UniqueFd client;
    UniqueFd server;
};

ListenAddress target_of(Listener const& listener) {
    auto address = listener.bound();
    if (address.host.empty() || address.host == "0.0.0.0")
        address.host = "127.0.0.1";
    else if (address.host == "::")
        address.host = "::1";
    return address;
}

Connection connect(Listener const& listener, ListenAddress const& target) {
    Connection made{connect_to(target), {}};
    REQUIRE(eventually([&] {
        made.server = UniqueFd{::accept4(listener.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
        return made.server.is_open();
    }));
    return made;
}
Connection connect(Listener const& listener) {
    return connect(listener, target_of(listener));
}

ConnectionCount held_by(Holder const& holder, std::vector<ListenAddress> const& listeners) {
    return OpenConnections{listeners}.held_by(holder.pid(), holder.pid(), soon());
}

constexpr ConnectionCount exactly(std::size_t count) {
    return {count, true};
}

} // namespace

TEST_CASE(
    "connections that came in by a listener and are open are counted, on both families and unix sockets",
    "[socket]") {
    TempFolder const folder;
    for (auto const& address :
         {tcp("127.0.0.1"), tcp("0.0.0.0"), tcp("::1"), tcp("::"), tcp(""), unix_at(folder / "web.sock"),
          unix_at("@holdfast-open-" + std::to_string(::getpid()))}) {
        auto const listener = bind_one(spec_of(address));
        INFO(to_string(listener.bound()));
        CHECK(held_by(Holder{}, {listener.bound()}) == exactly(0));
        auto const one = connect(listener), two = connect(listener);
        auto const waiting = connect_to(target_of(listener)); // nobody has accepted it: it is nobody's
        Holder const holder;
        CHECK(held_by(holder, {listener.bound()}) == exactly(2));
        CHECK(held_by(holder, {}) == exactly(0));
        auto const other = bind_one(spec_of(tcp("127.0.0.1")));
        CHECK(held_by(holder, {other.bound()}) == exactly(0));
        CHECK(held_by(holder, {other.bound(), listener.bound()}) == exactly(2));
    }
}

TEST_CASE("a client of IPv4 at a listener of both families is counted", "[socket]") {
    for (auto const& address : {tcp(""), tcp("::")}) {
        auto const listener = bind_one(spec_of(address));
        auto const mapped = connect(listener, tcp("127.0.0.1", listener.port));
        auto const six = connect(listener, tcp("::1", listener.port));
        CHECK(held_by(Holder{}, {listener.bound()}) == exactly(2));
    }
}

TEST_CASE("a client that has said all it has to say still waits for its answer", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const half = connect(listener), answered = connect(listener);
    REQUIRE(::shutdown(half.client.raw(), SHUT_WR) == 0);
    REQUIRE(::shutdown(answered.server.raw(), SHUT_WR) == 0);
    char byte;
    REQUIRE(::recv(half.server.raw(), &byte, 1, 0) == 0);
    CHECK(held_by(Holder{}, {listener.bound()}) == exactly(1));
}

TEST_CASE("another address with the same port is another listener", "[socket]") {
    auto const ours = bind_one(spec_of(tcp("127.0.0.1")));
    auto const other = bind_one(spec_of(tcp("127.0.0.2", ours.port)));
    auto const one = connect(ours), two = connect(other), three = connect(other);
    Holder const holder;
    CHECK(held_by(holder, {ours.bound()}) == exactly(1));
    CHECK(held_by(holder, {other.bound()}) == exactly(2));
    CHECK(held_by(holder, {ours.bound(), other.bound()}) == exactly(3));
    CHECK(held_by(holder, {tcp("0.0.0.0", ours.port)}) == exactly(3));
    CHECK(held_by(holder, {tcp("", ours.port)}) == exactly(3)); // where there is no IPv6 it is 0.0.0.0
    CHECK(held_by(holder, {tcp("::1", ours.port)}) == exactly(0));
}

TEST_CASE("of more listeners than the kernel is asked about one by one all are found", "[socket]") {
    std::vector<Listener> listeners;
    std::vector<ListenAddress> addresses;
    std::vector<Connection> connections;
    for (int i = 0; i < 12; ++i) {
        listeners.push_back(bind_one(spec_of(tcp("127.0.0.1"))));
        addresses.push_back(listeners.back().bound());
        connections.push_back(connect(listeners.back()));
    }
    CHECK(held_by(Holder{}, addresses) == exactly(12));
}

TEST_CASE("who shares a port by reuse_port is counted for what it holds alone", "[socket]") {
    auto group = bind_group(tcp("127.0.0.1"), 2);
    std::vector<UniqueFd> clients;
    auto const hold = [&](Shard shard, int count) {
        REQUIRE(group.steer(all_to(shard)));
        std::vector<UniqueFd> taken;
        for (int i = 0; i < count; ++i) {
            clients.push_back(connect_to(holdfast::test::target_of(group)));
            taken.push_back(take_from(group, shard));
            REQUIRE(taken.back().is_open());
        }
        return std::make_unique<Holder>();
    };
    auto const first = hold(blue(0), 1);
    auto const second = hold(blue(1), 3);
    OpenConnections open{{group.bound()}};
    CHECK(open.held_by(first->pid(), first->pid(), soon()) == exactly(1));
    CHECK(open.held_by(second->pid(), second->pid(), soon()) == exactly(3));
}

TEST_CASE("what a grandchild holds counts, and what parent and child share counts once", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto shared = connect(listener);
    auto handed_on = connect(listener);
    Holder const holder{[&] {
        leave_child([&] {
            leave_child();
            handed_on.server.reset();
        });
        handed_on.server.reset();
    }};
    CHECK(held_by(holder, {listener.bound()}) == exactly(2));
}

TEST_CASE("a main process that is in another group counts with the group", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto one = connect(listener);
    Holder const leader;
    one.server.reset();
    auto const two = connect(listener), three = connect(listener);
    Holder const main;
    OpenConnections open{{listener.bound()}};
    CHECK(open.held_by(main.pid(), leader.pid(), soon()) == exactly(3));
    CHECK(open.held_by(leader.pid(), leader.pid(), soon()) == exactly(1));
}

TEST_CASE("who is dead holds nothing, reaped or not", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const one = connect(listener);
    Holder holder;
    CHECK(held_by(holder, {listener.bound()}) == exactly(1));
    holder.end(false);
    CHECK(held_by(holder, {listener.bound()}) == exactly(0));
    pid_t const pid = holder.pid();
    holder.end();
    CHECK(OpenConnections{{listener.bound()}}.held_by(pid, pid, soon()) == exactly(0));
    for (pid_t const nobody : {-1, 0x7fffffff})
        CHECK(OpenConnections{{listener.bound()}}.held_by(nobody, nobody, soon()) == exactly(0));
}

TEST_CASE("where a process may not be looked into it is not known, or at least what others hold",
          "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const one = connect(listener);
    auto const answer = in_child([&]() -> std::string {
        if (!become_nobody())
            return "skipped: it cannot become another user";
        Holder const hidden{[] { ::prctl(PR_SET_DUMPABLE, 0); }};
        Holder const half{[] {
            ::prctl(PR_SET_DUMPABLE, 1); // what it has lost with its user
            leave_child();
            ::prctl(PR_SET_DUMPABLE, 0);
        }};
        auto const none = held_by(hidden, {listener.bound()});
        auto const some = held_by(half, {listener.bound()});
        return std::to_string(none.found) + (none.is_known() ? " known, " : " unknown, ") +
               std::to_string(some.found) + (some.is_all ? " all" : " at least");
    });
    if (!is_skipped(answer))
        CHECK(answer == "0 unknown, 1 at least");
}

TEST_CASE("without time it is not known, nor where a listener's port is not known any more", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const one = connect(listener);
    Holder const holder;
    OpenConnections late{{listener.bound()}};
    CHECK_FALSE(late.held_by(holder.pid(), holder.pid(), MonotonicTime::now()).is_known());
    CHECK_FALSE(held_by(holder, {tcp("127.0.0.1")}).is_known());
    CHECK(held_by(holder, {tcp("127.0.0.1"), listener.bound()}) == ConnectionCount{1, false});
}

TEST_CASE("of very many descriptors only the first are looked at", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const one = connect(listener), two = connect(listener), three = connect(listener);
    Holder const holder;
    auto const all = open_descriptors().size();
    auto const count = [&](std::size_t descriptors) {
        return OpenConnections{{listener.bound()}, descriptors}.held_by(holder.pid(), holder.pid(), soon());
    };
    CHECK_FALSE(count(2).is_known()); // 0 and 1
    auto const some = count(static_cast<std::size_t>(three.client.raw()));
    CHECK(some == ConnectionCount{2, false});
    CHECK(count(all + 20) == exactly(3));
}

TEST_CASE("a listener for datagrams has no connections", "[socket]") {
    auto const listener = bind_one(spec_of(udp("127.0.0.1")));
    CHECK(OpenConnections{{listener.bound()}}.is_idle());
    CHECK(held_by(Holder{}, {listener.bound()}) == exactly(0));
}

TEST_CASE("the count leaves nothing open", "[socket]") {
    TempFolder const folder;
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const unix_listener = bind_one(spec_of(unix_at(folder / "web.sock")));
    auto const one = connect(listener), two = connect(unix_listener);
    Holder const holder;
    auto const before = open_descriptors();
    CHECK(held_by(holder, {listener.bound(), unix_listener.bound()}) == exactly(2));
    CHECK(open_descriptors() == before);
}

TEST_CASE("what ten thousand open connections cost", "[.measure]") {
    rlimit const many{10500, 10500};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &many) == 0);
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    std::vector<UniqueFd> clients, servers;
    std::vector<std::unique_ptr<Holder>> keepers; // of the clients' ends: one process may not have all
    for (int batch = 0; batch < 25; ++batch) {
        for (int i = 0; i < 400; ++i) {
            auto made = connect(listener);
            clients.push_back(std::move(made.client));
            servers.push_back(std::move(made.server));
        }
        keepers.push_back(std::make_unique<Holder>([&] { servers.clear(); }));
        clients.clear();
    }
    Holder const holder;
    for (int i = 0; i < 5; ++i) {
        auto const spent = std::clock();
        auto const began = MonotonicTime::now();
        CHECK(held_by(holder, {listener.bound()}) == exactly(10000));
        std::printf("10000 connections: %.1f ms, of which %.1f ms on the processor\n",
                    static_cast<double>((MonotonicTime::now() - began).count()) / 1000,
                    static_cast<double>(std::clock() - spent) * 1000 / CLOCKS_PER_SEC);
    }
}
