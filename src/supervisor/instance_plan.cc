// SPDX-License-Identifier: Apache-2.0
#include "supervisor/instance_plan.h"

#include "base/placeholder.h"
#include "worker/leftovers.h"

#include <algorithm>

namespace holdfast {

using lifecycle::InstanceId;

namespace {

bool names_generation(UnitSpec const& spec) {
    auto const names_it = [](std::string const& text) {
        return std::ranges::any_of(split_placeholders(text), [](TextPiece const& piece) {
            return piece.word == to_name(Placeholder::Generation);
        });
    };
    return std::ranges::any_of(spec.service.exec_start, names_it) ||
           std::ranges::any_of(spec.service.environment,
                               [&](auto const& variable) { return names_it(variable.second); });
}

bool is_of_connection(std::string const& variable) {
    return variable.starts_with("REMOTE_ADDR=") || variable.starts_with("REMOTE_PORT=") ||
           variable.starts_with("REMOTE_UID=") || variable.starts_with("REMOTE_GID=") ||
           variable.starts_with("REMOTE_PID=");
}

bool hands_off(UnitSpec const& spec, HandoffKind kind) {
    return std::ranges::find(spec.service.handoff, kind) != spec.service.handoff.end();
}

std::string const generation_prefix = std::string{generation_variable} + '=';

} // namespace

std::string instance_name(std::string const& unit, InstanceId id, RemotePeer const& peer) {
    return unit + "@" + std::to_string(static_cast<std::uint32_t>(id)) + "-" + to_string(peer);
}

Outcome InstancePlan::make(InstanceId id) {
    auto without_cgroup = around_;
    without_cgroup.cgroup_for = nullptr; // each has its own
    std::vector<HeldListener> handed;
    if (hands_off(*spec_, HandoffKind::ListenFds))
        handed.push_back({{"connection", {}}, 0});
    auto plan = make_launch_plan(*spec_, {0, static_cast<std::uint32_t>(id)}, handed, {}, without_cgroup);
    if (!plan)
        return std::move(plan).error();
    plan_ = std::move(plan).value();
    // What the unit or we ourselves were started with would be found first, and be wrong.
    std::erase_if(plan_->environment, is_of_connection);
    auto const generation = std::ranges::find_if(plan_->environment, [](std::string const& variable) {
        return variable.starts_with(generation_prefix);
    });
    ensure(generation != plan_->environment.end());
    generation_at_ = static_cast<std::size_t>(generation - plan_->environment.begin());
    variables_at_ = plan_->environment.size();
    is_by_number_ = names_generation(*spec_);
    return {};
}

Result<LaunchPlan const*> InstancePlan::plan_for(InstanceId id, Connection const& connection, bool is_gated) {
    if (!plan_ || is_by_number_)
        if (auto made = make(id); !made)
            return std::move(made).error();
    auto& environment = plan_->environment;
    environment[generation_at_] = generation_prefix + std::to_string(static_cast<std::uint32_t>(id));
    environment.resize(variables_at_);
    for (auto& variable : variables_of(connection.peer))
        environment.push_back(std::move(variable));
    if (!plan_->listeners.empty())
        plan_->listeners.front().fd = connection.fd;
    plan_->connection = hands_off(*spec_, HandoffKind::Inetd) ? FdRef{connection.fd} : FdRef{};
    plan_->cgroup =
        around_.cgroup_for ? around_.cgroup_for(spec_->name, static_cast<std::uint32_t>(id)) : nullptr;
    plan_->is_gated = is_gated;
    return &*plan_;
}

} // namespace holdfast
