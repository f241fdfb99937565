// SPDX-License-Identifier: Apache-2.0
// The invariants of units that serve on demand: those that are paused.
#include "sim/invariants.h"

#include <algorithm>
#include <array>

namespace holdfast::sim {

namespace {

std::string paused_serves_nobody(Scene const& scene) {
    auto const until = scene.unit_paused();
    if (!until)
        return {};
    std::string wrong;
    scene.for_each<Spawn>([&](Spawn const& spawn) { wrong = name(spawn.worker) + " is started"; });
    for (auto const& process : scene.after.processes)
        if (process.stage != Stage::Ordered && !process.is_leaving())
            wrong = name(process.id) + " was not told";
    if (scene.after.watching)
        wrong = "traffic would start it";
    return wrong;
}

/// And it says why.
std::string paused_has_an_end(Scene const& scene) {
    auto const* const timer = scene.after.find({TimerKind::PauseDeadline, 0});
    if (auto const until = scene.unit_paused())
        return timer == nullptr || timer->at != *until ? "it may be paused for another time than was said"
                                                       : "";
    if (timer != nullptr)
        return "it is not paused, and has a deadline for it";
    auto const cause = scene.resumes_by_itself();
    if (cause == Cause::None)
        return {};
    bool is_said = false;
    scene.for_each<Report>([&](Report const& report) {
        is_said = is_said || (report.happening == Happening::Resumed && report.cause == cause);
    });
    bool const comes = scene.after.watching || scene.reports(Happening::Starting);
    return !is_said ? "it does not say why it is resumed" : comes ? "" : "nothing is started";
}

constexpr std::array all_demand_promises{
    Invariant{"paused-serves-nobody",
              "While a unit is paused nothing is started, traffic starts nothing, and every worker is to go.",
              paused_serves_nobody},
    Invariant{"paused-has-an-end",
              "A paused unit is resumed at its deadline, or when a queue is nearly full, and says which.",
              paused_has_an_end},
};

} // namespace

std::span<Invariant const> demand_promises() {
    return all_demand_promises;
}

} // namespace holdfast::sim
