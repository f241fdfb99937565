// SPDX-License-Identifier: Apache-2.0
// status of one unit: on a terminal no more than fits it.
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

std::string cgroups_text(json const& unit) {
    std::vector<std::string> paths;
    for (auto const& worker : list_of(unit, "workers"))
        if (auto const path = text_of(worker, "cgroup");
            !path.empty() && std::find(paths.begin(), paths.end(), path) == paths.end())
            paths.push_back(path);
    return join(paths, ", ");
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

std::string field(std::string_view label, std::string const& value, Screen const& screen,
                  Colour colour = Colour::Plain) {
    if (value.empty())
        return {};
    std::string head = "  " + std::string{label};
    head.resize(std::max<std::size_t>(head.size() + 1, 14), ' ');
    // What is wrong is said in full.
    auto const shown = screen.width > head.size() && colour != Colour::Bad
                           ? cut_to(harmless(value), screen.width - head.size())
                           : harmless(value);
    return paint(head, Colour::Faint, screen) + paint(shown, colour, screen) + "\n";
}

std::string fields(json const& unit, LogTail const& log, Screen const& screen) {
    std::string const state = text_of(unit, "state");
    std::string const description = text_of(unit, "description");
    std::string const age = age_of(unit, screen);
    std::string const generation = digits_of(unit, "generation");
    auto const name = harmless(text_of(unit, "name"));
    auto about = description.empty() ? std::string{} : ": " + harmless(description);
    if (screen.width > 0)
        about = cut_to(about, screen.width - std::min(screen.width, width_of(name)));
    std::string text = paint(name, Colour::Bold, screen) + about + "\n";
    text += field("state",
                  state + (age.empty() ? "" : " since " + age) +
                      (generation.empty() ? "" : ", generation " + generation),
                  screen, state_colour(state));
    if (auto const resumes = number_of(unit, "resumes_in_usec"))
        text += field("resumes", "by itself in " + to_short_string(Duration{*resumes}), screen);
    // Said only where it is a surprise.
    if (std::string const wanted = text_of(unit, "wanted");
        (wanted == "up" && state == "inactive") || (wanted == "down" && state == "active"))
        text += field("wanted", wanted, screen);
    text += field("file", text_of(unit, "file"), screen);
    text += field("log", log.where + (log.problem.empty() ? "" : " (" + log.problem + ")"), screen);
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
    return text;
}

std::size_t lines_on(Screen const& screen, std::string_view text) {
    auto const shown = folded(text, screen);
    return static_cast<std::size_t>(std::count(shown.begin(), shown.end(), '\n'));
}

/// The first lines of a table, and how many there are more.
std::string first_lines(std::string const& text, std::size_t most, std::string const& more) {
    auto const lines = split(text, '\n');
    auto const count = lines.size() - 1;
    if (count <= most)
        return text;
    std::string first;
    for (std::size_t i = 0; i + 1 < most; ++i)
        first += std::string{lines[i]} + "\n";
    return first + "  … " + std::to_string(count - most + 1) + " more: " + more + "\n";
}

constexpr std::size_t most_log_lines = 10;
constexpr std::size_t least_log_lines = 3;
constexpr std::size_t least_table = 3;

struct Parts {
    std::string head;
    std::vector<std::string> tables; ///< those of workers, of instances, of sockets
    std::vector<std::string> log;
    std::string next;
};

/// So that the whole is no longer than the screen, with a line for what is typed next. The log gives way
/// first, then the longest table.
void fit(Parts& parts, std::string const& name, Screen const& screen) {
    std::size_t const room = screen.height > 0 ? screen.height - 1 : 0;
    std::size_t used = lines_on(screen, parts.head) + lines_on(screen, parts.next) + 1;
    std::vector<std::size_t> sizes;
    for (auto const& table : parts.tables) {
        sizes.push_back(static_cast<std::size_t>(std::count(table.begin(), table.end(), '\n')));
        used += sizes.back() + (sizes.back() > 0 ? 1 : 0);
    }
    std::size_t const log = std::min(parts.log.size(), least_log_lines) + (parts.log.empty() ? 0 : 2);
    while (used + log > room) {
        auto const longest = std::max_element(sizes.begin(), sizes.end());
        if (longest == sizes.end() || *longest <= least_table)
            break;
        --*longest;
        --used;
    }
    for (std::size_t i = 0; i < sizes.size(); ++i)
        parts.tables[i] =
            first_lines(parts.tables[i], sizes[i],
                        (i + 1 == sizes.size() ? "holdfast sockets " : "holdfast --json status ") + name);
    std::size_t const left = room > used + 2 ? room - used - 2 : 0;
    if (parts.log.size() > left)
        parts.log.erase(parts.log.begin(), parts.log.end() - static_cast<long>(left));
}

} // namespace

std::vector<std::string> next_steps(json const& unit) {
    std::string const state = text_of(unit, "state");
    std::string const name = text_of(unit, "name");
    auto const run = [&](std::string_view words) { return "holdfast " + std::string{words} + " " + name; };
    if (state == "bad")
        return {"holdfast verify " + text_of(unit, "file"), "holdfast apply"};
    if (state == "paused")
        return {run("resume")};
    if (state == "rolling-out")
        return {run("rollout status"), run("rollout undo")};
    if (state == "inactive" || state == "listening")
        return {run("start")};
    if (state == "active" && text_of(unit, "problem").empty())
        return {run("restart"), run("events --follow")};
    return {run("events --follow")};
}

std::string render_status(json const& unit, LogTail const& log, Screen const& screen) {
    Parts parts;
    parts.head = fields(unit, log, screen);
    parts.tables = {workers_table(unit, screen), instances_table(unit, screen),
                    sockets_table(list_of(unit, "sockets"), screen, false, "  ")};
    for (auto const& line : log.lines) {
        auto const clean = "  " + harmless(line);
        parts.log.push_back(screen.width > 0 ? cut_to(clean, screen.width) : clean);
    }
    if (parts.log.size() > most_log_lines)
        parts.log.erase(parts.log.begin(), parts.log.end() - static_cast<long>(most_log_lines));
    parts.next = field("next", join(next_steps(unit), ", "), screen);
    if (screen.height > 0 && screen.width > 0)
        fit(parts, text_of(unit, "name"), screen);
    std::string text = parts.head;
    for (auto const& table : parts.tables)
        text += table.empty() ? "" : "\n" + table;
    if (!parts.log.empty())
        text += "\n" + paint("  LAST LINES OF ITS LOG", Colour::Faint, screen) + "\n";
    for (auto const& line : parts.log)
        text += line + "\n";
    return text + "\n" + parts.next;
}

} // namespace holdfast::cli
