// SPDX-License-Identifier: Apache-2.0
// Who is served by a unit with `accept = true`.
#include "supervisor/instances.h"
#include "supervisor/view.h"
#include "supervisor/view_json.h"

namespace holdfast::view {

using nlohmann::json;

namespace {

/// What a process costs is read from its files, some 20 us each: nobody is to wait for those of ten thousand.
constexpr std::size_t most_costs = 500;

json list_of_instances(Instances const& instances, std::string const& unit, Remains const& remains) {
    json list = json::array();
    for (auto const& live : instances.state().live) {
        auto const found = instances.running().find(live.id);
        if (found == instances.running().end())
            continue;
        auto const& running = found->second;
        auto const number = static_cast<std::uint32_t>(live.id);
        auto const pid = running.process.pid();
        bool const is_costed = list.size() < most_costs;
        list.push_back({{"name", instance_name(unit, live.id, running.peer)},
                        {"instance", number},
                        {"peer", to_string(running.peer)},
                        {"pid", pid},
                        {"state", std::string{to_name(live.phase)}},
                        {"since_usec", running.since.since_boot().count()},
                        {"memory_bytes", is_costed ? optional(memory_of(pid)) : nullptr},
                        {"cpu_usec", is_costed ? optional(cpu_of(pid)) : nullptr},
                        {"cgroup", optional(remains.path_of(unit, number))}});
    }
    return list;
}

json list_of_ended(Instances const& instances) {
    json list = json::array();
    for (auto const& ended : instances.ended())
        list.push_back({{"name", ended.name},
                        {"pid", ended.pid},
                        {"how", ended.how},
                        {"since_usec", ended.since.since_boot().count()},
                        {"ended_usec", ended.at.since_boot().count()}});
    return list;
}

} // namespace

json connections(UnitRunner const& unit, Look const& look, bool full) {
    auto const* const instances = unit.instances();
    if (instances == nullptr)
        return nullptr;
    auto const& service = instances->spec().service;
    auto const& state = instances->state();
    return {{"live", state.live.size()},
            {"most", service.max_connections},
            {"most_per_source", service.max_connections_per_source},
            {"on_full", std::string{to_name(service.on_full)}},
            {"is_full", state.is_open && state.live.size() >= service.max_connections},
            {"is_limited", state.held_until != MonotonicTime::never()},
            {"accepted", state.counts.accepted},
            {"failed", state.counts.failed},
            {"refused_full", state.counts.refused_full},
            {"refused_source", state.counts.refused_source},
            {"instances",
             full ? list_of_instances(*instances, unit.spec().name, *look.supervisor.shared().remains)
                  : json(nullptr)},
            {"ended", full ? list_of_ended(*instances) : json(nullptr)}};
}

std::string state_name(UnitRunner const& unit) {
    auto phase = phase_of(unit.state());
    auto const* const instances = unit.instances();
    if (instances != nullptr && !instances->is_empty() && !unit.state().pause)
        phase = instances->is_open() ? lifecycle::UnitPhase::Active : lifecycle::UnitPhase::Stopping;
    return std::string{to_name(phase)};
}

MonotonicTime state_since(UnitRunner const& unit) {
    auto const* const instances = unit.instances();
    return instances == nullptr || unit.state().pause ? unit.since()
                                                      : std::max(unit.since(), instances->since());
}

} // namespace holdfast::view
