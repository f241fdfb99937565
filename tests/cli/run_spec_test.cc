// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/run_spec.h"

using namespace holdfast;
using namespace holdfast::cli;

namespace {

RunOptions options_for(std::vector<std::string> command) {
    RunOptions options;
    options.command = std::move(command);
    return options;
}

std::string refusal(RunOptions const& options) {
    auto const spec = make_run_spec(options);
    REQUIRE_FALSE(spec);
    return to_string(spec.error());
}

} // namespace

TEST_CASE("holdfast run makes a unit that is named after its program", "[cli]") {
    CHECK((*make_run_spec(options_for({"/usr/bin/my app", "-v"})))->name == "my-app");
    CHECK((*make_run_spec(options_for({"./..."})))->name == "run");
    auto const spec = make_run_spec(options_for({"./server", "--port", "1"}));
    REQUIRE(spec);
    CHECK((*spec)->service.exec_start == std::vector<std::string>{"./server", "--port", "1"});
    CHECK((*spec)->service.type == ServiceType::Exec);
    CHECK((*spec)->description == "./server --port 1");
}

TEST_CASE("each --listen is a socket, named by the --name of its place or numbered", "[cli]") {
    auto options = options_for({"app"});
    options.listen = {"8080", "unix:/run/app", "udp://[::1]:53"};
    options.names = {"web"};
    auto const spec = make_run_spec(options);
    REQUIRE(spec);
    REQUIRE((*spec)->sockets.size() == 3);
    CHECK((*spec)->sockets[0].name == "web");
    CHECK((*spec)->sockets[1].name == "socket2");
    CHECK((*spec)->sockets[2].name == "socket3");
    CHECK((*spec)->sockets[1].listen.front().transport == Transport::UnixStream);
    CHECK((*spec)->sockets[2].listen.front().port == 53);
}

TEST_CASE("--ready notify and --handoff scm_rights reach the service", "[cli]") {
    auto options = options_for({"app"});
    options.ready = "notify";
    options.handoff = "scm_rights";
    options.workers = 4;
    auto const spec = make_run_spec(options);
    REQUIRE(spec);
    CHECK((*spec)->service.type == ServiceType::Notify);
    CHECK((*spec)->service.handoff == std::vector{HandoffKind::ScmRights});
    CHECK((*spec)->service.workers == 4);
}

TEST_CASE("--reuse-port is for every socket, and a unix socket cannot have it", "[cli]") {
    auto options = options_for({"app"});
    options.listen = {"8080", "udp://53"};
    options.reuse_port = true;
    auto const spec = make_run_spec(options);
    REQUIRE(spec);
    CHECK((*spec)->sockets.at(0).reuse_port);
    CHECK((*spec)->sockets.at(1).reuse_port);
    options.listen = {"8080", "unix:/run/app.sock"};
    CHECK_THAT(refusal(options), ContainsSubstring("--reuse-port is for TCP and UDP"));
}

TEST_CASE("what holdfast run cannot do yet is refused by name", "[cli]") {
    auto options = options_for({"app"});
    options.ready = "tcp";
    CHECK_THAT(refusal(options), ContainsSubstring("--ready tcp is not supported yet"));
    options = options_for({"app"});
    options.handoff = "einhorn";
    CHECK_THAT(refusal(options), ContainsSubstring("--handoff einhorn is not supported yet"));
}

TEST_CASE("bad addresses and names of holdfast run are refused with the option they came from", "[cli]") {
    auto options = options_for({"app"});
    options.listen = {"localhost:80"};
    CHECK_THAT(refusal(options), ContainsSubstring("--listen localhost:80") && ContainsSubstring("numeric"));
    options.listen = {"80"};
    options.names = {"a b"};
    CHECK_THAT(refusal(options), ContainsSubstring("--name a b"));
    options.names.clear();
    options.listen = {"127.0.0.1:80", "tcp://127.0.0.1:80"};
    CHECK_THAT(refusal(options), ContainsSubstring("twice"));
}
