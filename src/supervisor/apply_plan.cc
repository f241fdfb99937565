// SPDX-License-Identifier: Apache-2.0
#include "supervisor/apply_plan.h"

#include "base/text.h"

#include <algorithm>
#include <set>

namespace holdfast {

namespace {

/// The values in force as "table.key" -> text, from the unit written out as TOML; the sockets have a plan of
/// their own.
std::map<std::string, std::string> settings_of(UnitSpec const& spec) {
    std::map<std::string, std::string> settings;
    auto const toml = to_toml(spec);
    std::string table;
    for (auto const line : split(toml, '\n')) {
        if (line.starts_with('[')) {
            table = line.substr(line.find_first_not_of('['));
            table.resize(table.find(']'));
        } else if (auto const equals = line.find(" = ");
                   equals != std::string_view::npos && table != "socket") {
            settings[table + "." + std::string{line.substr(0, equals)}] = line.substr(equals + 3);
        }
    }
    return settings;
}

std::vector<std::string> differences(UnitSpec const& now, UnitSpec const& wanted) {
    auto const before = settings_of(now);
    auto const after = settings_of(wanted);
    std::set<std::string> keys;
    for (auto const* settings : {&before, &after})
        for (auto const& [key, value] : *settings)
            keys.insert(key);
    auto const value_of = [](auto const& settings, std::string const& key) {
        auto const found = settings.find(key);
        return found == settings.end() ? std::string{"(not set)"} : found->second;
    };
    std::vector<std::string> lines;
    for (auto const& key : keys)
        if (auto const was = value_of(before, key), is = value_of(after, key); was != is)
            lines.push_back(key + ": " + was + " -> " + is);
    return lines;
}

/// Does a running worker have to be replaced for this? What only says how workers are treated is taken over
/// as it is.
bool needs_restart(UnitSpec const& now, UnitSpec const& wanted, std::vector<ListenerStep> const& listeners) {
    auto const process = [](ServiceSpec const& service) {
        return std::tie(service.type, service.accept, service.exec_start, service.environment,
                        service.handoff, service.limits, service.working_directory, service.user,
                        service.group, service.umask);
    };
    if (process(now.service) != process(wanted.service))
        return true;
    bool const asks_by_messages_only = wanted.service.handoff == std::vector{HandoffKind::ScmRights};
    return std::any_of(listeners.begin(), listeners.end(), [&](ListenerStep const& step) {
        switch (step.action) {
        case ListenerAction::Keep:
            return false;
        case ListenerAction::Change: // the backlog is ours alone, a name is not
            return std::any_of(step.why.begin(), step.why.end(), [](std::string const& why) {
                return why.starts_with("name ") || why.starts_with("reuse_port ");
            });
        case ListenerAction::Add:
            return !asks_by_messages_only; // pushed to it while it lives
        case ListenerAction::Remove:
            return true;
        }
        return true;
    });
}

} // namespace

UnitStep plan_change(UnitSpecPtr const& now, UnitSpecPtr const& wanted) {
    UnitStep step;
    step.unit = wanted->name;
    step.spec = wanted;
    step.listeners = plan_listeners(now->sockets, wanted->sockets);
    step.why = differences(*now, *wanted);
    bool const same_listeners =
        std::all_of(step.listeners.begin(), step.listeners.end(), [](ListenerStep const& listener) {
            return listener.action == ListenerAction::Keep && listener.deferred.empty();
        });
    if (step.why.empty() && same_listeners)
        step.action = UnitAction::Keep;
    else
        step.action = needs_restart(*now, *wanted, step.listeners) ? UnitAction::Restart : UnitAction::Update;
    return step;
}

bool ApplyPlan::is_complete() const {
    return folder_errors.empty() && std::none_of(steps.begin(), steps.end(), [](UnitStep const& step) {
               return step.action == UnitAction::Bad;
           });
}

void link_listeners(ApplyPlan& plan) {
    struct Going {
        std::string const* unit;
        ListenerStep* step;
    };
    std::vector<Going> all_going;
    for (auto& step : plan.steps)
        for (auto& listener : step.listeners)
            if (listener.action == ListenerAction::Remove)
                all_going.push_back({&step.unit, &listener});
    if (all_going.empty())
        return;
    // By port, since there may be ten thousand of them.
    std::multimap<std::uint16_t, Going> going;
    for (auto const& one : all_going)
        going.emplace(one.step->address.port, one);
    auto const is_any_port = [](ListenAddress const& address) {
        return !address.is_unix() && address.port == 0; // each unit has its own
    };
    for (auto& step : plan.steps)
        for (auto& listener : step.listeners) {
            if (listener.action != ListenerAction::Add || is_any_port(listener.address))
                continue;
            auto const [begin, end] = going.equal_range(listener.address.port);
            auto const same = std::find_if(begin, end, [&](auto const& one) {
                return *one.second.unit != step.unit && one.second.step->address == listener.address &&
                       one.second.step->other_unit.empty();
            });
            if (same != end) {
                auto const& from = same->second;
                listener.other_unit = *from.unit;
                listener.why.push_back("comes from unit " + *from.unit + " with all who wait in it");
                from.step->other_unit = step.unit;
                from.step->why.push_back("goes to unit " + step.unit);
                continue;
            }
            for (auto one = begin; one != end; ++one) {
                auto const& [unit, removed] = one->second;
                if (!may_collide(listener.address, removed->address))
                    continue;
                listener.displaced.push_back({*unit, removed->address});
                listener.why.push_back("takes the place of " + to_string(removed->address) +
                                       (*unit == step.unit ? "" : " of unit " + *unit));
            }
        }
}

ApplyPlan plan_apply(std::map<std::string, UnitSpecPtr> const& now, LoadedUnits const& files) {
    ApplyPlan plan;
    plan.folder_errors = files.folder_errors;
    plan.warnings = files.warnings;
    std::map<std::string, UnitStep> steps;
    auto const begin = [&](std::string const& name, UnitAction action) -> UnitStep& {
        auto& step = steps[name];
        step.unit = name;
        step.action = action;
        return step;
    };
    for (auto const& [name, spec] : files.specs) {
        auto const known = now.find(name);
        if (known == now.end()) {
            auto& step = begin(name, UnitAction::Add);
            step.listeners = plan_listeners({}, spec->sockets);
            step.spec = spec;
        } else if (known->second == spec || *known->second == *spec) {
            auto& step = begin(name, UnitAction::Keep);
            step.listeners = plan_listeners(spec->sockets, spec->sockets);
            step.spec = known->second;
        } else {
            steps[name] = plan_change(known->second, spec);
        }
    }
    for (auto const& [name, diagnostics] : files.bad)
        begin(name, UnitAction::Bad).diagnostics = diagnostics;
    // A folder that cannot be read says nothing about its units: they are not gone.
    for (auto const& [name, spec] : now)
        if (!steps.contains(name) && files.folder_errors.empty() && !spec->path.empty()) {
            auto& step = begin(name, UnitAction::Remove);
            step.why = {"its file is gone"};
            step.listeners = plan_listeners(spec->sockets, {});
        }
    for (auto& [name, step] : steps)
        plan.steps.push_back(std::move(step));
    return plan;
}

} // namespace holdfast
