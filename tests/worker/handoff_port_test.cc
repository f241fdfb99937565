// SPDX-License-Identifier: Apache-2.0
// A hand-off session on the loop: it answers, and ends by itself with its peer.
#include "handoff/frames.h"
#include "support.h"
#include "worker/handoff_port.h"

#include <sys/socket.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// A port with one listener "http", and the worker's end of it.
struct Port {
    Port() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        peer = UniqueFd{ends[1]};
        file = open_new(folder / "listener");
        port = std::make_unique<HandoffPort>(
            *watched.loop, UniqueFd{ends[0]}, RequestScope::OwnUnit,
            [this](std::string const&) -> Result<std::vector<NamedFd>> {
                std::vector<NamedFd> all{{"http", file}};
                if (extra.is_open())
                    all.push_back({"late", extra});
                return all;
            },
            [this] {
                ++closed;
                port.reset(); // as owners do
            });
    }
    std::string answer() {
        Result<ReceivedFrame> frame = plain_error("nothing");
        watched.until([&] {
            frame = receive_frame(peer, max_frame_fds);
            return frame.has_value();
        });
        return frame ? frame->text : to_string(frame.error());
    }

    TempFolder folder;
    Watched watched;
    UniqueFd file;
    UniqueFd extra;
    UniqueFd peer;
    int closed = 0;
    std::unique_ptr<HandoffPort> port;
};

} // namespace

TEST_CASE("a worker asks on its hand-off socket, and is pushed what comes later", "[worker]") {
    Port test;
    REQUIRE(send_frame(test.peer, "get"));
    CHECK(test.answer() == "fds 1 0\nhttp");
    test.extra = open_new(test.folder / "late");
    test.port->push({{"late", test.extra}});
    CHECK(test.answer() == "push 1 0\nlate");
    CHECK(test.closed == 0);
}

TEST_CASE("a hand-off session ends once when its peer has gone, and may be destroyed then", "[worker]") {
    Port test;
    test.peer.reset();
    REQUIRE(test.watched.until([&] { return test.closed > 0; }));
    CHECK(test.closed == 1);
    CHECK(!test.port);
}

TEST_CASE("a push to a peer that has gone ends the session too", "[worker]") {
    Port test;
    REQUIRE(send_frame(test.peer, "get"));
    CHECK(test.answer() == "fds 1 0\nhttp");
    test.extra = open_new(test.folder / "late");
    test.peer.reset();
    test.port->push({{"late", test.extra}});
    CHECK(test.closed == 1);
    CHECK(!test.port);
}

TEST_CASE("a peer that sends nothing but garbage is left", "[worker]") {
    Port test;
    for (unsigned i = 0; i <= max_garbage_frames; ++i)
        REQUIRE(send_frame(test.peer, "garbage"));
    REQUIRE(test.watched.until([&] { return test.closed > 0; }));
    CHECK(test.closed == 1);
}
