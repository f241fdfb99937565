// SPDX-License-Identifier: Apache-2.0
// What an apply says of itself: the outcome of each step, and when it does nothing at all.
#include "harness.h"

#include <algorithm>

using namespace holdfast;
using namespace holdfast::test;

namespace {

UnitStep step_of(Supervisor::Applied const& applied, std::string const& unit) {
    for (auto const& step : applied.plan.steps)
        if (step.unit == unit)
            return step;
    FAIL("no step of " + unit);
    return {};
}

} // namespace

TEST_CASE("an apply says what came of each step", "[supervisor]") {
    // "was changed and its service restarted" was said of what was planned, whatever happened.
    Home test;
    test.file("good", service(runs));
    test.file("broken", "[service]\nexec_start = [\"/no/such/program\"]\n");
    auto applied = test.apply();
    CHECK_FALSE(applied.ok);
    CHECK(step_of(applied, "good").ok == true);
    CHECK(step_of(applied, "broken").ok == false);
    CHECK_THAT(step_of(applied, "broken").message, ContainsSubstring("/no/such/program"));
    test.file("good", "[service]\nexec_start = [\"/no/such/program\"]\n");
    applied = test.apply();
    CHECK(step_of(applied, "good").action == UnitAction::Restart);
    CHECK(step_of(applied, "good").ok == false);
    CHECK_FALSE(step_of(applied, "broken").ok.has_value()); // nothing was done
    CHECK_FALSE(step_of(Supervisor::Applied{test.supervisor->plan(), false, {}}, "broken").ok.has_value());
}

TEST_CASE("an apply while shutting down is refused, and starts nothing", "[supervisor]") {
    // It started units that nobody stopped: SIGHUP behind SIGTERM left workers without a supervisor.
    Home test;
    test.file("web", service(runs));
    test.supervisor->shut_down([] {});
    auto const applied = test.apply();
    CHECK_FALSE(applied.ok);
    CHECK_THAT(applied.message, ContainsSubstring("shutting down"));
    CHECK(applied.plan.steps.empty());
    CHECK(test.supervisor->find("web") == nullptr);
}

TEST_CASE("a unit that never had a file is not removed by an apply", "[supervisor]") {
    // `holdfast apply` against a `holdfast run` took its service away, and the next SIGHUP used what was
    // freed.
    Home test;
    auto spec = std::make_shared<UnitSpec>(*unit_of("run", service(runs)));
    spec->path.clear();
    auto& unit = test.supervisor->add(spec);
    REQUIRE(test.start(unit).ok);
    auto const applied = test.apply();
    CHECK(applied.ok);
    CHECK(applied.plan.steps.empty());
    CHECK(test.phase(test.unit("run")) == lifecycle::UnitPhase::Active);
}

TEST_CASE("the warnings of unit files come with every plan", "[supervisor]") {
    // They were told at boot only.
    LoadedUnits files;
    files.warnings.push_back({});
    files.warnings.back().message = "this is odd";
    auto const plan = plan_apply({}, files);
    REQUIRE(plan.warnings.size() == 1);
    CHECK(plan.warnings.front().message == "this is odd");
    CHECK(plan.is_complete());
}
