// SPDX-License-Identifier: Apache-2.0
// Many queues in one look.
#include "catch.h"
#include "socket/queue_snapshot.h"
#include "support.h"

#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

QueueState queue_of(QueueSnapshot& snapshot, Listener const& listener) {
    auto const state = snapshot.queue_of(listener);
    if (!state)
        FAIL(to_string(state.error()));
    return *state;
}

} // namespace

TEST_CASE("one snapshot tells the queues of many listeners apart", "[socket]") {
    TempFolder const folder;
    std::vector<Listener> listeners;
    std::vector<UniqueFd> clients;
    for (unsigned i = 0; i < 30; ++i) {
        auto const number = std::to_string(i);
        for (auto const& address : {unix_at(folder / number), tcp("127.0.0.1"), udp("127.0.0.1"),
                                    unix_at("@holdfast-" + std::to_string(::getpid()) + "-" + number)}) {
            auto spec = spec_of(address);
            spec.backlog = static_cast<int>(100 + i);
            listeners.push_back(bind_one(spec));
            for (unsigned k = 0; k < i % 7; ++k) {
                clients.push_back(connect_to(listeners.back().bound()));
                REQUIRE(clients.back().is_open());
            }
        }
    }
    QueueSnapshot snapshot;
    for (unsigned i = 0; i < listeners.size(); ++i) {
        auto const& listener = listeners[i];
        INFO(to_string(listener.bound()));
        auto const queue = queue_of(snapshot, listener);
        if (listener.wanted.transport == Transport::Udp) {
            CHECK(queue.waiting == 0);
            CHECK(queue.limit == static_cast<std::uint32_t>(option_of(listener.fd, SOL_SOCKET, SO_RCVBUF)));
        } else {
            CHECK(queue.waiting == i / 4 % 7);
            CHECK(queue.limit == 100 + i / 4);
        }
    }
}

TEST_CASE("a snapshot is of the moment when it was first asked; who came later is asked for alone",
          "[socket]") {
    TempFolder const folder;
    auto const early = bind_one(spec_of(unix_at(folder / "early")));
    QueueSnapshot snapshot;
    auto const first = connect_to(early.bound());
    CHECK(queue_of(snapshot, early).waiting == 1);
    auto const second = connect_to(early.bound());
    CHECK(queue_of(snapshot, early).waiting == 1);
    CHECK(inspect_queue(early.fd, Transport::UnixStream).value().waiting == 2);

    auto const late = bind_one(spec_of(unix_at(folder / "late")));
    auto const third = connect_to(late.bound());
    CHECK(queue_of(snapshot, late).waiting == 1);
}

TEST_CASE("a snapshot leaves nothing open, and a listener that is none has no queue in it", "[socket]") {
    TempFolder const folder;
    auto listener = bind_one(spec_of(unix_at(folder / "web")));
    auto const before = open_descriptors();
    QueueSnapshot snapshot;
    CHECK(queue_of(snapshot, listener).waiting == 0);
    CHECK(snapshot.handshakes_at(1));
    CHECK(open_descriptors() == before);
    listener.fd = {};
    CHECK_FALSE(snapshot.queue_of(listener));
}
