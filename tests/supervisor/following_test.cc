// SPDX-License-Identifier: Apache-2.0
// Those who follow events over the control socket, and how that ends.
#include "control/client.h"
#include "control/message.h"
#include "control/server.h"
#include "harness.h"
#include "supervisor/requests.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;
using nlohmann::json;

namespace {

struct Followed : Home {
    Followed() : requests{*supervisor, [] {}} {
        ControlServerOptions options;
        options.path = path;
        auto opened = ControlServer::open(*loop, std::move(options), [this](ControlRequest request) {
            requests.handle(std::move(request));
        });
        if (!opened)
            FAIL(to_string(opened.error()));
        server = std::move(opened).value();
    }
    /// A client that has asked to follow all events, and has its first answer.
    UniqueFd follower() {
        UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::connect(fd.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        ControlCall call;
        call.method = "io.holdfast.Manager.Events";
        call.parameters = {{"follow", true}};
        call.more = true;
        auto const text = encode_call(call);
        REQUIRE(::send(fd.raw(), text.data(), text.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(text.size()));
        REQUIRE(until([&] { return receive(fd).find("events") != std::string::npos; }));
        return fd;
    }
    static std::string receive(FdRef fd) {
        char text[65536];
        auto const size = ::recv(fd.raw(), text, sizeof text, 0);
        return {text, size > 0 ? static_cast<std::size_t>(size) : 0};
    }

    std::string path = folder / "control.sock";
    Requests requests;
    std::unique_ptr<ControlServer> server;
};

} // namespace

TEST_CASE("a follower whose client has gone is let go at once, not at the next event", "[supervisor]") {
    // It stayed, with its reply, until something happened: connects without events grew the memory for ever.
    Followed test;
    auto& events = test.supervisor->shared().events;
    auto const before = events.followers();
    auto first = test.follower();
    auto const second = test.follower();
    CHECK(events.followers() == before + 2);
    first.reset();
    CHECK(test.until([&] { return events.followers() == before + 1; }));
    events.say(Weight::Normal, "test", "", "still told");
    CHECK(test.until([&] { return Followed::receive(second).find("still told") != std::string::npos; }));
}

TEST_CASE("a supervisor ends while clients follow its events", "[supervisor]") {
    // The last owner of a feed was the list of followers, from which it took itself out while that was being
    // destroyed: a double free at the end of every holdfastd with an `events --follow`.
    auto test = std::make_unique<Followed>();
    auto const first = test->follower();
    auto const second = test->follower();
    std::weak_ptr<int> seen;
    {
        auto const owned = std::make_shared<int>(1);
        seen = owned;
        auto held = std::make_shared<EventLog::Following>();
        *held = test->supervisor->shared().events.follow([owned, held](Event const&) {});
    }
    CHECK_FALSE(seen.expired());
    test.reset();
    CHECK(seen.expired());
}
