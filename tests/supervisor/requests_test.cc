// SPDX-License-Identifier: Apache-2.0
// The methods of io.holdfast.Manager against real units, over a real control socket.
#include "control/client.h"
#include "control/server.h"
#include "harness.h"
#include "lifecycle/trace.h"
#include "supervisor/requests.h"

#include <future>

#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;
using nlohmann::json;

namespace {

struct Controlled : Home {
    Controlled() : requests{*supervisor, [this] { ++shut_downs; }} {
        ControlServerOptions options;
        options.path = path;
        options.group = "";
        auto opened = ControlServer::open(*loop, std::move(options), [this](ControlRequest request) {
            requests.handle(std::move(request));
        });
        if (!opened)
            FAIL(to_string(opened.error()));
        server = std::move(opened).value();
    }
    /// Calls from another thread, while this one turns the loop.
    ControlAnswer call(std::string const& method, json const& parameters = json::object()) {
        progress.clear();
        auto answer = std::async(std::launch::async, [&]() -> Result<ControlAnswer> {
            auto client = ControlClient::connect_to(path);
            if (!client)
                return std::move(client).error();
            return client->call_more(
                method, parameters,
                [&](json const& part) {
                    progress.push_back(part);
                    return true;
                },
                20s);
        });
        REQUIRE(until([&] { return answer.wait_for(0s) == std::future_status::ready; }, 30s));
        auto result = answer.get();
        if (!result)
            FAIL(to_string(result.error()));
        return std::move(result).value();
    }
    json done(std::string const& method, json const& parameters = json::object()) {
        auto const answer = call(method, parameters);
        CHECK(answer.error == "");
        return answer.parameters;
    }

    std::string path = folder / "control.sock";
    Requests requests;
    std::unique_ptr<ControlServer> server;
    std::vector<json> progress;
    int shut_downs = 0;
};

} // namespace

TEST_CASE("start, restart and stop are answered over the control socket, with their events", "[supervisor]") {
    Controlled test;
    test.add("web", tcp_socket("http", 0) + service(runs));
    auto answer = test.done("Start", {{"unit", "web"}});
    CHECK(answer["ok"] == true);
    CHECK(!test.progress.empty());
    CHECK(test.progress.front()["event"]["unit"] == "web");
    answer = test.done("Restart", {{"unit", "web"}, {"strategy", "replace"}});
    CHECK(answer["ok"] == true);
    CHECK(answer["report"]["strategy"] == "replace");
    CHECK(answer["report"]["verdict"] == "done");
    answer = test.done("Status", {{"unit", "web"}});
    REQUIRE(answer["units"].size() == 1);
    auto const& unit = answer["units"][0];
    CHECK(unit["state"] == "active");
    CHECK(unit["generation"] == 2);
    CHECK(unit["workers"][0]["pid"].is_number());
    CHECK(unit["workers"][0]["memory_bytes"].is_number());
    CHECK(unit["sockets"][0]["queue"] == 0);
    CHECK(unit["problem"].is_null());
    CHECK(test.done("Stop", {{"unit", "web"}})["ok"] == true);
    CHECK(test.done("List")["units"][0]["state"] == "inactive");
}

TEST_CASE("a failed start is an answer that says why, not an error of the protocol", "[supervisor]") {
    Controlled test;
    test.add("web", "[service]\nexec_start = [\"/no/such/program\"]\n");
    auto const answer = test.done("Start", {{"unit", "web"}});
    CHECK(answer["ok"] == false);
    CHECK_THAT(answer["message"].get<std::string>(), ContainsSubstring("/no/such/program"));
    CHECK_THAT(test.done("List")["units"][0]["problem"].get<std::string>(),
               ContainsSubstring("/no/such/program"));
}

TEST_CASE("a unit that is not there, and one whose file is bad, are told apart", "[supervisor]") {
    Controlled test;
    test.add("web", service(runs));
    test.file("bad", "[service");
    test.file("web", service(runs));
    (void)test.apply();
    for (auto const* method :
         {"Start", "Stop", "Restart", "Show", "Trace", "Status", "Sockets", "Events", "Report", "History"}) {
        CAPTURE(method);
        auto const answer = test.call(method, {{"unit", "wbe"}});
        CHECK(answer.error == "NoSuchUnit");
        CHECK(answer.parameters["suggestion"] == "web");
    }
    auto const answer = test.call("Start", {{"unit", "bad"}});
    CHECK(answer.error == "BadUnit");
    CHECK(answer.parameters["diagnostics"].size() >= 1);
    CHECK(test.done("Status", {{"unit", "bad"}})["units"][0]["state"] == "bad");
}

TEST_CASE("a strategy that there is not, or that the unit cannot have, is refused", "[supervisor]") {
    Controlled test;
    test.add("web", service(runs));
    auto const answer = test.call("Restart", {{"unit", "web"}, {"strategy", "sideways"}});
    CHECK(answer.error == "org.varlink.service.InvalidParameter");
    CHECK(answer.parameters["parameter"] == "strategy");
    auto const refused = test.done("Restart", {{"unit", "web"}, {"strategy", "in_place"}});
    CHECK(refused["ok"] == false);
    CHECK_THAT(refused["message"].get<std::string>(), ContainsSubstring("no way to reload"));
}

TEST_CASE("what does not run cannot reload, and says so", "[supervisor]") {
    Controlled test;
    test.add("web", service(runs));
    auto const answer = test.call("Reload", {{"unit", "web"}});
    CHECK(answer.error == "NotActive");
    CHECK(answer.parameters["state"] == "inactive");
}

TEST_CASE("reports of rollouts can be asked for, as long as they are kept", "[supervisor]") {
    Controlled test;
    auto& unit = test.add("web", tcp_socket("http", 0) + service(runs));
    CHECK(test.call("Report", {{"unit", "web"}}).error == "NoSuchRollout");
    CHECK(test.done("History", {{"unit", "web"}})["rollouts"].empty());
    REQUIRE(test.start(unit).ok);
    REQUIRE(test.restart(unit).ok);
    REQUIRE(test.restart(unit).ok);
    auto const last = test.done("Report", {{"unit", "web"}});
    CHECK(last["report"]["generation"] == 3);
    CHECK(last["report"]["verdict"] == "done");
    CHECK(last["timeline"]["lanes"].size() == 2);
    CHECK(last["timeline"]["queues"].size() == 1);
    CHECK(test.done("Report", {{"unit", "web"}, {"generation", 2}})["report"]["generation"] == 2);
    auto const none = test.call("Report", {{"unit", "web"}, {"generation", -1}});
    CHECK(none.error == "NoSuchRollout");
    CHECK(none.parameters["generation"] == -1);
    auto const history = test.done("History", {{"unit", "web"}});
    CHECK(history["rollouts"].size() == 2);
    CHECK(history["under_way"].empty());
}

TEST_CASE("sockets, the unit's text, the trace and the version can be looked at", "[supervisor]") {
    Controlled test;
    auto& unit = test.add("web", tcp_socket("http", 0) + service(runs));
    REQUIRE(test.start(unit).ok);
    auto const sockets = test.done("Sockets")["sockets"];
    REQUIRE(sockets.size() == 1);
    CHECK(sockets[0]["unit"] == "web");
    CHECK(sockets[0]["port"] == unit.sockets().held().front().port);
    CHECK(sockets[0]["limit"] == 64);
    CHECK(test.done("Sockets", {{"unit", "web"}})["sockets"].size() == 1);
    CHECK_THAT(test.done("Show", {{"unit", "web"}})["toml"].get<std::string>(),
               ContainsSubstring("timeout_stop = \"30s\""));
    auto const trace = test.done("Trace", {{"unit", "web"}});
    CHECK(trace["facts"].size() == unit.trace().facts().size() + 1);
    CHECK(trace["dropped"] == 0);
    auto const version = test.done("Version");
    CHECK(version["pid"] == ::getpid());
    CHECK(version["mode"] == "user");
}

TEST_CASE("a trace is what the tests of the lifecycle replay", "[supervisor]") {
    // Its lines had another form than parse_trace_line() reads, and said nothing of the policy.
    Controlled test;
    auto& unit = test.add("web", tcp_socket("http", 0) + service(runs));
    REQUIRE(test.start(unit).ok);
    REQUIRE(test.stop(unit).ok);
    lifecycle::UnitState state;
    std::optional<lifecycle::Policy> policy;
    auto const facts = test.done("Trace", {{"unit", "web"}})["facts"];
    CHECK(facts.size() >= 4); // policy, start, executed, stop, exited at least
    for (auto const& fact : facts) {
        CAPTURE(fact);
        auto const line = lifecycle::parse_trace_line(fact.get<std::string>());
        REQUIRE(line);
        if (auto const* const said = std::get_if<lifecycle::Policy>(&line->what)) {
            policy = *said;
            continue;
        }
        REQUIRE(policy);
        (void)lifecycle::step(state, *policy, std::get<lifecycle::Fact>(line->what), line->at);
    }
    CHECK(lifecycle::phase_of(state) == lifecycle::phase_of(unit.state()));
    CHECK(state.workers.empty());
}

TEST_CASE("plan shows what apply then does", "[supervisor]") {
    Controlled test;
    test.file("web", service(runs));
    test.file("bad", "[service");
    auto const plan = test.done("Plan");
    CHECK(plan["complete"] == false);
    REQUIRE(plan["units"].size() == 2);
    CHECK(plan["units"][1]["action"] == "add");
    CHECK(test.supervisor->find("web") == nullptr);
    auto const applied = test.done("Apply");
    REQUIRE(applied["units"].size() == 2);
    CHECK(applied["units"][1]["action"] == "add");
    CHECK(plan["units"][1]["ok"].is_null());
    CHECK(applied["units"][1]["ok"] == true);
    CHECK(plan["warnings"].is_array());
    CHECK(applied["warnings"].is_array());
    CHECK(applied["ok"] == false); // one file was left out
    CHECK(test.phase(test.unit("web")) == lifecycle::UnitPhase::Active);
}

TEST_CASE("events are given from a number on, for one unit or all", "[supervisor]") {
    Controlled test;
    auto& log = test.supervisor->shared().events;
    test.add("web", service(runs));
    auto const first = log.recent().empty() ? 0 : log.recent().back().number;
    log.say(Weight::Normal, "test", "web", "one");
    log.say(Weight::Normal, "test", "", "bytes that are no UTF-8: \xff");
    auto const events = test.done("Events", {{"since", first}})["events"];
    REQUIRE(events.size() == 2);
    CHECK(events[0]["text"] == "one");
    CHECK(events[1]["unit"].is_null());
    CHECK(test.done("Events", {{"since", first}, {"unit", "web"}})["events"].size() == 1);
    CHECK(test.done("Events", {{"since", first + 2}})["events"].empty());
    CHECK(test.done("Events", {{"since", -5}})["events"].size() >= 2);
}

TEST_CASE("a shutdown is answered before it begins, and nothing new is started then", "[supervisor]") {
    Controlled test;
    test.add("web", service(runs));
    CHECK(test.done("Shutdown")["ok"] == true);
    CHECK(test.shut_downs == 1);
    test.supervisor->shut_down([] {});
    CHECK(test.call("Start", {{"unit", "web"}}).error == "ShuttingDown");
    CHECK(test.call("Apply").error == "ShuttingDown");
    CHECK(test.done("List")["units"].size() == 1); // looking goes on
}
