// SPDX-License-Identifier: Apache-2.0
// Health probes against real servers on loopback: what passes, what does not, and why.
#include "support.h"
#include "worker/probe.h"

#include <csignal>
#include <thread>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Accepts `count` connections, one after the other, and answers each; then it ends. The listener is
/// blocking.
std::thread serve(FdRef listener, std::string answer, int count = 1) {
    return std::thread{[listener, answer = std::move(answer), count] {
        for (int i = 0; i < count; ++i) {
            UniqueFd const client{::accept4(listener.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
            char asked[4096];
            if (::recv(client.raw(), asked, sizeof asked, 0) > 0)
                (void)::send(client.raw(), answer.data(), answer.size(), MSG_NOSIGNAL);
        }
    }};
}

UnitSpec probed(HealthSpec health) {
    UnitSpec spec;
    spec.name = "web";
    spec.service.exec_start = {"/bin/app"};
    spec.health = std::move(health);
    return spec;
}

/// A prober of a worker that this test plays.
struct Probed : Turning {
    explicit Probed(HealthSpec health, UnitSpec spec = {}) {
        if (spec.name.empty())
            spec = probed(std::move(health));
        around.output = Output::Kind::File;
        around.log_folder = folder.path();
        auto opened = open_private_listener(false);
        REQUIRE(opened);
        listener = FdRef{opened->fd};
        prober = std::make_unique<Prober>(
            *loop, Prober::Subject{std::make_shared<UnitSpec const>(std::move(spec)), {2, 7}, 1},
            std::move(opened).value(), around, children,
            [this](bool passed) { told.push_back(passed ? "passed" : "failed: " + prober->why()); });
    }
    std::string first() {
        prober->start(1234);
        REQUIRE(until([this] { return !told.empty(); }));
        return told.front();
    }

    TempFolder folder;
    Surroundings around;
    std::unordered_set<pid_t> children;
    FdRef listener;
    std::unique_ptr<Prober> prober;
    std::vector<std::string> told;
};

HealthSpec over_http(unsigned failures = 1, Duration timeout = 10s) {
    HealthSpec health;
    health.http = "/healthz";
    health.failures = static_cast<std::uint16_t>(failures);
    health.timeout = timeout;
    health.interval = 10ms;
    return health;
}

} // namespace

TEST_CASE("the status of an HTTP answer is read from its first line, as soon as it is there", "[worker]") {
    struct Row {
        std::string text;
        std::optional<int> status;
    };
    for (auto const& [text, status] : std::vector<Row>{{"HTTP/1.1 200 OK\r\n\r\n", 200},
                                                       {"HTTP/1.0 503 \r\n", 503},
                                                       {"HTTP/1.1 204\r\n", 204},
                                                       {"HTTP/1.1 399\n", 399},
                                                       {"HTTP/1.1 20", std::nullopt},
                                                       {"", std::nullopt},
                                                       {"HTTP/1.1 2000\r\n", 0},
                                                       {"HTTP/2 200 OK\r\n\r\n", 0},
                                                       {"HTTP/1.1  200\r\n", 0},
                                                       {"SSH-2.0-OpenSSH_9.2\r\n", 0},
                                                       {"\r\n", 0}}) {
        CAPTURE(text);
        CHECK(read_http_status(text, false) == status);
    }
    CHECK(read_http_status("HTTP/1.1 200", true) == 200);
    CHECK(read_http_status("HTTP/1.1 2", true) == 0);
    CHECK(read_http_status(std::string(4096, 'x'), true) == 0);
}

TEST_CASE("a worker that answers 200 to 399 passes, and what it says else is told", "[worker]") {
    for (auto const& [answer, told] : std::vector<std::pair<std::string, std::string>>{
             {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "passed"},
             {"HTTP/1.1 302 Found\r\n\r\n", "passed"},
             {"HTTP/1.1 500 Internal Server Error\r\n\r\n", "failed: GET /healthz answered 500"},
             {"HTTP/1.1 103 Early Hints\r\n\r\n", "failed: GET /healthz answered 103"},
             {"hello\r\n", "failed: GET /healthz: the answer is not HTTP"}}) {
        CAPTURE(answer);
        Probed worker{over_http()};
        auto server = serve(worker.listener, answer);
        CHECK(worker.first() == told);
        worker.prober->stop();
        server.join();
    }
}

TEST_CASE("no answer is a failure of a worker that is up, not of one that starts", "[worker]") {
    Probed worker{over_http(2, 20ms)};
    worker.prober->start(1234);
    REQUIRE(worker.until([&] { return !worker.prober->why().empty(); }));
    CHECK(worker.prober->why() == "GET /healthz: no answer within 20ms");
    CHECK(worker.told.empty());
    worker.prober->worker_is_up();
    REQUIRE(worker.until([&] { return worker.told.size() == 2; })); // and again after as many
    CHECK(worker.told.back() == "failed: GET /healthz: no answer within 20ms");
}

TEST_CASE("a connection that is closed without an answer is a failure of a worker that is up", "[worker]") {
    Probed worker{over_http()};
    worker.prober->worker_is_up();
    auto server = serve(worker.listener, "");
    CHECK(worker.first() == "failed: GET /healthz: the connection was closed without an answer");
    worker.prober->stop();
    server.join();
}

TEST_CASE("a pass is told once, and again when it follows a failure", "[worker]") {
    Probed worker{over_http(3)};
    auto server = std::thread{[&] {
        for (auto const* const answer : {"200", "200", "500", "500", "204", "500", "500", "500", "200"})
            serve(worker.listener, std::string{"HTTP/1.1 "} + answer + "\r\n\r\n").join();
    }};
    worker.prober->start(1234);
    REQUIRE(worker.until([&] { return worker.told.size() == 4; }));
    worker.prober->stop();
    server.join();
    CHECK(worker.told ==
          std::vector<std::string>{"passed", "passed", "failed: GET /healthz answered 500", "passed"});
}

TEST_CASE("tcp passes when the worker has accepted, not when the kernel has connected", "[worker]") {
    HealthSpec health;
    health.tcp = true;
    health.failures = 1;
    health.interval = 10ms;
    SECTION("one that does not accept") {
        health.timeout = 20ms;
        Probed worker{health};
        worker.prober->worker_is_up();
        CHECK(worker.first() == "failed: its connection was not accepted within 20ms");
    }
    SECTION("one that accepts") {
        health.timeout = 10s;
        Probed worker{health};
        auto server = std::thread{[&] {
            UniqueFd const client{::accept4(worker.listener.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
            char end;
            (void)::recv(client.raw(), &end, 1, 0); // until the probe hangs up
        }};
        CHECK(worker.first() == "passed");
        worker.prober->stop();
        server.join();
    }
}

TEST_CASE("a command passes by its exit status, and knows whom it is for", "[worker]") {
    become_reaper();
    auto const by_command = [](std::string const& script, Duration timeout = 10s) {
        HealthSpec health;
        health.exec = {"/bin/sh", "-c", script};
        health.failures = 1;
        health.timeout = timeout;
        return health;
    };
    SECTION("exit 0") {
        auto spec = probed(
            by_command("test {unit}.{slot}.{generation} = web.2.7 && test $HOLDFAST_PROBE_PID = 1234 && "
                       "test -z \"$NOTIFY_SOCKET$LISTEN_FDS\" && test \"$A$B\" = a && "
                       "case $HOLDFAST_PROBE_ADDRESS in 127.0.0.1:[1-9]*) exit 0;; esac; exit 9"));
        spec.service.environment = {{"A", "a"}, {"B", "{fd:http}"}};
        Probed worker{{}, spec};
        worker.prober->worker_is_up();
        CHECK(worker.first() == "passed");
        CHECK(worker.children.empty());
    }
    SECTION("another") {
        Probed worker{by_command("exit 3")};
        worker.prober->worker_is_up();
        CHECK(worker.first() == "failed: /bin/sh: exit code 3");
    }
    SECTION("none in time: it is killed") {
        Probed worker{by_command("exec sleep 1000", 200ms)};
        worker.prober->worker_is_up();
        CHECK(worker.first() == "failed: /bin/sh did not end within 200ms");
        CHECK(worker.children.empty());
        int status = 0;
        auto const pid = ::waitpid(-1, &status, 0);
        CHECK(pid > 0);
        CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    }
    SECTION("it is not there") {
        HealthSpec health;
        health.exec = {"/no/such/program"};
        health.failures = 1;
        Probed worker{health};
        worker.prober->worker_is_up();
        CHECK_THAT(worker.first(), ContainsSubstring("cannot execute /no/such/program: No such file"));
    }
}
