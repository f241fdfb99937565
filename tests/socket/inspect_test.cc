// SPDX-License-Identifier: Apache-2.0
// Queues, drops and counters against real ones.
#include "catch.h"
#include "socket/inspect.h"
#include "support.h"

#include <cerrno>

#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

QueueState queue_of(Listener const& listener) {
    auto const state = inspect_queue(listener.fd, listener.wanted.transport);
    if (!state)
        FAIL(to_string(state.error()));
    return *state;
}

std::vector<UniqueFd> connect_many(ListenAddress const& address, int count) {
    std::vector<UniqueFd> clients;
    for (int i = 0; i < count; ++i)
        clients.push_back(connect_to(address, true));
    return clients;
}

} // namespace

TEST_CASE("the queue of a stream listener counts the connections that wait", "[socket]") {
    TempFolder const folder;
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), unix_at(folder / "web.sock"),
                                unix_at("@holdfast-queue-" + std::to_string(::getpid()))}) {
        auto spec = spec_of(address);
        spec.backlog = 17;
        auto const listener = bind_one(spec);
        CHECK(queue_of(listener).waiting == 0);
        CHECK(queue_of(listener).limit == 17);
        auto const clients = connect_many(listener.bound(), 5);
        CHECK(eventually([&] { return queue_of(listener).waiting == 5; }));
        UniqueFd const served{::accept4(listener.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
        CHECK(eventually([&] { return queue_of(listener).waiting == 4; }));
        CHECK(queue_of(listener).drops.has_value() != address.is_unix());
    }
}

TEST_CASE("the limit of a queue follows a backlog changed in place", "[socket]") {
    TempFolder const folder;
    for (auto const& address : {tcp("127.0.0.1"), unix_at(folder / "web.sock")}) {
        auto spec = spec_of(address);
        auto listener = bind_one(spec);
        CHECK(queue_of(listener).limit == static_cast<std::uint32_t>(effective_backlog(4096)));
        spec.backlog = 3;
        REQUIRE(change_in_place(listener, spec));
        CHECK(queue_of(listener).limit == 3);
    }
}

TEST_CASE("a TCP listener whose queue overflows counts the drops, and so does the network namespace",
          "[socket]") {
    auto spec = spec_of(tcp("127.0.0.1"));
    spec.backlog = 1;
    auto const listener = bind_one(spec);
    auto const before = read_net_counters();
    REQUIRE(before);
    CHECK(queue_of(listener).drops == 0U);
    auto const clients = connect_many(listener.bound(), 8);
    CHECK(eventually([&] { return queue_of(listener).drops.value_or(0) > 0; }));
    CHECK(queue_of(listener).waiting == 2); // the kernel lets in one more than the backlog
    auto const after = read_net_counters();
    REQUIRE(after);
    CHECK(after->listen_overflows > before->listen_overflows);
    CHECK(after->listen_drops > before->listen_drops);
}

TEST_CASE("a UDP socket counts the bytes that wait, its buffer and the datagrams that did not fit",
          "[socket]") {
    auto const listener = bind_one(spec_of(udp("127.0.0.1")));
    CHECK(queue_of(listener).waiting == 0);
    CHECK(queue_of(listener).limit ==
          static_cast<std::uint32_t>(option_of(listener.fd, SOL_SOCKET, SO_RCVBUF)));
    auto const client = connect_to(listener.bound());
    REQUIRE(::send(client.raw(), "hello", 5, 0) == 5);
    CHECK(eventually([&] { return queue_of(listener).waiting >= 5; }));
    CHECK(queue_of(listener).drops == 0U);
    std::string const datagram(4096, 'x');
    for (int i = 0; i < 1000; ++i)
        REQUIRE(::send(client.raw(), datagram.data(), datagram.size(), 0) > 0);
    CHECK(eventually([&] { return queue_of(listener).drops.value_or(0) > 0; }));
}

TEST_CASE("a look at a queue opens nothing and leaves nothing open", "[socket]") {
    TempFolder const folder;
    auto const path = bind_one(spec_of(unix_at(folder / "web.sock")));
    auto const stream = bind_one(spec_of(tcp("127.0.0.1")));
    auto const before = open_descriptors();
    CHECK(queue_of(path).waiting == 0);
    CHECK(queue_of(stream).waiting == 0);
    CHECK(open_descriptors() == before);
}

TEST_CASE("a descriptor that is no listener has no queue", "[socket]") {
    auto const listener = bind_one(spec_of(tcp("127.0.0.1")));
    auto const client = connect_to(listener.bound());
    CHECK_FALSE(inspect_queue(client, Transport::Tcp));
    CHECK_FALSE(inspect_queue(FdRef{}, Transport::Tcp));
    CHECK_FALSE(inspect_queue(FdRef{}, Transport::Udp));
    CHECK_FALSE(inspect_queue(FdRef{}, Transport::UnixStream));
    CHECK_FALSE(inspect_queue(client, Transport::UnixStream));
}

TEST_CASE("counters of lost connections are found by name, in whatever column", "[socket]") {
    auto const counters = parse_net_counters("IpExt: InNoRoutes ListenDrops\nIpExt: 1 77\n"
                                             "TcpExt: A ListenDrops TCPReqQFullDrop ListenOverflows "
                                             "TCPAbortOnClose TCPReqQFullDoCookies B TCPMigrateReqSuccess "
                                             "TCPMigrateReqFailure\n"
                                             "TcpExt: 9 18446744073709551615 5 2 3 6 9 7 8\n");
    REQUIRE(counters);
    CHECK(counters->listen_drops == 18446744073709551615U);
    CHECK(counters->listen_overflows == 2);
    CHECK(counters->abort_on_close == 3);
    CHECK(counters->syn_retransmits == 11);
    CHECK(counters->migrated == 7);
    CHECK(counters->migrate_failed == 8);
}

TEST_CASE("counters that are missing, cut short or not numbers do no harm", "[socket]") {
    auto const none = parse_net_counters("TcpExt: A B\nTcpExt: 1 2\n");
    REQUIRE(none);
    CHECK(none->listen_drops == 0);
    auto const cut = parse_net_counters("TcpExt: ListenOverflows ListenDrops\nTcpExt: 4");
    REQUIRE(cut);
    CHECK(cut->listen_overflows == 4);
    CHECK(cut->listen_drops == 0);
    CHECK(parse_net_counters("TcpExt: ListenDrops\nTcpExt: many\n").value().listen_drops == 0);
    for (auto const* text : {"", "\n", "\n\n\n", "TcpExt:", "TcpExt: ListenDrops", "IpExt: A\nIpExt: 1\n"})
        CHECK_FALSE(parse_net_counters(text));
}
