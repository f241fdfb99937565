// SPDX-License-Identifier: Apache-2.0
#include "control/client.h"
#include "harness.h"

#include <future>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Runs the blocking client on a thread of its own while the server's loop turns here.
template <class F>
auto meanwhile(TestServer& server, F act) {
    auto result = std::async(std::launch::async, act);
    REQUIRE(server.until([&] { return result.wait_for(0s) == std::future_status::ready; }));
    return result.get();
}

UniqueFd silent_listener(std::string const& path, int backlog) {
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(socket.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    if (backlog >= 0)
        REQUIRE(::listen(socket.raw(), backlog) == 0);
    return socket;
}

} // namespace

TEST_CASE("the client tells why nobody answers", "[control]") {
    TempFolder folder;
    auto const why = [](std::string const& path) {
        auto const client = ControlClient::connect_to(path, 50ms);
        REQUIRE_FALSE(client);
        return why_no_answer(client.error());
    };
    CHECK(why(folder / "nothing") == NoAnswer::NoDaemon);
    CHECK(why(folder / "no/folder") == NoAnswer::NoDaemon);
    CHECK(why(folder / std::string(200, 'x')) == NoAnswer::Other);
    { auto const dead = silent_listener(folder / "dead", -1); }
    CHECK(why(folder / "dead") == NoAnswer::NoDaemon);

    auto const full = silent_listener(folder / "full", 0);
    RawClient const first{folder / "full"}; // takes the only place in the queue
    CHECK(why(folder / "full") == NoAnswer::TimedOut);

    if (::geteuid() != 0) {
        WARN("skipped: only root can be another user");
        return;
    }
    auto const locked = silent_listener(folder / "locked", 1);
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    REQUIRE(::chmod((folder / "locked").c_str(), 0600) == 0);
    REQUIRE(::seteuid(65534) == 0);
    auto const refused = ControlClient::connect_to(folder / "locked", 50ms);
    REQUIRE(::seteuid(0) == 0);
    REQUIRE_FALSE(refused);
    CHECK(why_no_answer(refused.error()) == NoAnswer::NotPermitted);
}

TEST_CASE("a call returns the answer, or the daemon's error", "[control]") {
    TestServer server;
    server.handle = [](ControlRequest request) {
        if (request.method == "Trace")
            request.reply.fail("NoSuchUnit", {{"unit", *request.text("unit")}});
        else
            request.reply.done({{"units", std::string(1000000, 'x')}});
    };
    auto client = ControlClient::connect_to(server.path());
    REQUIRE(client);
    auto const list = meanwhile(server, [&] { return client->call("List", nullptr); });
    REQUIRE(list);
    CHECK(list->error.empty());
    CHECK(list->parameters["units"].get<std::string>().size() == 1000000);
    auto const trace = meanwhile(server, [&] { return client->call("Trace", {{"unit", "wbe"}}); });
    REQUIRE(trace);
    CHECK(trace->error == "NoSuchUnit");
    CHECK(trace->parameters == json{{"unit", "wbe"}});
    auto const info = meanwhile(server, [&] { return client->call("org.varlink.service.GetInfo", {}); });
    REQUIRE(info);
    CHECK(info->parameters["vendor"] == "holdfast");
}

TEST_CASE("a call with more shows each reply, until the last or until it has seen enough", "[control]") {
    TestServer server;
    server.handle = [](ControlRequest request) {
        for (int i = 1; i <= 3; ++i)
            request.reply.progress({{"event", i}});
        request.reply.done({{"ok", true}});
    };
    int seen = 0;
    auto const ask = [&](int enough) {
        seen = 0;
        auto client = ControlClient::connect_to(server.path());
        REQUIRE(client);
        return client->call_more("Restart", {{"unit", "web"}}, [&](json const&) { return ++seen < enough; });
    };
    auto const all = meanwhile(server, [&] { return ask(100); });
    REQUIRE(all);
    CHECK(seen == 3);
    CHECK(all->parameters == json{{"ok", true}});
    CHECK_FALSE(all->continues);
    auto const some = meanwhile(server, [&] { return ask(2); });
    REQUIRE(some);
    CHECK(seen == 2);
    CHECK(some->continues);
}

TEST_CASE("a call that is not answered in time fails", "[control]") {
    TestServer server;
    auto client = ControlClient::connect_to(server.path());
    REQUIRE(client);
    auto const answer = meanwhile(server, [&] { return client->call("List", nullptr, 50ms); });
    REQUIRE_FALSE(answer);
    CHECK(why_no_answer(answer.error()) == NoAnswer::TimedOut);
}

TEST_CASE("a daemon that dies during a call is a lost connection", "[control]") {
    TestServer server;
    server.handle = [&](ControlRequest request) {
        server.requests.push_back(std::move(request));
        server.loop->post([&] { server.server.reset(); });
    };
    auto client = ControlClient::connect_to(server.path());
    REQUIRE(client);
    auto const answer = meanwhile(server, [&] { return client->call("List", nullptr); });
    REQUIRE_FALSE(answer);
    CHECK(why_no_answer(answer.error()) == NoAnswer::ConnectionLost);
    auto const again = meanwhile(server, [&] { return client->call("List", nullptr); });
    REQUIRE_FALSE(again);
    CHECK(why_no_answer(again.error()) == NoAnswer::ConnectionLost);
}

TEST_CASE("a client that is refused learns why", "[control]") {
    ControlLimits limits;
    limits.clients = 0;
    limits.reserved_clients = 0;
    TestServer server{limits};
    auto client = ControlClient::connect_to(server.path());
    REQUIRE(client);
    server.settle(); // it is refused before it has said a word
    auto const answer = meanwhile(server, [&] { return client->call("List", nullptr); });
    REQUIRE(answer);
    CHECK(answer->error == "TooManyClients");
}
