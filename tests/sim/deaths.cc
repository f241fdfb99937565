// SPDX-License-Identifier: Apache-2.0
#include "sim/deaths.h"

#include <algorithm>
#include <string>

namespace holdfast::sim {

namespace {

constexpr std::string_view name = "deaths-change-nothing";

bool is_report(Order const& order) {
    return std::holds_alternative<Report>(order);
}

/// They are saved with the state.
Orders reports_of(Orders const& orders) {
    Orders reports;
    std::ranges::copy_if(orders, std::back_inserter(reports), is_report);
    return reports;
}

/// Who was ordered and sent away in one step need not be born at all.
void leave_out(Kernel& kernel, std::vector<Fact> const& facts) {
    for (auto const& fact : facts)
        if (auto const* const exited = std::get_if<Exited>(&fact))
            std::erase_if(kernel.processes, [&](Process const& process) {
                return process.id == exited->worker && process.stage == Stage::Ordered;
            });
}

std::string difference(Kernel const& is, Kernel const& was) {
    if (is.processes.size() != was.processes.size())
        return std::to_string(is.processes.size()) + " processes instead of " +
               std::to_string(was.processes.size());
    for (std::size_t i = 0; i < is.processes.size(); ++i)
        if (is.processes[i] != was.processes[i])
            return "worker " + std::to_string(static_cast<unsigned>(is.processes[i].id)) +
                   (is.processes[i].tellings != was.processes[i].tellings ? " was told otherwise"
                                                                          : " is not what it was");
    if (is.timers != was.timers)
        return "other timers";
    if (is.watching != was.watching)
        return "the listeners are watched otherwise";
    if (is.watching_queues != was.watching_queues || is.watching_idle != was.watching_idle)
        return "the queues are watched otherwise";
    return "the shards are not as they were";
}

} // namespace

void forget_what_died(Kernel& kernel) {
    kernel.timers.clear();
    kernel.watching = false;
    kernel.watching_queues = false;
    kernel.watching_idle = false;
    kernel.watched.clear();
    kernel.judged.clear();
}

std::vector<FoundWorker> found_in(Kernel const& kernel) {
    std::vector<FoundWorker> found;
    for (auto const& process : kernel.processes)
        found.push_back({process.id, process.tellings > 0});
    return found;
}

void check_deaths(Scene const& scene, Resume resume, Enact const& enact, Complaints& complaints) {
    for (std::size_t done = 0; done <= scene.orders.size(); ++done) {
        auto kernel = scene.between;
        enact(kernel, {scene.orders.begin(), scene.orders.begin() + static_cast<std::ptrdiff_t>(done)});
        forget_what_died(kernel);
        auto const resumed = resume(scene.state, found_in(kernel));
        enact(kernel, resumed.orders);
        enact(kernel, reports_of(scene.orders));
        std::ranges::sort(kernel.processes, {}, &Process::id);
        if (kernel.judged.empty()) // and whoever knew of any is dead
            kernel.stuck.clear();
        auto expected = scene.after;
        leave_out(expected, resumed.facts);
        if (kernel != expected)
            complaints.push_back({name, "after order " + std::to_string(done) + " of " +
                                            std::to_string(scene.orders.size()) + ": " +
                                            difference(kernel, expected)});
        for (auto const& fact : resumed.facts)
            if (!expected.may_happen(fact, scene.now))
                complaints.push_back({name, to_string(fact) + " is told, and cannot be"});
    }
}

} // namespace holdfast::sim
