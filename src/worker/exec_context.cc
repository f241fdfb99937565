// SPDX-License-Identifier: Apache-2.0
#include "worker/exec_context.h"

#include "base/placeholder.h"
#include "handoff/listen_fds.h"
#include "handoff/placeholders.h"
#include "worker/leftovers.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <sys/resource.h>
#include <unistd.h>

namespace holdfast {

namespace {

/// Variables by name, the last one set wins, in the order in which they were first set.
class Environment {
public:
    void set(std::string_view name, std::string_view value) {
        std::string variable{name};
        variable += '=';
        variable += value;
        put(std::move(variable), name);
    }
    void put(std::string variable) {
        std::string const name = variable.substr(0, variable.find('='));
        put(std::move(variable), name);
    }
    [[nodiscard]] std::string_view get(std::string_view name) const {
        auto const at = find(name);
        return at == variables_.end() ? std::string_view{} : std::string_view{*at}.substr(name.size() + 1);
    }
    void drop(std::string_view name) {
        if (auto const at = find(name); at != variables_.end())
            variables_.erase(at);
    }
    std::vector<std::string> take() && { return std::move(variables_); }

private:
    void put(std::string variable, std::string_view name) {
        if (auto const at = find(name); at != variables_.end())
            variables_[static_cast<std::size_t>(at - variables_.begin())] = std::move(variable);
        else
            variables_.push_back(std::move(variable));
    }
    [[nodiscard]] std::vector<std::string>::const_iterator find(std::string_view name) const {
        return std::find_if(variables_.begin(), variables_.end(), [&](std::string const& variable) {
            return variable.size() > name.size() && variable[name.size()] == '=' &&
                   variable.starts_with(name);
        });
    }
    std::vector<std::string> variables_;
};

constexpr std::array<std::string_view, 4> listen_variables{"LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID",
                                                           "LISTEN_FDNAMES"};
constexpr std::string_view steering_variable = "HOLDFAST_STEERING_ID";
constexpr std::array<std::string_view, 7> other_variables_of_ours{
    "NOTIFY_SOCKET", "WATCHDOG_PID",      "WATCHDOG_USEC",  handoff_variable,
    unit_variable,   generation_variable, steering_variable};
/// What systemd.exec(5) tells a service of itself, which a service of that service is not.
constexpr std::array<std::string_view, 10> variables_of_our_unit{
    "INVOCATION_ID",   "JOURNAL_STREAM",  "MANAGERPID",     "SYSTEMD_EXEC_PID",        "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY", "FDSTORE"};
constexpr std::string_view prefix_of_our_unit = "MEMORY_PRESSURE_";

template <std::size_t N>
bool contains(std::array<std::string_view, N> const& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool uses(UnitSpec const& spec, HandoffKind kind) {
    auto const& handoff = spec.service.handoff;
    return std::find(handoff.begin(), handoff.end(), kind) != handoff.end();
}

Error of_unit(Error error, UnitSpec const& spec) {
    if (error.where.empty())
        error.where = spec.name;
    return error;
}

PlaceholderValues placeholder_values(UnitSpec const& spec, WorkerPlace place,
                                     std::vector<HeldListener> const& listeners, bool inherits_them) {
    PlaceholderValues values;
    values.unit = spec.name;
    if (auto const at = spec.name.find('@'); at != std::string::npos)
        values.instance = spec.name.substr(at + 1);
    values.slot = place.slot;
    values.generation = place.generation;
    int number = first_handed_fd;
    for (auto const& held : listeners) {
        if (held.is_stored)
            continue;
        HandedListener handed{held.listener.name, std::nullopt, std::nullopt};
        if (inherits_them)
            handed.number = number++;
        if (held.port != 0)
            handed.port = held.port;
        values.listeners.push_back(std::move(handed));
    }
    return values;
}

bool mentions_descriptor(UnitSpec const& spec) {
    auto const mentions = [](std::string const& text) {
        auto const pieces = split_placeholders(text);
        return std::any_of(pieces.begin(), pieces.end(),
                           [](TextPiece const& piece) { return piece.word == to_name(Placeholder::Fd); });
    };
    auto const& service = spec.service;
    return std::any_of(service.exec_start.begin(), service.exec_start.end(), mentions) ||
           std::any_of(service.environment.begin(), service.environment.end(),
                       [&](auto const& variable) { return mentions(variable.second); });
}

/// What a worker gets must leave it room to open files of its own, beginning with its libraries: where the
/// unit does not say otherwise, its soft limit on descriptors is raised as far as the hard one lets.
Outcome make_room_for_descriptors(LaunchPlan& plan, UnitSpec const& spec) {
    constexpr std::uint64_t room = 64;
    auto const end = first_handed_fd + plan.listeners.size() + plan.others.size();
    auto const is_descriptors = [](LimitSpec const& limit) { return limit.resource == RLIMIT_NOFILE; };
    auto const& own = spec.service.limits;
    auto const last = std::find_if(plan.limits.rbegin(), plan.limits.rend(), is_descriptors);
    LimitSpec limit{RLIMIT_NOFILE, 0, 0};
    rlimit ours{};
    if (last != plan.limits.rend())
        limit = *last;
    else if (::getrlimit(RLIMIT_NOFILE, &ours) == 0)
        limit = {RLIMIT_NOFILE, ours.rlim_cur, ours.rlim_max};
    if (std::none_of(own.begin(), own.end(), is_descriptors) && limit.soft < end + room) {
        limit.soft = std::min<std::uint64_t>(end + room, limit.hard);
        plan.limits.push_back(limit);
    }
    if (limit.soft > end)
        return {};
    return plain_error("cannot hand over " + std::to_string(end - first_handed_fd) +
                           " descriptors: its limit of " + std::to_string(limit.soft) +
                           " open files leaves no room for its program",
                       spec.name, "raise `nofile` in `limits`, and the hard limit of holdfastd itself");
}

} // namespace

std::vector<std::string> inherited_environment() {
    std::vector<std::string> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        std::string_view const text{*variable};
        auto const name = text.substr(0, text.find('='));
        if (!contains(listen_variables, name) && !contains(other_variables_of_ours, name))
            variables.emplace_back(text);
    }
    return variables;
}

std::vector<std::string> services_environment() {
    auto variables = inherited_environment();
    std::erase_if(variables, [](std::string_view variable) {
        auto const name = variable.substr(0, variable.find('='));
        return contains(variables_of_our_unit, name) || name.starts_with(prefix_of_our_unit);
    });
    return variables;
}

std::string log_path(Surroundings const& around, std::string const& unit) {
    return around.log_folder + "/" + unit + ".log";
}

Result<LaunchPlan> make_launch_plan(UnitSpec const& spec, WorkerPlace place,
                                    std::vector<HeldListener> const& listeners, FdRef handoff,
                                    Surroundings const& around) {
    auto const& service = spec.service;
    LaunchPlan plan;
    plan.announces_listeners = uses(spec, HandoffKind::ListenFds);
    // A worker that only asks by SCM_RIGHTS inherits no listener, unless a {fd:NAME} says otherwise.
    bool const inherits = plan.announces_listeners || mentions_descriptor(spec);
    auto const values = placeholder_values(spec, place, listeners, inherits);
    if (inherits)
        for (auto const& held : listeners)
            if (!held.is_stored || plan.announces_listeners)
                plan.listeners.push_back(held.listener);

    Environment environment;
    environment.set("PATH", default_search_path);
    for (auto const& variable : around.environment)
        environment.put(variable);
    if (!service.user.empty() || !service.group.empty()) {
        auto identity = find_identity(service.user, service.group);
        if (!identity)
            return of_unit(std::move(identity).error(), spec);
        plan.identity = std::move(identity).value();
        if (!service.user.empty()) {
            environment.set("USER", plan.identity->user);
            environment.set("LOGNAME", plan.identity->user);
            if (!plan.identity->home.empty())
                environment.set("HOME", plan.identity->home);
            if (!plan.identity->shell.empty())
                environment.set("SHELL", plan.identity->shell);
        }
    }
    for (auto const& [name, value] : service.environment) {
        auto text = expand_placeholders(value, values);
        if (!text)
            return of_unit(std::move(text).error(), spec);
        environment.set(name, *text);
    }
    // What the unit itself sets of these would be found first, and be wrong.
    if (plan.announces_listeners)
        for (auto const name : listen_variables)
            environment.drop(name);
    environment.set(unit_variable, spec.name);
    environment.set(generation_variable, std::to_string(place.generation));
    if (place.steering_id != 0)
        environment.set(steering_variable, std::to_string(place.steering_id));
    if (!around.notify_path.empty())
        environment.set("NOTIFY_SOCKET", around.notify_path);
    if (!around.notify_path.empty() && service.watchdog > Duration::zero()) {
        environment.drop("WATCHDOG_PID");
        environment.set("WATCHDOG_USEC", std::to_string(service.watchdog.count()));
        plan.announces_watchdog = true;
    }
    if (handoff.is_open()) {
        plan.others.push_back(handoff);
        environment.set(handoff_variable,
                        std::to_string(first_handed_fd + static_cast<int>(plan.listeners.size())));
    }

    for (auto const& argument : service.exec_start) {
        auto text = expand_placeholders(argument, values);
        if (!text)
            return of_unit(std::move(text).error(), spec);
        plan.arguments.push_back(std::move(text).value());
    }
    ensure(!plan.arguments.empty());
    plan.programs = program_candidates(plan.arguments.front(), environment.get("PATH"));
    plan.environment = std::move(environment).take();
    plan.null = *around.null;
    plan.output.kind = around.output;
    plan.output.identifier = spec.name;
    plan.output.unit = around.journal_unit;
    if (around.output == Output::Kind::File)
        plan.output.path = log_path(around, spec.name);
    plan.working_directory = service.working_directory;
    if (plan.working_directory.empty() && around.mode == RunMode::System)
        plan.working_directory = "/";
    plan.umask = service.umask;
    plan.limits = around.limits;
    plan.limits.insert(plan.limits.end(), service.limits.begin(), service.limits.end());
    if (auto const room = make_room_for_descriptors(plan, spec); !room)
        return room.error();
    if (around.cgroup_for)
        plan.cgroup = around.cgroup_for(spec.name, place.generation);
    return plan;
}

namespace {

Result<LaunchPlan> make_command_plan(UnitSpec const& spec, WorkerPlace place, char const* setting,
                                     std::vector<std::string> const& command,
                                     std::vector<std::pair<std::string, std::string>> const& variables,
                                     Surroundings const& around) {
    auto as_worker = spec;
    auto& service = as_worker.service;
    service.exec_start = command;
    service.handoff.clear();
    service.watchdog = Duration::zero();
    std::erase_if(service.environment, [](auto const& variable) {
        auto const pieces = split_placeholders(variable.second);
        return std::any_of(pieces.begin(), pieces.end(), [](TextPiece const& piece) {
            return piece.is_placeholder() && piece.has_argument;
        });
    });
    service.environment.insert(service.environment.end(), variables.begin(), variables.end());
    auto quiet = around;
    quiet.notify_path.clear();
    auto plan = make_launch_plan(as_worker, place, {}, {}, quiet);
    if (plan)
        plan.value().setting = setting;
    return plan;
}

} // namespace

Result<LaunchPlan> make_reload_plan(UnitSpec const& spec, WorkerPlace place, int pid,
                                    Surroundings const& around) {
    ensure(!spec.service.exec_reload.empty());
    return make_command_plan(spec, place, "exec_reload", spec.service.exec_reload,
                             {{"MAINPID", std::to_string(pid)}}, around);
}

Result<LaunchPlan> make_probe_plan(UnitSpec const& spec, WorkerPlace place, ProbeTarget target,
                                   Surroundings const& around) {
    ensure(spec.health && !spec.health->exec.empty());
    return make_command_plan(spec, place, "exec", spec.health->exec,
                             {{"HOLDFAST_PROBE_ADDRESS", "127.0.0.1:" + std::to_string(target.port)},
                              {"HOLDFAST_PROBE_PID", std::to_string(target.pid)}},
                             around);
}

} // namespace holdfast
