// SPDX-License-Identifier: Apache-2.0
// list, sockets, show; what they share with status.
#include "base/text.h"
#include "cli/answer.h"
#include "cli/render.h"
#include "cli/render_parts.h"

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

std::string first_line(std::string const& text) {
    return text.substr(0, text.find('\n'));
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

} // namespace

Colour state_colour(std::string_view state) {
    for (auto const& row : state_colours)
        if (row.state == state)
            return row.colour;
    return Colour::Plain;
}

Cell state_cell(json const& object) {
    std::string const state = text_of(object, "state");
    return {state, state_colour(state)};
}

std::string age_of(json const& object, Screen const& screen) {
    auto const since = number_of(object, "since_usec");
    if (!since || *since <= 0)
        return {};
    auto const age = screen.now - MonotonicTime{Duration{*since}};
    return to_short_string(std::max(age, Duration{0}));
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
