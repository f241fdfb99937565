// SPDX-License-Identifier: Apache-2.0
// What hostile and broken clients do, and that nobody else notices. The times are injected: no test waits
// for a real one.
#include "harness.h"

#include <chrono>

#include <sys/resource.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string error_of(json const& reply) {
    return reply.value("error", "");
}

void answer_all(TestServer& server) {
    server.handle = [](ControlRequest request) { request.reply.done({{"units", json::array()}}); };
}

/// A full service for a client who does nothing wrong.
void check_is_served(TestServer& server) {
    RawClient client{server.path()};
    REQUIRE(client.connect_error() == 0);
    client.call("List");
    CHECK(server.answer(client) == json{{"parameters", {{"units", json::array()}}}});
}

/// The soft limit of open files for a while.
class FileLimit {
public:
    explicit FileLimit(rlim_t files) {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &saved_) == 0);
        rlimit const lower{std::min(files, saved_.rlim_max), saved_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &lower) == 0);
    }
    FileLimit(FileLimit const&) = delete;
    FileLimit& operator=(FileLimit const&) = delete;
    ~FileLimit() { CHECK(::setrlimit(RLIMIT_NOFILE, &saved_) == 0); }

private:
    rlimit saved_{};
};

} // namespace

TEST_CASE("garbage is answered with what is wrong and ends that connection only", "[control]") {
    TestServer server;
    answer_all(server);
    for (std::string const garbage : {"GET / HTTP/1.1\r\n\r\n", "[]", "{\"method\":7}", "\xff\xfe", ""}) {
        INFO(garbage);
        RawClient client{server.path()};
        client.send(garbage + '\0');
        auto const reply = server.answer(client);
        CHECK(error_of(reply) == "io.holdfast.Manager.BadMessage");
        CHECK_FALSE(reply["parameters"]["reason"].get<std::string>().empty());
        CHECK(server.until([&] { return client.has_ended(); }));
    }
    check_is_served(server);
    CHECK(server.until([&] { return server.server->client_count() == 0; }));
}

TEST_CASE("a message of exactly the limit is taken, one byte more is refused", "[control]") {
    TestServer server;
    answer_all(server);
    std::string const head = R"({"method":"io.holdfast.Manager.List","future":")";
    std::string const tail = "\"}";
    for (std::size_t const extra : {std::size_t{0}, std::size_t{1}}) {
        std::size_t const length = ControlLimits{}.message_bytes + extra;
        std::string const text = head + std::string(length - head.size() - tail.size(), 'x') + tail + '\0';
        RawClient client{server.path()};
        std::size_t sent = 0;
        REQUIRE(server.until([&] {
            sent += client.send(std::string_view{text}.substr(sent));
            return client.has_reply();
        }));
        CHECK(error_of(client.take()) == (extra == 0 ? "" : "io.holdfast.Manager.BadMessage"));
    }
}

TEST_CASE("a hundred megabytes without an end are cut off at the limit, and others are served", "[control]") {
    TestServer server;
    answer_all(server);
    RawClient flood{server.path()};
    std::string const block(std::size_t{1} << 20, 'x');
    std::size_t sent = 0;
    for (int i = 0; i < 100 && !flood.has_ended(); ++i) {
        sent += flood.send(block);
        server.settle();
    }
    REQUIRE(server.until([&] { return flood.has_ended(); }));
    CHECK(sent < std::size_t{4} << 20);
    REQUIRE(flood.replies.size() == 1);
    CHECK(error_of(flood.take()) == "io.holdfast.Manager.BadMessage");
    check_is_served(server);
}

TEST_CASE("deep nesting is refused without a stack for it", "[control]") {
    TestServer server;
    RawClient client{server.path()};
    client.send(R"({"method":"io.holdfast.Manager.List","parameters":)" + std::string(100000, '[') + '\0');
    auto const reply = server.answer(client);
    CHECK(error_of(reply) == "io.holdfast.Manager.BadMessage");
    CHECK_THAT(reply["parameters"]["reason"].get<std::string>(), ContainsSubstring("inside each other"));
}

TEST_CASE("one client too many is told so, and the reserved place stays for the operator", "[control]") {
    TestServer server;
    answer_all(server);
    ControlLimits const limits;
    std::vector<std::unique_ptr<RawClient>> clients;
    // We are the daemon's own user, so the reserved place is ours too.
    for (std::size_t i = 0; i < limits.clients + limits.reserved_clients; ++i)
        clients.push_back(std::make_unique<RawClient>(server.path()));
    REQUIRE(server.until([&] { return server.server->client_count() == clients.size(); }));
    RawClient refused{server.path()};
    CHECK(server.answer(refused) ==
          json{{"error", "io.holdfast.Manager.TooManyClients"}, {"parameters", {{"limit", 64}}}});
    CHECK(refused.has_ended());
    clients.back()->call("List"); // those inside go on
    CHECK(error_of(server.answer(*clients.back())).empty());
    clients.front()->close();
    REQUIRE(server.until([&] { return server.server->client_count() < clients.size(); }));
    check_is_served(server);
}

TEST_CASE("strangers cannot take the reserved place", "[control]") {
    if (::geteuid() != 0) {
        WARN("skipped: only root can be another user");
        return;
    }
    ControlLimits limits;
    limits.clients = 4;
    TestServer server{limits};
    answer_all(server);
    REQUIRE(::chmod(server.folder.path().c_str(), 0755) == 0);
    REQUIRE(::chmod(server.path().c_str(), 0666) == 0);
    std::vector<std::unique_ptr<RawClient>> strangers;
    REQUIRE(::seteuid(65534) == 0);
    for (int i = 0; i < 5; ++i)
        strangers.push_back(std::make_unique<RawClient>(server.path()));
    REQUIRE(::seteuid(0) == 0);
    CHECK(error_of(server.answer(*strangers.back())) == "io.holdfast.Manager.TooManyClients");
    CHECK(server.server->client_count() == 4);
    check_is_served(server);
}

TEST_CASE("half a message is waited for, but not for ever", "[control]") {
    ControlLimits limits;
    limits.half_message = 50ms;
    TestServer server{limits};
    RawClient half{server.path()};
    half.send(R"({"method":)");
    RawClient silent{server.path()};
    CHECK(server.until([&] { return half.has_ended() && silent.has_ended(); }));
    CHECK(half.replies.empty());
    CHECK(server.server->client_count() == 0);
}

TEST_CASE("a trickle does not extend the time for a message", "[control]") {
    ControlLimits limits;
    limits.half_message = 100ms;
    TestServer server{limits};
    RawClient client{server.path()};
    CHECK(server.until([&] {
        client.send("x");
        return client.has_ended();
    }));
}

TEST_CASE("a client that waits for its answer, or between two requests, is not hurried", "[control]") {
    ControlLimits limits;
    limits.half_message = 20ms;
    limits.stalled_output = 20ms;
    TestServer server{limits};
    RawClient waiting{server.path()};
    waiting.call("Restart", {{"unit", "web"}}, true);
    waiting.send("{"); // half of its next request
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    RawClient idle{server.path()};
    idle.call("org.varlink.service.GetInfo");
    server.answer(idle);
    RawClient bait{server.path()}; // its end shows that the time has passed
    REQUIRE(server.until([&] { return bait.has_ended(); }));
    CHECK_FALSE(idle.has_ended());
    CHECK_FALSE(waiting.has_ended());
    server.requests[0].reply.done({{"ok", true}});
    CHECK(server.answer(waiting)["parameters"]["ok"] == true);
    CHECK(server.until([&] { return waiting.has_ended(); })); // now the half request counts
    CHECK_FALSE(idle.has_ended());
}

TEST_CASE("a client that stops reading is dropped, and delays nobody", "[control]") {
    ControlLimits limits;
    limits.stalled_output = 500ms;
    TestServer server{limits};
    RawClient stalled{server.path()};
    stalled.call("Events", {{"follow", true}}, true);
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    auto kept = std::move(server.requests[0].reply);
    answer_all(server);
    json const event{{"text", std::string(100000, 'x')}};
    for (int i = 0; i < 10; ++i)
        kept.progress(event);
    CHECK_FALSE(kept.is_gone()); // a megabyte is no reason yet
    check_is_served(server);
    CHECK_FALSE(kept.is_gone()); // nobody had to wait for its end
    CHECK(server.until([&] { return kept.is_gone(); }));
    kept.progress(event);
    check_is_served(server);
}

TEST_CASE("a client that reads slowly is kept while it reads", "[control]") {
    ControlLimits limits;
    limits.stalled_output = 300ms;
    TestServer server{limits};
    RawClient slow{server.path()};
    slow.call("Events", {{"follow", true}}, true);
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    auto& reply = server.requests[0].reply;
    json const event{{"text", std::string(1000000, 'x')}};
    for (int i = 0; i < 3; ++i)
        reply.progress(event);
    // Takes longer than the limit in all, but each step only a small part of it.
    std::size_t received = 0;
    auto next = MonotonicTime::now();
    CHECK(server.until([&] {
        if (MonotonicTime::now() < next)
            return false;
        next = MonotonicTime::now() + 20ms;
        char chunk[100000];
        ssize_t const n = ::recv(slow.fd().raw(), chunk, sizeof chunk, 0);
        received += n > 0 ? static_cast<std::size_t>(n) : 0;
        return received >= 3000000 || reply.is_gone();
    }));
    CHECK_FALSE(reply.is_gone());
    CHECK(received >= 3000000);
}

TEST_CASE("unread output beyond the limit drops the client at once", "[control]") {
    TestServer server;
    RawClient client{server.path()};
    client.call("Events", {{"follow", true}}, true);
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    auto& reply = server.requests[0].reply;
    std::size_t given = 0;
    while (!reply.is_gone() && given < std::size_t{64} << 20) {
        reply.progress({{"text", std::string(100000, 'x')}});
        given += 100000;
    }
    CHECK(reply.is_gone());
    CHECK(given > ControlLimits{}.output_bytes);
    CHECK(given < ControlLimits{}.output_bytes + (std::size_t{1} << 20));
    CHECK(server.server->client_count() == 0);
}

TEST_CASE("one reply may be larger than the limit of what waits", "[control]") {
    TestServer server;
    server.handle = [](ControlRequest request) {
        request.reply.done({{"units", std::string(10000000, 'x')}});
    };
    RawClient client{server.path()};
    client.call("List");
    CHECK(server.answer(client)["parameters"]["units"].get<std::string>().size() == 10000000);
    client.call("List");
    CHECK(server.answer(client)["parameters"]["units"].get<std::string>().size() == 10000000);
}

TEST_CASE("ten thousand connections are survived, and then a client is served", "[control]") {
    TestServer server;
    answer_all(server);
    int connected = 0;
    int refused_by_kernel = 0;
    for (int i = 0; i < 10000; ++i) {
        RawClient client{server.path()};
        (client.connect_error() == 0 ? connected : refused_by_kernel)++;
        if (i % 3 == 0)
            client.send("half a mess");
        if (i % 64 == 0)
            server.loop->run_once(0ms);
    }
    CHECK(connected + refused_by_kernel == 10000);
    CHECK(connected > 0);
    server.settle();
    REQUIRE(server.until([&] { return server.server->client_count() == 0; }));
    check_is_served(server);
}

TEST_CASE("running out of descriptors is told once and survived", "[control]") {
    TestServer server;
    answer_all(server);
    std::vector<std::unique_ptr<RawClient>> waiting;
    for (int i = 0; i < 5; ++i)
        waiting.push_back(std::make_unique<RawClient>(server.path()));
    {
        UniqueFd const highest{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
        FileLimit const none_left{static_cast<rlim_t>(highest.raw() + 1)};
        // Closed rather than left in the queue, where they would wake the loop without end.
        REQUIRE(server.until([&] {
            for (auto const& client : waiting)
                if (!client->has_ended())
                    return false;
            return true;
        }));
    }
    CHECK(server.problems.size() == 1);
    CHECK_THAT(server.problems.at(0), ContainsSubstring("open files"));
    check_is_served(server);
    CHECK(server.server->client_count() <= 1);
}
