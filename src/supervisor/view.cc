// SPDX-License-Identifier: Apache-2.0
#include "supervisor/view.h"

#include "base/text.h"
#include "supervisor/addresses.h"
#include "supervisor/view_json.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>

#include <unistd.h>

namespace holdfast::view {

using nlohmann::json;

/// Resident memory less what is shared: /proc/PID/statm, proc(5).
std::optional<std::uint64_t> memory_of(pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/statm"};
    std::uint64_t size = 0, resident = 0, shared = 0;
    if (!(file >> size >> resident >> shared))
        return std::nullopt;
    return (resident - std::min(resident, shared)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// User and system time: fields 14 and 15 of /proc/PID/stat, counted behind the command's closing
/// parenthesis.
std::optional<std::uint64_t> cpu_of(pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
    std::string line;
    std::getline(file, line);
    auto const parenthesis = line.rfind(')');
    if (parenthesis == std::string::npos)
        return std::nullopt;
    std::istringstream fields{line.substr(parenthesis + 1)};
    std::string skipped;
    for (int field = 3; field < 14; ++field)
        fields >> skipped;
    std::uint64_t user = 0, system = 0;
    if (!(fields >> user >> system))
        return std::nullopt;
    return (user + system) * 1000000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
}

namespace {

json socket_shape(UnitRunner const& unit, std::string const& name, ListenAddress const& address) {
    return {{"unit", unit.spec().name},
            {"name", name},
            {"address", to_string(address)},
            {"transport", std::string{to_name(address.transport)}},
            {"port", address.port != 0 ? json(address.port) : json(nullptr)},
            {"slot", nullptr},
            {"bank", nullptr},
            {"steering", nullptr},
            {"weight", nullptr},
            {"state", "held"},
            {"fd", nullptr},
            {"queue", nullptr},
            {"limit", nullptr},
            {"drops", nullptr},
            {"problem", nullptr}};
}

json worker_shape(lifecycle::Worker const& worker, UnitRunner const& unit, Look const& look, bool full) {
    json shape{{"worker", static_cast<std::uint32_t>(worker.id)},
               {"generation", static_cast<std::uint32_t>(worker.generation)},
               {"role", nullptr},
               {"slot", static_cast<std::uint16_t>(worker.slot)},
               {"pid", nullptr},
               {"state", std::string{to_name(worker.phase)}},
               {"since_usec", worker.since.since_boot().count()},
               {"status", nullptr},
               {"memory_bytes", nullptr},
               {"cpu_usec", nullptr},
               {"cgroup", nullptr}};
    for (auto const& generation : unit.state().generations)
        if (generation.id == worker.generation)
            shape["role"] = std::string{to_name(generation.role)};
    for (auto const& running : unit.workers())
        if (running->process.id() == static_cast<std::uint32_t>(worker.id)) {
            auto const pid = running->process.pid();
            shape["pid"] = pid;
            shape["status"] = optional(running->status);
            if (full) {
                shape["memory_bytes"] = optional(memory_of(pid));
                shape["cpu_usec"] = optional(cpu_of(pid));
                shape["cgroup"] = optional(look.supervisor.shared().remains->path_of(
                    unit.spec().name, static_cast<std::uint32_t>(worker.generation)));
            }
        }
    return shape;
}

std::string problem_of(UnitRunner const& unit, Supervisor const& supervisor) {
    if (!unit.sockets().is_complete())
        return to_string(unit.sockets().failed().front().error);
    if (!unit.trouble().empty())
        return unit.trouble();
    if (supervisor.bad_units().contains(unit.spec().name))
        return "its file has errors now; what runs goes on as it was";
    return {};
}

} // namespace

std::string time_text(std::chrono::system_clock::time_point time) {
    auto const since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
    std::time_t const seconds = since.count() / 1000;
    std::tm broken{};
    ::gmtime_r(&seconds, &broken);
    char text[32], whole[40];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &broken);
    std::snprintf(whole, sizeof whole, "%s.%03dZ", text, static_cast<int>(since.count() % 1000));
    return whole;
}

json of(Event const& event) {
    return {{"number", event.number},
            {"time", time_text(event.time)},
            {"monotonic_usec", event.at.since_boot().count()},
            {"unit", optional(event.unit)},
            {"kind", std::string{event.kind}},
            {"text", event.text},
            {"generation", optional(event.generation)},
            {"worker", optional(event.worker)},
            {"pid", optional(event.pid)}};
}

json of(Diagnostic const& diagnostic) {
    return {{"severity", std::string{to_name(diagnostic.severity)}},
            {"file", diagnostic.file},
            {"line", diagnostic.line},
            {"column", diagnostic.column},
            {"message", diagnostic.message},
            {"suggestion", optional(diagnostic.suggestion)},
            {"text", to_string(diagnostic)}};
}

json of(std::vector<Diagnostic> const& diagnostics) {
    json list = json::array();
    for (auto const& diagnostic : diagnostics)
        list.push_back(of(diagnostic));
    return list;
}

json of(UnitStep const& step) {
    json listeners = json::array();
    for (auto const& listener : step.listeners)
        listeners.push_back({{"action", std::string{to_name(listener.action)}},
                             {"name", listener.name},
                             {"address", to_string(listener.address)},
                             {"why", listener.why},
                             {"deferred", listener.deferred}});
    return {{"unit", step.unit},
            {"action", std::string{to_name(step.action)}},
            {"why", step.why},
            {"listeners", std::move(listeners)},
            {"diagnostics", of(step.diagnostics)},
            {"ok", optional(step.ok)},
            {"message", optional(step.message)}};
}

json of(WishResult const& result) {
    return {{"event", nullptr},
            {"ok", result.ok},
            {"message", result.message},
            {"report", result.report ? of(*result.report) : json(nullptr)}};
}

Look::Look(Supervisor const& looked_at) : supervisor{looked_at} {
    for (auto const& event : supervisor.shared().events.recent())
        last_events[event.unit] = event.text;
}

namespace {

std::string output_word(Output::Kind kind) {
    switch (kind) {
    case Output::Kind::Through:
        return "through";
    case Output::Kind::File:
        return "file";
    case Output::Kind::Journal:
        return "journal";
    }
    return "?";
}

/// Of the journal it takes the unit of systemd that a line is of from root alone.
json journal_match(Surroundings const& around) {
    bool const is_vouched_for = around.output == Output::Kind::Journal && !around.journal_unit.empty() &&
                                around.mode == RunMode::System && ::geteuid() == 0;
    return is_vouched_for ? json("_SYSTEMD_UNIT=" + around.journal_unit) : json(nullptr);
}

} // namespace

json sockets(UnitRunner const& unit, Look& look) {
    json list = json::array();
    auto const wanted = sockets_of(unit.spec());
    auto const add = [&](Listener const& held, std::optional<Shard> shard, Steering const* steering) {
        auto shape = socket_shape(unit, held.name, held.bound());
        if (auto const socket = wanted.find(identity_of(held)); socket != wanted.end())
            if (auto const deferred =
                    deferred_settings(held.bound_with, *socket->second, held.wanted.transport);
                !deferred.empty())
                shape["problem"] = "when it is bound next: " + join(deferred, ", ");
        if (auto const until = unit.sockets().left_alone_until(held))
            shape["problem"] =
                "it has started the service too often (poll_limit_burst); it is listened to again in " +
                to_short_string(*until - MonotonicTime::now());
        shape["fd"] = held.fd.raw();
        if (auto const queue = look.queues.queue_of(held)) {
            shape["queue"] = queue->waiting;
            shape["limit"] = queue->limit;
            shape["drops"] = optional(queue->drops);
        }
        if (shard) {
            shape["slot"] = shard->slot;
            shape["bank"] = std::string{to_name(shard->bank)};
            auto const share = steering->shares.find(*shard);
            shape["steering"] = std::string{to_name(steering->how.mode)};
            shape["weight"] = share == steering->shares.end() ? 0 : share->second;
        }
        list.push_back(std::move(shape));
    };
    for (auto const& held : unit.sockets().held())
        add(held, {}, nullptr);
    if (auto const* const shards = unit.sockets().shards())
        for (auto const& group : shards->groups())
            for (auto const& member : group.members())
                if (member.shard)
                    add(member.listener, member.shard, &group.steering());
    for (auto const& failed : unit.sockets().failed()) {
        auto shape = socket_shape(unit, failed.name, failed.address);
        shape["state"] = "failed";
        shape["problem"] = to_string(failed.error);
        list.push_back(std::move(shape));
    }
    return list;
}

json unit(UnitRunner const& unit, Look& look, bool full) {
    auto const& state = unit.state();
    json workers = json::array();
    json generation = nullptr;
    for (auto const& worker : state.workers)
        workers.push_back(worker_shape(worker, unit, look, full));
    for (auto const& known : state.generations)
        if (known.role == lifecycle::Role::Serving)
            generation = static_cast<std::uint32_t>(known.id);
    json resumes_in = nullptr;
    if (state.pause)
        resumes_in = std::max(Duration{0}, state.pause->until - MonotonicTime::now()).count();
    json last_event = nullptr;
    if (auto const last = look.last_events.find(unit.spec().name); last != look.last_events.end())
        last_event = last->second;
    auto const& around = look.supervisor.shared().around;
    return {{"name", unit.spec().name},
            {"description", unit.spec().description},
            {"state", state_name(unit)},
            {"wanted", state.goal == lifecycle::Goal::Up ? "up" : "down"},
            {"since_usec", state_since(unit).since_boot().count()},
            {"resumes_in_usec", std::move(resumes_in)},
            {"generation", std::move(generation)},
            {"workers", std::move(workers)},
            {"connections", connections(unit, look, full)},
            {"sockets", sockets(unit, look)},
            {"fd_store", unit.store() != nullptr ? unit.store()->size() : 0},
            {"fd_store_max", unit.spec().service.fd_store_max},
            {"file", optional(unit.spec().path)},
            {"output", output_word(around.output)},
            {"log",
             around.output == Output::Kind::File ? json(log_path(around, unit.spec().name)) : json(nullptr)},
            {"journal_match", journal_match(around)},
            {"problem", optional(problem_of(unit, look.supervisor))},
            {"last_event", std::move(last_event)}};
}

json bad_unit(std::string const& name, std::vector<Diagnostic> const& diagnostics) {
    return {{"name", name},
            {"description", ""},
            {"state", "bad"},
            {"wanted", "down"},
            {"since_usec", 0},
            {"resumes_in_usec", nullptr},
            {"generation", nullptr},
            {"workers", json::array()},
            {"connections", nullptr},
            {"sockets", json::array()},
            {"fd_store", 0},
            {"fd_store_max", 0},
            {"file", diagnostics.empty() ? json(nullptr) : json(diagnostics.front().file)},
            {"output", nullptr},
            {"log", nullptr},
            {"journal_match", nullptr},
            {"problem", to_string(diagnostics)},
            {"last_event", nullptr}};
}

} // namespace holdfast::view
