// SPDX-License-Identifier: Apache-2.0
// status, list, sockets, show.
#include "base/text.h"
#include "cli/answer.h"
#include "cli/render.h"
#include "cli/table.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace holdfast::cli {

using nlohmann::json;

namespace {

struct StateColour {
    std::string_view state;
    Colour colour;
};
constexpr StateColour state_colours[] = {
    {"inactive", Colour::Faint},      {"listening", Colour::Good},
    {"starting", Colour::Warning},    {"active", Colour::Good},
    {"rolling-out", Colour::Warning}, {"backing-off", Colour::Bad},
    {"stopping", Colour::Warning},    {"bad", Colour::Bad},
    {"ready", Colour::Good},          {"draining", Colour::Warning},
    {"killed", Colour::Bad},          {"held", Colour::Plain},
    {"failed", Colour::Bad},          {"paused", Colour::Warning},
    {"running", Colour::Good},
};

Colour colour_of(std::string const& state) {
    for (auto const& row : state_colours)
        if (row.state == state)
            return row.colour;
    return Colour::Plain;
}

Cell state_cell(json const& object) {
    std::string const state = text_of(object, "state");
    return {state, colour_of(state)};
}

/// "3min 20s", the time since a point on CLOCK_MONOTONIC; empty for the time before there was any.
std::string age_of(json const& object, Screen const& screen) {
    auto const since = number_of(object, "since_usec");
    if (!since || *since <= 0)
        return {};
    auto const age = screen.now - MonotonicTime{Duration{*since}};
    return to_short_string(std::max(age, Duration{0}));
}

std::string bytes_text(json const& object, char const* name) {
    auto const bytes = number_of(object, name);
    if (!bytes)
        return {};
    constexpr std::array units{"B", "K", "M", "G", "T"};
    auto value = static_cast<double>(*bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), unit == 0 || value >= 100 ? "%.0f%s" : "%.1f%s", value,
                  units[unit]);
    return text.data();
}

std::string duration_text(json const& object, char const* name) {
    auto const duration = number_of(object, name);
    return duration ? to_short_string(Duration{*duration}) : std::string{};
}

/// "2/3": how many workers are ready, of how many; or how many connections are served, of how many that may
/// be.
std::string workers_text(json const& unit) {
    if (auto const& connections = object_of(unit, "connections"); !connections.empty())
        return digits_of(connections, "live") + "/" + digits_of(connections, "most");
    auto const& workers = list_of(unit, "workers");
    if (workers.empty())
        return "0";
    auto const ready = std::count_if(workers.begin(), workers.end(),
                                     [](json const& worker) { return text_of(worker, "state") == "ready"; });
    return std::to_string(ready) + "/" + std::to_string(workers.size());
}

std::string addresses_text(json const& unit) {
    std::vector<std::string> addresses;
    for (auto const& socket : list_of(unit, "sockets"))
        if (auto const address = text_of(socket, "address"); addresses.empty() || addresses.back() != address)
            addresses.push_back(address); // once for all shards
    return join(addresses, ", ");
}

std::string cgroups_text(json const& unit) {
    std::vector<std::string> paths;
    for (auto const& worker : list_of(unit, "workers"))
        if (auto const path = text_of(worker, "cgroup");
            !path.empty() && std::find(paths.begin(), paths.end(), path) == paths.end())
            paths.push_back(path);
    return join(paths, ", ");
}

std::string first_line(std::string const& text) {
    return text.substr(0, text.find('\n'));
}

std::string workers_table(json const& unit, Screen const& screen) {
    Table table{{{"WORKER", true},
                 {"GEN", true},
                 {"ROLE"},
                 {"STATE"},
                 {"PID", true},
                 {"SINCE"},
                 {"MEMORY", true},
                 {"CPU", true},
                 {"STATUS", false, true}}};
    for (auto const& worker : list_of(unit, "workers"))
        table.add({digits_of(worker, "worker"), digits_of(worker, "generation"), text_of(worker, "role"),
                   state_cell(worker), digits_of(worker, "pid"), age_of(worker, screen),
                   bytes_text(worker, "memory_bytes"), duration_text(worker, "cpu_usec"),
                   text_of(worker, "status")});
    return table.to_text(screen, "  ");
}

/// "3 of 64, 120 served, 2 failed, 7 refused"; what there is none of is left out.
std::string connections_text(json const& unit) {
    auto const& connections = object_of(unit, "connections");
    if (connections.empty())
        return {};
    auto text = digits_of(connections, "live") + " of " + digits_of(connections, "most") + ", " +
                digits_of(connections, "accepted") + " accepted";
    auto const add = [&](char const* name, std::string const& what) {
        if (auto const count = number_of(connections, name).value_or(0); count > 0)
            text += ", " + std::to_string(count) + " " + what;
    };
    add("failed", "failed");
    add("refused_full", "refused as too many");
    add("refused_source", "refused as too many of one source");
    if (flag_of(connections, "is_full").value_or(false) && text_of(connections, "on_full") == "wait")
        text += "; others wait";
    if (flag_of(connections, "is_limited").value_or(false))
        text += "; others wait: too many were started (trigger_limit_burst)";
    return text;
}

std::string instances_table(json const& unit, Screen const& screen) {
    Table table{{{"INSTANCE"}, {"STATE"}, {"PID", true}, {"SINCE"}, {"MEMORY", true}, {"CPU", true}}};
    for (auto const& instance : list_of(object_of(unit, "connections"), "instances"))
        table.add({text_of(instance, "name"), state_cell(instance), digits_of(instance, "pid"),
                   age_of(instance, screen), bytes_text(instance, "memory_bytes"),
                   duration_text(instance, "cpu_usec")});
    return table.to_text(screen, "  ");
}

/// "0 blue": the slot and the bank of a shard.
std::string shard_text(json const& socket) {
    auto const bank = text_of(socket, "bank");
    return bank.empty() ? bank : digits_of(socket, "slot") + " " + bank;
}

/// "hash 12.5%": how new connections come to a shard, and how many of them.
std::string steering_text(json const& socket) {
    auto const weight = number_of(socket, "weight");
    auto const steering = text_of(socket, "steering");
    if (!weight || steering.empty())
        return {};
    std::array<char, 32> part{};
    std::snprintf(part.data(), part.size(), " %.3g%%", 100.0 * static_cast<double>(*weight) / 65536);
    return steering + part.data();
}

std::string sockets_table(json const& sockets, Screen const& screen, bool with_unit,
                          std::string_view indent) {
    Table table{{{"UNIT", false, true},
                 {"SOCKET", false, true},
                 {"ADDRESS", false, true},
                 {"SHARD", false, true},
                 {"STEERING", false, true},
                 {"STATE"},
                 {"FD", true},
                 {"QUEUE", true},
                 {"LIMIT", true},
                 {"DROPS", true},
                 {"PROBLEM", false, true}}};
    for (auto const& socket : sockets) {
        auto const drops = number_of(socket, "drops");
        table.add({with_unit ? text_of(socket, "unit") : std::string{},
                   text_of(socket, "name"),
                   text_of(socket, "address"),
                   shard_text(socket),
                   steering_text(socket),
                   state_cell(socket),
                   digits_of(socket, "fd"),
                   digits_of(socket, "queue"),
                   digits_of(socket, "limit"),
                   {digits_of(socket, "drops"), drops.value_or(0) > 0 ? Colour::Warning : Colour::Plain},
                   Cell{text_of(socket, "problem"), Colour::Bad}});
    }
    return table.to_text(screen, indent);
}

std::string field(std::string_view label, std::string const& value, Screen const& screen,
                  Colour colour = Colour::Plain) {
    if (value.empty())
        return {};
    std::string head = "  " + std::string{label};
    head.resize(std::max<std::size_t>(head.size() + 1, 14), ' ');
    return paint(head, Colour::Faint, screen) + paint(harmless(value), colour, screen) + "\n";
}

} // namespace

std::string render_status(json const& unit, Screen const& screen) {
    std::string const state = text_of(unit, "state");
    std::string const description = text_of(unit, "description");
    std::string const age = age_of(unit, screen);
    std::string const generation = digits_of(unit, "generation");
    std::string text = paint(harmless(text_of(unit, "name")), Colour::Bold, screen) +
                       (description.empty() ? "" : ": " + harmless(description)) + "\n";
    text += field("state",
                  state + (age.empty() ? "" : " since " + age) +
                      (generation.empty() ? "" : ", generation " + generation),
                  screen, colour_of(state));
    if (auto const resumes = number_of(unit, "resumes_in_usec"))
        text += field("resumes", "by itself in " + to_short_string(Duration{*resumes}), screen);
    // Said only where it is a surprise.
    if (std::string const wanted = text_of(unit, "wanted");
        (wanted == "up" && state == "inactive") || (wanted == "down" && state == "active"))
        text += field("wanted", wanted, screen);
    text += field("file", text_of(unit, "file"), screen);
    text += field("log", text_of(unit, "log"), screen);
    text += field("cgroup", cgroups_text(unit), screen);
    auto const stored = number_of(unit, "fd_store").value_or(0);
    if (auto const most = number_of(unit, "fd_store_max").value_or(0); stored > 0 || most > 0)
        text += field("fd store", std::to_string(stored) + " of " + std::to_string(most), screen);
    text += field("connections", connections_text(unit), screen);
    text += field("last event", text_of(unit, "last_event"), screen);
    std::string const problem = text_of(unit, "problem");
    if (problem.find('\n') == std::string::npos)
        text += field("problem", problem, screen, Colour::Bad);
    else
        text += field("problem", "its file has errors:", screen, Colour::Bad) + harmless_lines(problem, "  ");
    if (auto const workers = workers_table(unit, screen); !workers.empty())
        text += "\n" + workers;
    if (auto const instances = instances_table(unit, screen); !instances.empty())
        text += "\n" + instances;
    if (auto const sockets = sockets_table(list_of(unit, "sockets"), screen, false, "  "); !sockets.empty())
        text += "\n" + sockets;
    return text;
}

std::string render_list(json const& units, Screen const& screen, bool with_problems) {
    if (units.empty())
        return "There are no units.\n";
    Table table{{{"UNIT", false, true},
                 {"STATE"},
                 {"WORKERS", true},
                 {"GEN", true},
                 {"SINCE"},
                 {"SOCKETS", false, true},
                 {"DESCRIPTION", false, true}}};
    std::string problems;
    for (auto const& unit : units) {
        table.add({text_of(unit, "name"), state_cell(unit), workers_text(unit), digits_of(unit, "generation"),
                   age_of(unit, screen), addresses_text(unit), text_of(unit, "description")});
        std::string const problem = first_line(text_of(unit, "problem"));
        if (!problem.empty())
            problems +=
                paint(harmless(text_of(unit, "name")), Colour::Bad, screen) + ": " + harmless(problem) + "\n";
    }
    std::string text = table.to_text(screen);
    if (with_problems && !problems.empty())
        text += "\n" + problems;
    return text;
}

std::string render_sockets(json const& sockets, Screen const& screen) {
    if (sockets.empty())
        return "There are no sockets.\n";
    return sockets_table(sockets, screen, true, {});
}

std::string render_show(json const& shown) {
    std::string text;
    for (auto const& file : list_of(shown, "files"))
        if (file.is_string())
            text += "# " + harmless(file.get<std::string>()) + "\n";
    return text + harmless_lines(text_of(shown, "toml"));
}

} // namespace holdfast::cli
