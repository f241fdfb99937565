// SPDX-License-Identifier: Apache-2.0
// What an apply would do, as a table of the unit before and after.
#include "base/text.h"
#include "harness.h"
#include "supervisor/apply_plan.h"

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr char const* plain = "[service]\nexec_start = [\"/bin/app\"]\n";
constexpr char const* with_socket = "[[socket]]\nname = \"http\"\nlisten = \"127.0.0.1:80\"\n"
                                    "[service]\nexec_start = [\"/bin/app\"]\n";

struct Row {
    char const* what;
    std::string before;
    std::string after;
    UnitAction action;
    std::vector<std::string> why; ///< each is one of the reasons
};

std::vector<Row> const table{
    {"nothing", with_socket, with_socket, UnitAction::Keep, {}},
    {"layout and comments", plain, std::string{"# new\n\n"} + plain, UnitAction::Keep, {}},
    {"a default that is written out",
     plain,
     plain + std::string{"timeout_stop = \"30s\"\n"},
     UnitAction::Keep,
     {}},
    {"another program",
     plain,
     "[service]\nexec_start = [\"/bin/other\"]\n",
     UnitAction::Restart,
     {"service.exec_start: [\"/bin/app\"] -> [\"/bin/other\"]"}},
    {"a variable", plain, plain + std::string{"environment = { A = \"1\" }\n"}, UnitAction::Restart, {}},
    {"a limit", plain, plain + std::string{"limits = { nofile = 100 }\n"}, UnitAction::Restart, {}},
    {"the user", plain, plain + std::string{"user = \"www-data\"\n"}, UnitAction::Restart, {}},
    {"the umask", plain, plain + std::string{"umask = \"027\"\n"}, UnitAction::Restart, {}},
    {"the working directory",
     plain,
     plain + std::string{"working_directory = \"/srv\"\n"},
     UnitAction::Restart,
     {}},
    {"the hand-off", plain, plain + std::string{"handoff = [\"scm_rights\"]\n"}, UnitAction::Restart, {}},
    {"the type", plain, plain + std::string{"type = \"notify\"\n"}, UnitAction::Restart, {}},
    {"a deadline",
     plain,
     plain + std::string{"timeout_stop = \"10s\"\n"},
     UnitAction::Update,
     {"service.timeout_stop: \"30s\" -> \"10s\""}},
    {"when to restart", plain, plain + std::string{"restart = \"always\"\n"}, UnitAction::Update, {}},
    {"the description",
     plain,
     std::string{"[unit]\ndescription = \"Shop\"\n"} + plain,
     UnitAction::Update,
     {"unit.description: "}},
    {"the strategy",
     plain,
     plain + std::string{"[rollout]\nstrategy = \"replace\"\n"},
     UnitAction::Update,
     {}},
    {"who may share",
     with_socket,
     with_socket + std::string{"[share]\nusers = [\"alice\"]\n"},
     UnitAction::Update,
     {}},
    {"a listener more", plain, with_socket, UnitAction::Restart, {}},
    {"a listener less", with_socket, plain, UnitAction::Restart, {}},
    {"a listener more for a worker that is pushed it",
     plain + std::string{"handoff = [\"scm_rights\"]\n"},
     with_socket + std::string{"handoff = [\"scm_rights\"]\n"},
     UnitAction::Update,
     {}},
    {"the backlog",
     with_socket,
     "[[socket]]\nname = \"http\"\nlisten = \"127.0.0.1:80\"\nbacklog = 10\n" + std::string{plain},
     UnitAction::Update,
     {}},
    {"the name of a listener",
     with_socket,
     "[[socket]]\nname = \"web\"\nlisten = \"127.0.0.1:80\"\n" + std::string{plain},
     UnitAction::Restart,
     {}},
    {"what a bound listener cannot take over",
     with_socket,
     "[[socket]]\nname = \"http\"\nlisten = \"127.0.0.1:80\"\nfree_bind = true\n" + std::string{plain},
     UnitAction::Update,
     {}},
};

std::string summary(ApplyPlan const& plan) {
    std::string text;
    for (auto const& step : plan.steps)
        text += step.unit + " " + std::string{to_name(step.action)} + "\n";
    return text;
}

} // namespace

TEST_CASE("what has changed in a unit decides whether its workers must be replaced", "[supervisor]") {
    for (auto const& row : table) {
        CAPTURE(row.what);
        LoadedUnits files;
        files.specs["web"] = unit_of("web", row.after);
        auto const plan = plan_apply({{"web", unit_of("web", row.before)}}, files);
        REQUIRE(plan.steps.size() == 1);
        auto const& step = plan.steps.front();
        CHECK(to_name(step.action) == to_name(row.action));
        CHECK(step.spec != nullptr);
        for (auto const& why : row.why)
            CHECK_THAT(join(step.why, "\n"), ContainsSubstring(why));
        if (row.action == UnitAction::Keep)
            CHECK(step.why.empty());
        CHECK(plan.is_complete());
    }
}

TEST_CASE("a unit that is kept keeps its very spec", "[supervisor]") {
    auto const now = unit_of("web", plain);
    LoadedUnits files;
    files.specs["web"] = unit_of("web", plain);
    CHECK(plan_apply({{"web", now}}, files).steps.front().spec == now);
}

TEST_CASE("new files add units, files that are gone remove them, in the order of their names",
          "[supervisor]") {
    auto const spec = unit_of("x", with_socket);
    LoadedUnits files;
    files.specs["new"] = unit_of("new", with_socket);
    files.specs["kept"] = spec;
    auto const plan = plan_apply({{"kept", spec}, {"old", spec}}, files);
    CHECK(summary(plan) == "kept keep\nnew add\nold remove\n");
    CHECK(plan.steps[1].listeners.at(0).action == ListenerAction::Add);
    CHECK(plan.steps[2].listeners.at(0).action == ListenerAction::Remove);
    CHECK(plan.steps[2].why == std::vector<std::string>{"its file is gone"});
    CHECK(plan.steps[2].spec == nullptr);
}

TEST_CASE("a file with errors changes nothing, and the plan is not complete", "[supervisor]") {
    auto const spec = unit_of("web", plain);
    LoadedUnits files;
    files.bad["web"] = parse_unit("web", {"web.toml", "[nonsense"}).diagnostics;
    auto const plan = plan_apply({{"web", spec}}, files);
    CHECK(summary(plan) == "web bad\n");
    CHECK(plan.steps.front().diagnostics.size() == files.bad["web"].size());
    CHECK(plan.steps.front().spec == nullptr);
    CHECK(!plan.is_complete());
}

TEST_CASE("a folder that cannot be read removes no unit", "[supervisor]") {
    auto const spec = unit_of("web", plain);
    LoadedUnits files;
    files.specs["new"] = unit_of("new", plain);
    files.folder_errors.emplace_back();
    auto const plan = plan_apply({{"web", spec}}, files);
    CHECK(summary(plan) == "new add\n");
    CHECK(plan.folder_errors.size() == 1);
    CHECK(!plan.is_complete());
}

namespace {

std::string listening(std::vector<std::string> const& addresses) {
    std::string text;
    for (auto const& address : addresses)
        text += "[[socket]]\nname = \"s" + std::to_string(text.size()) + "\"\nlisten = \"" + address + "\"\n";
    return text + plain;
}

/// unit -> its addresses, before and after: every listener of the plan that has to do with another one.
std::string links(std::map<std::string, std::vector<std::string>> const& before,
                  std::map<std::string, std::vector<std::string>> const& after) {
    std::map<std::string, UnitSpecPtr> now;
    for (auto const& [unit, addresses] : before)
        now[unit] = unit_of(unit, listening(addresses));
    for (auto& [unit, spec] : now) {
        auto from_file = std::make_shared<UnitSpec>(*spec);
        from_file->path = unit + ".toml";
        spec = from_file;
    }
    LoadedUnits files;
    for (auto const& [unit, addresses] : after)
        files.specs[unit] = unit_of(unit, listening(addresses));
    auto plan = plan_apply(now, files);
    link_listeners(plan);
    std::string text;
    for (auto const& step : plan.steps)
        for (auto const& listener : step.listeners) {
            auto const what =
                step.unit + " " + std::string{to_name(listener.action)} + " " + to_string(listener.address);
            if (!listener.other_unit.empty())
                text += what + " with " + listener.other_unit + "\n";
            for (auto const& displaced : listener.displaced)
                text += what + " for " + to_string(displaced.address) + " of " + displaced.unit + "\n";
        }
    return text;
}

} // namespace

TEST_CASE("an address that one unit loses and another gains is moved, whatever their names", "[supervisor]") {
    CHECK(links({{"a", {"80"}}, {"b", {"81"}}}, {{"a", {"82"}}, {"b", {"81", "80"}}}) ==
          "a remove 80 with b\nb add 80 with a\n");
    CHECK(links({{"a", {"81"}}, {"b", {"80"}}}, {{"a", {"81", "80"}}, {"b", {"82"}}}) ==
          "a add 80 with b\nb remove 80 with a\n");
    CHECK(links({{"a", {"80"}}, {"b", {"81"}}}, {{"a", {"81"}}, {"b", {"80"}}}) ==
          "a add 81 with b\na remove 80 with b\nb add 80 with a\nb remove 81 with a\n"); // a cycle
    CHECK(links({{"a", {"/run/a"}}}, {{"b", {"/run/a"}}}) ==
          "a remove unix:/run/a with b\nb add unix:/run/a with a\n");
    CHECK(
        links({{"a", {"80"}}}, {{"b", {"80"}}, {"c", {"80"}}}) ==
        "a remove 80 with b\nb add 80 with a\nc add 80 for 80 of a\n"); // the second is refused by the kernel
}

TEST_CASE("what is the same, elsewhere, or has any port has nothing to do with another", "[supervisor]") {
    CHECK(links({{"a", {"80"}}}, {{"a", {"80"}}, {"b", {"81"}}}).empty());
    CHECK(links({{"a", {"127.0.0.1:80"}}}, {{"b", {"127.0.0.2:80"}}}).empty());
    CHECK(links({{"a", {"127.0.0.1:0"}}}, {{"b", {"127.0.0.1:0"}}}).empty());
    CHECK(links({{"a", {"80"}}}, {{"b", {"udp://0.0.0.0:80"}}}).empty());
}

TEST_CASE("an address that is in the way and goes is told with the new one", "[supervisor]") {
    CHECK(links({{"a", {"80"}}}, {{"a", {"0.0.0.0:80"}}}) == "a add 0.0.0.0:80 for 80 of a\n");
    CHECK(links({{"a", {"0.0.0.0:80"}}, {"b", {"81"}}}, {{"a", {"82"}}, {"b", {"127.0.0.1:80"}}}) ==
          "b add 127.0.0.1:80 for 0.0.0.0:80 of a\n");
    CHECK(links({{"a", {"127.0.0.1:80", "127.0.0.2:80"}}}, {{"a", {"80"}}}) ==
          "a add 80 for 127.0.0.1:80 of a\na add 80 for 127.0.0.2:80 of a\n");
}
