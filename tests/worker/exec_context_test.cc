// SPDX-License-Identifier: Apache-2.0
// What a worker is started with, made from its unit: program, arguments, variables, descriptors.
#include "base/scope_exit.h"
#include "support.h"
#include "worker/exec_context.h"

#include <algorithm>
#include <cstdlib>

#include <sys/resource.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

UnitSpec unit(std::vector<std::string> exec_start = {"/bin/app"}) {
    UnitSpec spec;
    spec.name = "web@blue";
    spec.service.exec_start = std::move(exec_start);
    return spec;
}

Surroundings system_mode() {
    Surroundings around;
    around.mode = RunMode::System;
    around.notify_path = "/run/holdfast/notify";
    return around;
}

/// Two addresses of "http", the second without a port, and "admin". Numbers that are not open here do no
/// harm: nothing is launched.
std::vector<HeldListener> const listeners{
    {{"http", FdRef{20}}, 8080}, {{"http", FdRef{21}}, 0}, {{"admin", FdRef{22}}, 9090}};

LaunchPlan plan_of(UnitSpec const& spec, Surroundings const& around = system_mode(), FdRef handoff = {}) {
    auto plan = make_launch_plan(spec, {2, 7}, listeners, handoff, around);
    if (!plan)
        FAIL(to_string(plan.error()));
    return std::move(plan).value();
}

std::string refusal_of(UnitSpec const& spec) {
    auto const plan = make_launch_plan(spec, {}, listeners, {}, system_mode());
    return plan ? "accepted" : to_string(plan.error());
}

std::string variable(LaunchPlan const& plan, std::string const& name) {
    std::string found = "none";
    for (auto const& text : plan.environment)
        if (text.starts_with(name + "=")) {
            CHECK(found == "none"); // twice, and which one counts is up to the program
            found = text.substr(name.size() + 1);
        }
    return found;
}

std::vector<int> handed(LaunchPlan const& plan) {
    std::vector<int> numbers;
    for (auto const& listener : plan.listeners)
        numbers.push_back(listener.fd.raw());
    for (auto const fd : plan.others)
        numbers.push_back(fd.raw());
    return numbers;
}

} // namespace

TEST_CASE("placeholders in arguments and environment are filled in for this worker", "[worker]") {
    auto spec = unit({"/bin/app", "--port={port:http}", "{fd:admin}", "{unit}/{instance}", "{{unit}}"});
    spec.service.environment = {{"PLACE", "{slot} of {generation}"}, {"JSON", R"({"fd": {fd:http}})"}};
    auto const plan = plan_of(spec);
    CHECK(plan.arguments ==
          std::vector<std::string>{"/bin/app", "--port=8080", "5", "web@blue/blue", "{unit}"});
    CHECK(variable(plan, "PLACE") == "2 of 7");
    CHECK(variable(plan, "JSON") == R"({"fd": 3})");
}

TEST_CASE("a placeholder that nothing can be put in for is refused before any process is made", "[worker]") {
    CHECK_THAT(refusal_of(unit({"/bin/app", "{fd:nosuch}"})), ContainsSubstring("nosuch"));
    CHECK_THAT(refusal_of(unit({"/bin/app", "{fd:nosuch}"})), ContainsSubstring("web@blue"));
    auto spec = unit();
    spec.service.environment = {{"PORT", "{port:nosuch}"}};
    CHECK_THAT(refusal_of(spec), ContainsSubstring("nosuch"));
}

TEST_CASE("a worker learns of its watchdog, where there is a socket to ping", "[worker]") {
    auto spec = unit();
    CHECK(variable(plan_of(spec), "WATCHDOG_USEC") == "none");
    CHECK(!plan_of(spec).announces_watchdog);
    spec.service.watchdog = 1500ms;
    spec.service.environment = {{"WATCHDOG_USEC", "7"}, {"WATCHDOG_PID", "7"}};
    auto const plan = plan_of(spec);
    CHECK(plan.announces_watchdog);
    CHECK(variable(plan, "WATCHDOG_USEC") == "1500000");
    CHECK(variable(plan, "WATCHDOG_PID") == "none"); // the child's to say
    auto mute = system_mode();
    mute.notify_path.clear();
    CHECK(!plan_of(spec, mute).announces_watchdog);
}

TEST_CASE("a worker that is told by LISTEN_FDS inherits its listeners in order", "[worker]") {
    auto const plan = plan_of(unit());
    CHECK(plan.announces_listeners);
    CHECK(handed(plan) == std::vector{20, 21, 22});
}

TEST_CASE("what workers have stored comes after the listeners, and no placeholder finds it", "[worker]") {
    auto with_stored = listeners;
    with_stored.push_back({{"http", FdRef{30}}, 0, true});
    with_stored.push_back({{"state", FdRef{31}}, 0, true});
    auto const plan = [&](UnitSpec const& spec) {
        return make_launch_plan(spec, {}, with_stored, {}, system_mode());
    };
    CHECK(handed(plan(unit({"/bin/app", "{fd:admin}"})).value()) == std::vector{20, 21, 22, 30, 31});
    CHECK(!plan(unit({"/bin/app", "{fd:state}"})));
    // Who is not told by LISTEN_FDS would not know what they are.
    auto spec = unit({"/bin/app", "{fd:admin}"});
    spec.service.handoff = {HandoffKind::ScmRights};
    CHECK(handed(plan(spec).value()) == std::vector{20, 21, 22});
}

TEST_CASE("a worker that only asks by messages inherits its hand-off socket alone", "[worker]") {
    auto spec = unit();
    spec.service.handoff = {HandoffKind::ScmRights};
    auto const plan = plan_of(spec, system_mode(), FdRef{30});
    CHECK(!plan.announces_listeners);
    CHECK(handed(plan) == std::vector{30});
    CHECK(variable(plan, "HOLDFAST_HANDOFF") == "3");
}

TEST_CASE("a worker that names a descriptor inherits the listeners, whatever the hand-off", "[worker]") {
    auto spec = unit({"/bin/app", "{fd:admin}"});
    spec.service.handoff = {HandoffKind::ScmRights};
    auto const plan = plan_of(spec, system_mode(), FdRef{30});
    CHECK(handed(plan) == std::vector{20, 21, 22, 30});
    CHECK(plan.arguments.back() == "5");
    CHECK(variable(plan, "HOLDFAST_HANDOFF") == "6");
}

TEST_CASE("doubled braces name no descriptor", "[worker]") {
    // The worker inherited listeners that nothing had asked for.
    auto spec = unit({"/bin/app", "{{fd:admin}}"});
    spec.service.handoff = {HandoffKind::ScmRights};
    auto const plan = plan_of(spec, system_mode(), FdRef{30});
    CHECK(handed(plan) == std::vector{30});
    CHECK(plan.arguments.back() == "{fd:admin}");
}

TEST_CASE("of the same variable the unit's wins over the user's, and that over the surroundings'",
          "[worker]") {
    auto around = system_mode();
    around.environment = {"A=around", "B=around", "PATH=/around"};
    auto spec = unit();
    spec.service.environment = {{"B", "unit"}, {"NOTIFY_SOCKET", "/unit"}};
    auto plan = plan_of(spec, around);
    CHECK(variable(plan, "A") == "around");
    CHECK(variable(plan, "B") == "unit");
    CHECK(variable(plan, "PATH") == "/around");
    CHECK(variable(plan, "NOTIFY_SOCKET") == "/run/holdfast/notify");

    spec.service.user = "0";
    around.environment = {"USER=around", "HOME=/around"};
    plan = plan_of(spec, around);
    CHECK(variable(plan, "USER") == "root");
    CHECK(variable(plan, "LOGNAME") == "root");
    CHECK(variable(plan, "HOME") == "/root");
    spec.service.environment = {{"HOME", "/unit"}};
    CHECK(variable(plan_of(spec, around), "HOME") == "/unit");
}

TEST_CASE("a unit's own LISTEN_FDS is not in the way of ours", "[worker]") {
    // The worker had the variable twice, and found the one that was wrong.
    auto spec = unit();
    spec.service.environment = {{"LISTEN_FDS", "9"}, {"LISTEN_PID", "1"}, {"LISTEN_FDNAMES", "x"}};
    auto const plan = plan_of(spec);
    for (auto const* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"})
        CHECK(variable(plan, name) == "none"); // fork_worker() adds them
    spec.service.handoff = {HandoffKind::ScmRights};
    CHECK(variable(plan_of(spec), "LISTEN_FDS") == "9"); // ours are not given, so it is the unit's affair
}

TEST_CASE("a worker that packets can name knows by what number", "[worker]") {
    CHECK(variable(plan_of(unit()), "HOLDFAST_STEERING_ID") == "none");
    auto const plan = make_launch_plan(unit(), {.slot = 2, .generation = 7, .steering_id = 6}, listeners, {},
                                       system_mode());
    REQUIRE(plan);
    CHECK(variable(*plan, "HOLDFAST_STEERING_ID") == "6");
}

TEST_CASE("workers of the machine start clean and in /, those of a user as their supervisor", "[worker]") {
    auto plan = plan_of(unit());
    CHECK(variable(plan, "PATH") == default_search_path);
    CHECK(plan.environment.size() == 4); // and NOTIFY_SOCKET
    CHECK(variable(plan, "HOLDFAST_UNIT") == "web@blue");
    CHECK(variable(plan, "HOLDFAST_GENERATION") == "7");
    CHECK(plan.working_directory == "/");
    CHECK(!plan.identity);
    auto around = system_mode();
    around.mode = RunMode::User;
    CHECK(plan_of(unit(), around).working_directory == "");
    auto spec = unit();
    spec.service.working_directory = "/srv";
    CHECK(plan_of(spec).working_directory == "/srv");
    CHECK(plan_of(spec, around).working_directory == "/srv");
}

TEST_CASE("a bare program is looked for on the PATH that the worker itself gets", "[worker]") {
    auto spec = unit({"app", "x"});
    CHECK(plan_of(spec).programs.size() == 6);
    CHECK(plan_of(spec).programs.front() == "/usr/local/sbin/app");
    spec.service.environment = {{"PATH", "/opt/bin"}};
    CHECK(plan_of(spec).programs == std::vector<std::string>{"/opt/bin/app"});
    CHECK(plan_of(unit()).programs == std::vector<std::string>{"/bin/app"});
}

TEST_CASE("the log file is that of the unit, the journal's identifier too", "[worker]") {
    auto around = system_mode();
    around.output = Output::Kind::File;
    around.log_folder = "/var/log/holdfast";
    auto plan = plan_of(unit(), around);
    CHECK(plan.output.path == "/var/log/holdfast/web@blue.log");
    CHECK(plan.output.identifier == "web@blue");
    CHECK(plan_of(unit()).output.path == "");
}

TEST_CASE("a user or group that does not exist is refused with what to do", "[worker]") {
    auto spec = unit();
    spec.service.user = "no-such-user";
    CHECK(refusal_of(spec) == "web@blue: there is no user 'no-such-user'; create it, correct the name, or "
                              "give a number (names are looked up in /etc/passwd)");
    spec.service.user = "";
    spec.service.group = "no-such-group";
    CHECK_THAT(refusal_of(spec), ContainsSubstring("there is no group 'no-such-group'"));
    CHECK_THAT(refusal_of(spec), ContainsSubstring("/etc/group"));
}

TEST_CASE("what was meant for the supervisor itself does not reach its workers", "[worker]") {
    ::setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
    ::setenv("LISTEN_FDS", "3", 1);
    ::setenv("WATCHDOG_USEC", "1", 1);
    ::setenv("HOLDFAST_TEST_KEPT", "yes", 1);
    ScopeExit const back{[] {
        for (auto const* name : {"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "HOLDFAST_TEST_KEPT"})
            ::unsetenv(name);
    }};
    auto const variables = inherited_environment();
    auto const has = [&](std::string const& name) {
        return std::any_of(variables.begin(), variables.end(),
                           [&](std::string const& variable) { return variable.starts_with(name + "="); });
    };
    CHECK(has("HOLDFAST_TEST_KEPT"));
    CHECK(has("PATH"));
    for (auto const* name : {"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"})
        CHECK(!has(name));
}

TEST_CASE("a service of ours is not told what systemd says of holdfast itself", "[worker]") {
    // A worker of a user's holdfast took RUNTIME_DIRECTORY for its own.
    constexpr std::array of_holdfast{
        "INVOCATION_ID",           "JOURNAL_STREAM",        "MANAGERPID",
        "SYSTEMD_EXEC_PID",        "RUNTIME_DIRECTORY",     "STATE_DIRECTORY",
        "LOGS_DIRECTORY",          "CACHE_DIRECTORY",       "FDSTORE",
        "CONFIGURATION_DIRECTORY", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"};
    for (auto const* name : of_holdfast)
        ::setenv(name, "of holdfast", 1);
    ScopeExit const back{[&] {
        for (auto const* name : of_holdfast)
            ::unsetenv(name);
    }};
    auto const count = [](std::vector<std::string> const& variables) {
        return std::count_if(variables.begin(), variables.end(),
                             [](std::string const& variable) { return variable.ends_with("=of holdfast"); });
    };
    CHECK(count(services_environment()) == 0);
    // What `holdfast run` runs is the very service.
    CHECK(count(inherited_environment()) == static_cast<std::ptrdiff_t>(of_holdfast.size()));
}

TEST_CASE("a worker with very many listeners can still open files, or is refused in words", "[worker]") {
    // With a thousand listeners and the usual limit of 1024, it could not open its libraries.
    std::vector<HeldListener> const many(1100, {{"http", FdRef{20}}, 8080});
    auto around = system_mode();
    auto spec = unit();
    auto const limits = [&]() -> std::string {
        auto const plan = make_launch_plan(spec, {}, many, {}, around);
        if (!plan)
            return to_string(plan.error());
        auto const& last = plan->limits.back();
        return std::to_string(last.soft) + " of " + std::to_string(last.hard);
    };
    around.limits = {{RLIMIT_NOFILE, 1024, 4096}};
    CHECK(limits() == "1167 of 4096");
    around.limits = {{RLIMIT_NOFILE, 2048, 4096}};
    CHECK(limits() == "2048 of 4096");
    around.limits = {{RLIMIT_NOFILE, 1024, 1110}};
    CHECK(limits() == "1110 of 1110");
    around.limits = {{RLIMIT_NOFILE, 1024, 1024}};
    CHECK_THAT(limits(), ContainsSubstring("web@blue: cannot hand over 1100 descriptors: its limit of 1024"));
    around.limits = {{RLIMIT_NOFILE, 1024, 4096}};
    spec.service.limits = {{RLIMIT_NOFILE, 1150, 4096}}; // what the unit says is not changed
    CHECK(limits() == "1150 of 4096");
    spec.service.limits = {{RLIMIT_NOFILE, 1000, 4096}};
    CHECK_THAT(limits(), ContainsSubstring("its limit of 1000 open files") && ContainsSubstring("`nofile`"));
}
