// SPDX-License-Identifier: Apache-2.0
// The program itself against a daemon that answers what the test tells it to.
#include "control/harness.h"

#include <csignal>
#include <optional>

#include <spawn.h>
#include <sys/wait.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

struct Ran {
    int status = -1;
    std::string out;
    std::string err;
};

/// A `holdfast` that is running; it is killed if the test does not wait for its end.
class Command {
public:
    explicit Command(std::vector<std::string> words) {
        words.insert(words.begin(), HOLDFAST_COMMAND);
        std::vector<char*> arguments;
        for (auto& word : words)
            arguments.push_back(word.data());
        arguments.push_back(nullptr);
        int out[2];
        int err[2];
        REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
        REQUIRE(::pipe2(err, O_CLOEXEC) == 0);
        out_ = UniqueFd{out[0]};
        err_ = UniqueFd{err[0]};
        UniqueFd const out_write{out[1]};
        UniqueFd const err_write{err[1]};
        for (auto* end : {&out_, &err_})
            REQUIRE(::fcntl(end->raw(), F_SETFL, O_NONBLOCK) == 0);
        posix_spawn_file_actions_t actions;
        REQUIRE(::posix_spawn_file_actions_init(&actions) == 0);
        ::posix_spawn_file_actions_adddup2(&actions, out_write.raw(), 1);
        ::posix_spawn_file_actions_adddup2(&actions, err_write.raw(), 2);
        int const r = ::posix_spawn(&pid_, HOLDFAST_COMMAND, &actions, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        REQUIRE(r == 0);
    }
    Command(Command const&) = delete;
    Command& operator=(Command const&) = delete;
    ~Command() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    void collect() {
        drain(out_, ran.out);
        drain(err_, ran.err);
    }
    /// True when it has ended; then ran.status is set.
    bool has_ended() {
        collect();
        if (pid_ <= 0)
            return true;
        int status = 0;
        if (::waitpid(pid_, &status, WNOHANG) != pid_)
            return false;
        pid_ = 0;
        ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        collect();
        return true;
    }
    void interrupt() const { REQUIRE(::kill(pid_, SIGINT) == 0); }

    Ran ran;

private:
    static void drain(FdRef from, std::string& into) {
        char chunk[65536];
        for (ssize_t n = 0; (n = ::read(from.raw(), chunk, sizeof chunk)) > 0;)
            into.append(chunk, static_cast<std::size_t>(n));
    }
    pid_t pid_ = -1;
    UniqueFd out_;
    UniqueFd err_;
};

Ran run(TestServer& server, std::vector<std::string> words) {
    words.insert(words.end(), {"--runtime-dir", server.folder.path()});
    Command command{std::move(words)};
    REQUIRE(server.until([&] { return command.has_ended(); }));
    return command.ran;
}

json event(std::string const& text) {
    return {{"event", {{"monotonic_usec", 1}, {"unit", "web"}, {"text", text}}}};
}

json unit(std::string const& name, std::string const& state) {
    return {{"name", name},    {"description", ""},        {"state", state},          {"wanted", "up"},
            {"since_usec", 0}, {"workers", json::array()}, {"sockets", json::array()}};
}

} // namespace

TEST_CASE("restart shows each step and the result, and passes the strategy on", "[cli]") {
    TestServer server;
    std::optional<std::string> strategy;
    server.handle = [&](ControlRequest request) {
        CHECK(request.method == "Restart");
        CHECK(request.more);
        strategy = request.text("strategy");
        request.reply.progress(event("starting"));
        request.reply.done({{"ok", true}, {"message", "restarted"}});
    };
    auto const ran = run(server, {"restart", "web", "--strategy", "replace"});
    CHECK(ran.status == 0);
    CHECK(ran.out == "  +0.000s  web: starting\nweb: restarted\n");
    CHECK(ran.err.empty());
    CHECK(strategy == "replace");
    CHECK(run(server, {"restart", "web", "--quiet"}).out == "web: restarted\n");
    CHECK_FALSE(strategy);
    CHECK(run(server, {"restart", "web", "--json"}).out ==
          json{{"event", event("starting")["event"]}, {"format", 1}}.dump() + "\n" +
              json{{"ok", true}, {"message", "restarted"}, {"format", 1}}.dump() + "\n");
}

TEST_CASE("a rollout that failed is exit status 1", "[cli]") {
    TestServer server;
    server.handle = [](ControlRequest request) {
        request.reply.done({{"ok", false}, {"message", "the old generation stays"}});
    };
    auto const ran = run(server, {"restart", "web"});
    CHECK(ran.status == 1);
    CHECK(ran.out == "web: the old generation stays\n  see: holdfast status web, holdfast events web\n");
}

TEST_CASE("of several units each is tried, and the first that went wrong decides", "[cli]") {
    TestServer server;
    std::vector<std::string> seen;
    server.handle = [&](ControlRequest request) {
        seen.push_back(request.method + " " + *request.text("unit"));
        if (seen.size() == 2)
            request.reply.fail("NoSuchUnit", {{"unit", "b"}, {"suggestion", "a"}});
        else
            request.reply.done({{"ok", seen.size() != 3}});
    };
    auto const ran = run(server, {"stop", "a", "b", "c", "d"});
    CHECK(ran.status == 4);
    CHECK(ran.out == "a: done\nc: failed\n  see: holdfast status c, holdfast events c\nd: done\n");
    CHECK(ran.err == "holdfast: there is no unit `b`; did you mean `a`?\n");
    CHECK(seen == std::vector<std::string>{"Stop a", "Stop b", "Stop c", "Stop d"});
}

TEST_CASE("no-wait returns when it has begun, and an error is still seen", "[cli]") {
    TestServer server;
    std::vector<ControlReply> kept;
    server.handle = [&](ControlRequest request) {
        if (request.text("unit") == "nix")
            return request.reply.fail("NoSuchUnit", {{"unit", "nix"}});
        request.reply.progress(event("starting"));
        kept.push_back(std::move(request.reply)); // never done
    };
    auto const ran = run(server, {"start", "a", "b", "--no-wait"});
    CHECK(ran.status == 0);
    CHECK(ran.out.empty());
    CHECK(kept.size() == 2);
    CHECK(run(server, {"start", "nix", "--no-wait"}).status == 4);
}

TEST_CASE("the exit status of status tells whether the unit is active", "[cli]") {
    TestServer server;
    server.handle = [](ControlRequest request) {
        auto const name = request.text("unit");
        if (name == "nix")
            return request.reply.fail("NoSuchUnit", {{"unit", "nix"}});
        json units = json::array();
        if (name)
            units.push_back(unit(*name, *name == "down" ? "inactive" : "active"));
        else
            units = json::array({unit("up", "active"), unit("down", "inactive")});
        request.reply.done({{"units", units}});
    };
    CHECK(run(server, {"status", "up"}).status == 0);
    CHECK(run(server, {"status", "down"}).status == 3);
    CHECK(run(server, {"status", "nix"}).status == 4);
    CHECK(run(server, {"status", "up", "down", "nix"}).status == 3);
    auto const all = run(server, {"status"});
    CHECK(all.status == 0);
    CHECK_THAT(all.out, ContainsSubstring("inactive"));
    CHECK(json::parse(run(server, {"status", "--json"}).out)["units"].size() == 2);
    auto const failed = run(server, {"status", "nix", "--json"});
    CHECK(json::parse(failed.out)["error"] == "NoSuchUnit");
    CHECK_FALSE(failed.err.empty());
}

TEST_CASE("each verb that only looks asks its method and prints the answer", "[cli]") {
    TestServer server;
    std::string asked;
    server.handle = [&](ControlRequest request) {
        asked = request.method + request.parameters->dump();
        request.reply.done({{"units", json::array()},
                            {"sockets", json::array()},
                            {"toml", "[unit]"},
                            {"facts", {"1 stop-wished"}},
                            {"complete", request.method != "Plan"},
                            {"version", "9.9"}});
    };
    struct Row {
        std::vector<std::string> words;
        std::string asks;
        std::string prints;
        int status = 0;
    };
    for (auto const& row : std::vector<Row>{
             {{"list"}, "List{}", "There are no units.\n"},
             {{"sockets"}, "Sockets{}", "There are no sockets.\n"},
             {{"sockets", "web"}, R"(Sockets{"unit":"web"})", "There are no sockets.\n"},
             {{"show", "web"}, R"(Show{"unit":"web"})", "[unit]\n"},
             {{"trace", "web"}, R"(Trace{"unit":"web"})", "1 stop-wished\n"},
             {{"plan"}, "Plan{}", "Nothing would change.\n", 1},
         }) {
        auto const ran = run(server, row.words);
        CHECK(asked == row.asks);
        CHECK(ran.out == row.prints);
        CHECK(ran.status == row.status);
        auto json_words = row.words;
        json_words.push_back("--json");
        CHECK(json::parse(run(server, json_words).out)["version"] == "9.9");
    }
    CHECK_THAT(run(server, {"version"}).out, ContainsSubstring("holdfastd 9.9"));
}

TEST_CASE("apply shows what was done and fails when a file has errors", "[cli]") {
    TestServer server;
    bool complete = true;
    server.handle = [&](ControlRequest request) {
        CHECK(request.method == "Apply");
        request.reply.progress(event("taken over"));
        request.reply.done({{"units", json::array({{{"unit", "web"}, {"action", "update"}}})},
                            {"complete", complete},
                            {"ok", true}});
    };
    auto const good = run(server, {"apply"});
    CHECK(good.status == 0);
    CHECK(good.out == "  +0.000s  web: taken over\nweb was changed, without a restart\n");
    complete = false;
    CHECK(run(server, {"apply"}).status == 1);
}

TEST_CASE("events prints what was, and with follow each new one until it is interrupted", "[cli]") {
    TestServer server;
    json const one{{"events", json::array({{{"time", "t"}, {"unit", "web"}, {"text", "one"}}})}};
    ControlReply kept;
    server.handle = [&](ControlRequest request) {
        CHECK(request.text("unit") == "web");
        if (request.flag("follow") != true)
            return request.reply.done(one);
        CHECK(request.more);
        request.reply.progress(one);
        kept = std::move(request.reply);
    };
    CHECK(run(server, {"events", "web"}).out == "t  web  one\n");
    Command following{{"events", "web", "--follow", "--runtime-dir", server.folder.path()}};
    auto const shows = [&](std::string const& text) {
        return server.until([&] {
            following.collect();
            return following.ran.out == text;
        });
    };
    CHECK(shows("t  web  one\n"));
    kept.progress(one);
    CHECK(shows("t  web  one\nt  web  one\n"));
    following.interrupt();
    CHECK(server.until([&] { return following.has_ended(); }));
    CHECK(following.ran.status == 128 + SIGINT);
    CHECK(server.until([&] { return kept.is_gone(); }));
}

TEST_CASE("shutdown waits until the daemon is gone", "[cli]") {
    TestServer server;
    int asked = 0;
    server.handle = [&](ControlRequest request) {
        ++asked;
        request.reply.done({{"ok", true}});
    };
    CHECK(run(server, {"shutdown", "--no-wait"}).out == "The daemon is shutting down.\n");
    Command waiting{{"shutdown", "--runtime-dir", server.folder.path()}};
    REQUIRE(server.until([&] { return asked == 2; }));
    server.settle();
    CHECK_FALSE(waiting.has_ended());
    server.server.reset();
    CHECK(server.until([&] { return waiting.has_ended(); }));
    CHECK(waiting.ran.status == 0);
    CHECK(waiting.ran.out == "The daemon has ended.\n");
}

TEST_CASE("without a daemon a command says where it looked and exits with 6, but version and verify work",
          "[cli]") {
    TestServer server;
    server.server.reset();
    auto const ran = run(server, {"restart", "a", "b"});
    CHECK(ran.status == 6);
    CHECK(ran.err == "holdfast: no daemon answers at " + server.path() +
                         "; start holdfastd, or give another --runtime-dir\n");
    CHECK(run(server, {"version"}).status == 0);
    std::string const units = std::string{HOLDFAST_SOURCE_DIR} + "/tests/units/";
    CHECK(run(server, {"verify", units + "bad/exec-missing.toml"}).status == 1);
}

TEST_CASE("a daemon that dies in the middle of a restart is exit status 6", "[cli]") {
    TestServer server;
    server.handle = [&](ControlRequest request) {
        request.reply.progress(event("starting"));
        server.requests.push_back(std::move(request));
        server.loop->post([&] { server.server.reset(); });
    };
    auto const ran = run(server, {"restart", "web"});
    CHECK(ran.status == 6);
    CHECK_THAT(ran.err, ContainsSubstring("ended before it answered"));
}

TEST_CASE("output that cannot be written is a failure", "[cli]") {
    if (::access("/dev/full", W_OK) != 0) {
        WARN("skipped: there is no /dev/full");
        return;
    }
    std::string const shell =
        std::string{HOLDFAST_COMMAND} + " version --runtime-dir /nonexistent >/dev/full 2>/dev/null";
    int const status = std::system(shell.c_str()); // NOLINT: a fixed command
    CHECK(WEXITSTATUS(status) == 1);
}
