// SPDX-License-Identifier: Apache-2.0
#include "control/methods.h"
#include "harness.h"

#include <grp.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// The effective user and group for a while: what SO_PEERCRED of a connect() made meanwhile says.
class AsUser {
public:
    AsUser(uid_t uid, gid_t gid, std::vector<gid_t> const& groups = {}) {
        saved_.resize(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
        REQUIRE(::getgroups(static_cast<int>(saved_.size()), saved_.data()) >= 0);
        REQUIRE(::setgroups(groups.size(), groups.data()) == 0);
        REQUIRE(::setegid(gid) == 0);
        REQUIRE(::seteuid(uid) == 0);
    }
    AsUser(AsUser const&) = delete;
    AsUser& operator=(AsUser const&) = delete;
    ~AsUser() {
        bool const back =
            ::seteuid(0) == 0 && ::setegid(0) == 0 && ::setgroups(saved_.size(), saved_.data()) == 0;
        CHECK(back);
    }

private:
    std::vector<gid_t> saved_;
};

bool is_root() {
    if (::geteuid() == 0)
        return true;
    WARN("skipped: only root can be another user");
    return false;
}

std::string error_of(json const& reply) {
    return reply.value("error", "");
}

} // namespace

TEST_CASE("a request reaches the handler and its answer the client", "[control]") {
    TestServer server;
    RawClient client{server.path()};
    client.call("Status", {{"unit", "web"}});
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    auto request = std::move(server.requests.front());
    CHECK(request.method == "Status");
    CHECK(request.text("unit") == "web");
    CHECK_FALSE(request.flag("unit"));
    CHECK_FALSE(request.text("absent"));
    CHECK(request.peer.uid == ::geteuid());
    CHECK(request.may_change);
    CHECK_FALSE(request.more);
    request.reply.done({{"units", json::array()}});
    CHECK(server.answer(client) == json{{"parameters", {{"units", json::array()}}}});
}

TEST_CASE("a call with more gets each reply as it is given", "[control]") {
    TestServer server;
    RawClient client{server.path()};
    client.call("Restart", {{"unit", "web"}, {"strategy", "replace"}}, true);
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    auto& request = server.requests.front();
    CHECK(request.more);
    CHECK(request.text("strategy") == "replace");
    request.reply.progress({{"event", 1}});
    CHECK(server.answer(client) == json{{"parameters", {{"event", 1}}}, {"continues", true}});
    request.reply.progress({{"event", 2}});
    request.reply.done({{"ok", true}});
    CHECK(server.answer(client) == json{{"parameters", {{"event", 2}}}, {"continues", true}});
    CHECK(server.answer(client) == json{{"parameters", {{"ok", true}}}});
    CHECK(request.reply.is_gone()); // answered: nobody waits
}

TEST_CASE("without more only the last reply is sent", "[control]") {
    TestServer server;
    server.handle = [](ControlRequest request) {
        CHECK_FALSE(request.reply.wants_more());
        request.reply.progress({{"event", 1}});
        request.reply.done({{"ok", true}});
        request.reply.done({{"ok", "twice"}});
    };
    RawClient client{server.path()};
    client.call("Restart", {{"unit", "web"}});
    CHECK(server.answer(client) == json{{"parameters", {{"ok", true}}}});
    server.settle();
    CHECK_FALSE(client.has_reply());
}

TEST_CASE("an error of ours gets our interface as its prefix, one with dots stays as it is", "[control]") {
    TestServer server;
    server.handle = [](ControlRequest request) {
        if (request.method == "Trace")
            request.reply.fail("NoSuchUnit", {{"unit", "wbe"}});
        else
            request.reply.fail("org.varlink.service.ExpectedMore", nullptr);
    };
    RawClient client{server.path()};
    client.call("Trace", {{"unit", "wbe"}});
    CHECK(server.answer(client) ==
          json{{"error", "io.holdfast.Manager.NoSuchUnit"}, {"parameters", {{"unit", "wbe"}}}});
    client.call("Events", {{"follow", true}});
    CHECK(server.answer(client) ==
          json{{"error", "org.varlink.service.ExpectedMore"}, {"parameters", json::object()}});
}

TEST_CASE("a reply that is kept is answered later, and other clients are served meanwhile", "[control]") {
    TestServer server;
    RawClient slow{server.path()};
    RawClient quick{server.path()};
    slow.call("Stop", {{"unit", "web"}});
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    quick.call("List");
    REQUIRE(server.until([&] { return server.requests.size() == 2; }));
    server.requests[1].reply.done({{"units", json::array()}});
    server.answer(quick);
    CHECK_FALSE(slow.has_reply());
    server.requests[0].reply.done({{"ok", true}});
    CHECK(server.answer(slow) == json{{"parameters", {{"ok", true}}}});
}

TEST_CASE("a reply that is dropped unanswered is an internal error for the client", "[control]") {
    TestServer server;
    server.handle = [](ControlRequest) {};
    RawClient client{server.path()};
    client.call("List");
    CHECK(error_of(server.answer(client)) == "io.holdfast.Manager.InternalError");
    client.call("List"); // and the connection goes on
    CHECK(error_of(server.answer(client)) == "io.holdfast.Manager.InternalError");
}

TEST_CASE("pipelined requests are handed on one at a time and answered in order", "[control]") {
    TestServer server;
    RawClient client{server.path()};
    for (int i = 0; i < 100; ++i)
        client.call("Events", {{"since", i}});
    for (int i = 0; i < 100; ++i) {
        REQUIRE(server.until([&] { return !server.requests.empty(); }));
        server.settle();
        REQUIRE(server.requests.size() == 1); // the next one waits for this answer
        CHECK(server.requests[0].number("since") == i);
        server.requests[0].reply.done({{"was", i}});
        server.requests.clear();
        CHECK(server.answer(client) == json{{"parameters", {{"was", i}}}});
    }
}

TEST_CASE("a client that does not read its answers is not asked for more requests", "[control]") {
    TestServer server;
    int handled = 0;
    server.handle = [&](ControlRequest request) {
        ++handled;
        request.reply.done({{"padding", std::string(1000, 'x')}});
    };
    RawClient client{server.path()};
    for (int i = 0; i < 200; ++i)
        client.call("List");
    server.settle();
    CHECK(handled < 200);
    int answers = 0;
    CHECK(server.until([&] {
        client.receive();
        answers += static_cast<int>(client.replies.size());
        client.replies.clear();
        return answers == 200;
    }));
}

TEST_CASE("a message may arrive byte by byte", "[control]") {
    TestServer server;
    server.handle = [](ControlRequest request) { request.reply.done(nullptr); };
    RawClient client{server.path()};
    std::string const text = R"({"method":"io.holdfast.Manager.List"})";
    for (char const c : text) {
        client.send({&c, 1});
        server.settle();
    }
    CHECK_FALSE(client.has_reply());
    client.send({"\0", 1});
    CHECK(server.answer(client) == json{{"parameters", json::object()}});
}

TEST_CASE("a client that shuts its sending side down still gets its answers, then the end", "[control]") {
    TestServer server;
    RawClient client{server.path()};
    client.call("List");
    client.call("Version");
    REQUIRE(::shutdown(client.fd().raw(), SHUT_WR) == 0);
    for (int i = 0; i < 2; ++i) {
        REQUIRE(server.until([&] { return !server.requests.empty(); }));
        server.requests[0].reply.done({{"number", i}});
        server.requests.clear();
        CHECK(server.answer(client) == json{{"parameters", {{"number", i}}}});
    }
    CHECK(server.until([&] { return client.has_ended(); }));
    CHECK(server.server->client_count() == 0);
}

TEST_CASE("a client that went away is known to be gone, and answering it is harmless", "[control]") {
    TestServer server;
    auto client = std::make_unique<RawClient>(server.path());
    client->call("Restart", {{"unit", "web"}}, true);
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    auto& reply = server.requests[0].reply;
    CHECK_FALSE(reply.is_gone());
    client.reset();
    REQUIRE(server.until([&] { return reply.is_gone(); }));
    CHECK(server.server->client_count() == 0);
    reply.progress({{"event", 1}});
    reply.done({{"ok", true}});
}

TEST_CASE("a oneway call is carried out and not answered, even when its client has left", "[control]") {
    TestServer server;
    server.handle = [&](ControlRequest request) {
        request.reply.progress({{"event", 1}});
        request.reply.done({{"ok", true}});
        server.requests.push_back(std::move(request));
    };
    RawClient client{server.path()};
    client.send(std::string{R"({"method":"io.holdfast.Manager.Apply","oneway":true,"more":true})"} + '\0');
    client.call("org.varlink.service.GetInfo");
    CHECK(server.answer(client)["parameters"]["product"] == "holdfastd"); // and nothing before it
    CHECK(server.requests.size() == 1);

    RawClient leaving{server.path()};
    leaving.send(std::string{R"({"method":"io.holdfast.Manager.Apply","oneway":true})"} + '\0');
    leaving.close();
    CHECK(server.until([&] { return server.requests.size() == 2; }));
}

TEST_CASE("org.varlink.service describes the interface", "[control]") {
    TestServer server;
    RawClient client{server.path()};
    client.call("org.varlink.service.GetInfo");
    auto const info = server.answer(client)["parameters"];
    CHECK(info["vendor"] == "holdfast");
    CHECK(info["version"] == HOLDFAST_VERSION);
    CHECK(info["interfaces"] == json{"org.varlink.service", "io.holdfast.Manager"});
    for (auto const& name : info["interfaces"]) {
        client.call("org.varlink.service.GetInterfaceDescription", {{"interface", name}});
        auto const text = server.answer(client)["parameters"]["description"].get<std::string>();
        CHECK_THAT(text, ContainsSubstring("interface " + name.get<std::string>()));
    }
}

TEST_CASE("what cannot be called is answered with the standard error for it", "[control]") {
    TestServer server;
    RawClient client{server.path()};
    struct Row {
        std::string method;
        json parameters;
        json expected;
    };
    std::string const service = "org.varlink.service.";
    std::string const big = "18446744073709551615";
    for (auto const& row : std::vector<Row>{
             {"List2", {}, {{"error", service + "MethodNotFound"}, {"parameters", {{"method", "List2"}}}}},
             {"com.example.List",
              {},
              {{"error", service + "InterfaceNotFound"}, {"parameters", {{"interface", "com.example"}}}}},
             {service + "GetInterfaceDescription",
              {{"interface", "com.example"}},
              {{"error", service + "InterfaceNotFound"}, {"parameters", {{"interface", "com.example"}}}}},
             {service + "GetInterfaceDescription",
              {},
              {{"error", service + "InvalidParameter"}, {"parameters", {{"parameter", "interface"}}}}},
             {service + "Nothing",
              {},
              {{"error", service + "MethodNotFound"}, {"parameters", {{"method", "Nothing"}}}}},
             {"Restart",
              {},
              {{"error", service + "InvalidParameter"}, {"parameters", {{"parameter", "unit"}}}}},
             {"Restart",
              {{"unit", nullptr}},
              {{"error", service + "InvalidParameter"}, {"parameters", {{"parameter", "unit"}}}}},
             {"Restart",
              {{"unit", 7}},
              {{"error", service + "InvalidParameter"}, {"parameters", {{"parameter", "unit"}}}}},
             {"Events",
              {{"follow", "yes"}},
              {{"error", service + "InvalidParameter"}, {"parameters", {{"parameter", "follow"}}}}},
             {"Events",
              {{"since", 1.5}},
              {{"error", service + "InvalidParameter"}, {"parameters", {{"parameter", "since"}}}}},
             {"Events",
              {{"since", json::parse(big)}},
              {{"error", service + "InvalidParameter"}, {"parameters", {{"parameter", "since"}}}}},
             {"List",
              {{"colour", "red"}},
              {{"error", service + "InvalidParameter"}, {"parameters", {{"parameter", "colour"}}}}},
         }) {
        INFO(row.method << " " << row.parameters.dump());
        client.call(row.method, row.parameters);
        CHECK(server.answer(client) == row.expected);
    }
    client.send(std::string{R"({"method":"io.holdfast.Manager.List","upgrade":true})"} + '\0');
    CHECK(error_of(server.answer(client)) == service + "InvalidParameter");
    client.send(std::string{R"({"method":"nodots"})"} + '\0');
    CHECK(error_of(server.answer(client)) == service + "InterfaceNotFound");
    CHECK(server.requests.empty());
}

TEST_CASE("root, the daemon's own user and the control group may change, nobody else", "[control]") {
    auto const peer = [](uid_t uid, gid_t gid, std::vector<gid_t> groups = {}) {
        return Peer{uid, gid, 1, std::move(groups)};
    };
    CHECK(may_change(peer(0, 0), 500, std::nullopt));
    CHECK(may_change(peer(500, 500), 500, std::nullopt));
    CHECK(may_change(peer(7, 60), 500, gid_t{60}));
    CHECK(may_change(peer(7, 7, {8, 60}), 500, gid_t{60}));
    CHECK_FALSE(may_change(peer(7, 7, {8, 60}), 500, std::nullopt));
    CHECK_FALSE(may_change(peer(7, 0, {0}), 500, std::nullopt)); // group root is not user root
    CHECK_FALSE(may_change(peer(7, 7), 500, gid_t{60}));
}

TEST_CASE("somebody without rights may look and not change", "[control]") {
    if (!is_root())
        return;
    TestServer server;
    REQUIRE(::chmod(server.folder.path().c_str(), 0755) == 0);
    REQUIRE(::chmod(server.path().c_str(), 0666) == 0);
    server.handle = [](ControlRequest request) {
        request.reply.done({{"may", request.may_change}, {"uid", request.peer.uid}});
    };
    std::unique_ptr<RawClient> client;
    {
        AsUser const nobody{65534, 65534};
        client = std::make_unique<RawClient>(server.path());
    }
    REQUIRE(client->connect_error() == 0);
    for (auto const& method : control_methods()) {
        INFO(method.name);
        json parameters = json::object();
        for (auto const& parameter : method.parameters)
            if (parameter.required)
                parameters[std::string{parameter.name}] = "web";
        client->call(std::string{method.name}, parameters);
        auto const reply = server.answer(*client);
        if (method.access == Access::Look)
            CHECK(reply == json{{"parameters", {{"may", false}, {"uid", 65534}}}});
        else
            CHECK(reply == json{{"error", "io.holdfast.Manager.NotPermitted"},
                                {"parameters", {{"method", method.name}}}});
    }
}

TEST_CASE("a member of the control group may change, by the socket's mode and by its credentials",
          "[control]") {
    if (!is_root())
        return;
    group const* daemon_group = ::getgrnam("daemon"); // any group will do; this one is everywhere
    if (daemon_group == nullptr) {
        WARN("skipped: there is no group daemon");
        return;
    }
    gid_t const gid = daemon_group->gr_gid;
    TestServer server{{}, "daemon"};
    REQUIRE(::chmod(server.folder.path().c_str(), 0755) == 0);
    struct stat seen {};
    REQUIRE(::stat(server.path().c_str(), &seen) == 0);
    CHECK((seen.st_mode & 07777) == 0660);
    CHECK(seen.st_gid == gid);
    server.handle = [](ControlRequest request) { request.reply.done({{"may", request.may_change}}); };
    std::unique_ptr<RawClient> member;
    std::unique_ptr<RawClient> other;
    {
        AsUser const user{65534, 65534, {gid}};
        member = std::make_unique<RawClient>(server.path());
    }
    {
        AsUser const user{65534, 65534};
        other = std::make_unique<RawClient>(server.path());
    }
    REQUIRE(member->connect_error() == 0);
    CHECK(other->connect_error() == EACCES);
    member->call("Apply");
    CHECK(server.answer(*member) == json{{"parameters", {{"may", true}}}});
}

TEST_CASE("a stale socket is replaced, something else in its place is refused", "[control]") {
    TempFolder folder;
    auto loop = EventLoop::create();
    REQUIRE(loop);
    ControlServerOptions options;
    options.path = folder / "control.sock";
    {
        UniqueFd stale{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        options.path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(stale.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    }
    {
        auto server = ControlServer::open(**loop, options, [](ControlRequest) {});
        REQUIRE(server);
        CHECK(RawClient{options.path}.connect_error() == 0);
    }
    CHECK_FALSE(std::filesystem::exists(options.path)); // it cleans up after itself

    std::filesystem::create_directory(options.path);
    auto refused = ControlServer::open(**loop, options, [](ControlRequest) {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EEXIST);

    options.path = folder / (std::string(120, 'x'));
    auto too_long = ControlServer::open(**loop, options, [](ControlRequest) {});
    REQUIRE_FALSE(too_long);
    CHECK(too_long.error().code == ENAMETOOLONG);
}

TEST_CASE("a reply that outlives the server is harmless", "[control]") {
    ControlReply kept;
    TestServer server;
    RawClient client{server.path()};
    client.call("Stop", {{"unit", "web"}});
    REQUIRE(server.until([&] { return server.requests.size() == 1; }));
    kept = std::move(server.requests[0].reply);
    server.server.reset();
    CHECK(client.has_ended());
    CHECK(kept.is_gone());
    kept.done({{"ok", true}});
}

TEST_CASE("who keeps a reply is told once when its client goes", "[control]") {
    // Nobody was: what was kept for a client that had gone stayed until somebody looked.
    TestServer test;
    RawClient client{test.path()};
    client.call("List");
    REQUIRE(test.until([&] { return !test.requests.empty(); }));
    int gone = 0;
    test.requests.front().reply.on_gone([&] { ++gone; });
    test.settle();
    CHECK(gone == 0);
    client.close();
    CHECK(test.until([&] { return gone > 0; }));
    test.settle();
    CHECK(gone == 1);
    test.requests.front().reply.on_gone([&] { gone += 10; }); // it has gone already: at once
    CHECK(gone == 11);
    test.requests.front().reply.done(json::object());
    CHECK(gone == 11);
}

TEST_CASE("who has answered is not told that the client goes", "[control]") {
    TestServer test;
    RawClient client{test.path()};
    client.call("List");
    REQUIRE(test.until([&] { return !test.requests.empty(); }));
    int gone = 0;
    test.requests.front().reply.on_gone([&] { ++gone; });
    test.requests.front().reply.done(json::object());
    (void)test.answer(client);
    client.close();
    CHECK(test.until([&] { return test.server->client_count() == 0; }));
    CHECK(gone == 0);
}
