// SPDX-License-Identifier: Apache-2.0
// The verbs that only look.
#include "base/text.h"
#include "cli/act.h"
#include "cli/answer.h"
#include "cli/render.h"
#include "cli/session.h"
#include "unit/settings.h"

#include <algorithm>

namespace holdfast::cli {

using nlohmann::json;

namespace {

/// The one unit that was named, if one was.
json maybe_unit(CommandLine const& line) {
    json parameters = json::object();
    if (!line.operands.empty())
        parameters["unit"] = line.operands.front();
    return parameters;
}

/// One question, one answer, one way to print it.
struct LookRow {
    Verb verb;
    std::string_view method;
    std::string (*render)(json const& answer, Screen const& screen);
};
constexpr LookRow looks[] = {
    {Verb::List, "List",
     [](json const& answer, Screen const& screen) {
         return render_list(list_of(answer, "units"), screen, /*with_problems=*/false);
     }},
    {Verb::Sockets, "Sockets",
     [](json const& answer, Screen const& screen) {
         return render_sockets(list_of(answer, "sockets"), screen);
     }},
    {Verb::Show, "Show", [](json const& answer, Screen const&) { return render_show(answer); }},
    {Verb::Plan, "Plan",
     [](json const& answer, Screen const& screen) {
         return render_plan(answer, /*was_done=*/false, screen);
     }},
    {Verb::Trace, "Trace", [](json const& answer, Screen const&) { return render_trace(answer); }},
};

constexpr std::size_t shown_log_lines = 10;

/// Of a list of sockets, those of one name.
void keep_socket(json& answer, std::string const& name) {
    json kept = json::array();
    for (auto const& socket : list_of(answer, "sockets"))
        if (text_of(socket, "name") == name)
            kept.push_back(socket);
    answer["sockets"] = std::move(kept);
}

/// Of a unit as TOML, the lines of one key, "service.workers = 4"; of a [[socket]] one for each.
std::string lines_of_key(std::string const& toml, std::string_view key) {
    std::string section, found;
    for (auto const line : split(toml, '\n')) {
        if (line.starts_with('[')) {
            section = line.substr(line.find_first_not_of('['));
            section.resize(std::min(section.find(']'), section.size()));
        }
        auto const name = line.substr(0, std::min(line.find(' '), line.size()));
        auto const whole = section + "." + std::string{name};
        if (line.find(" = ") != std::string_view::npos && (key == name || key == whole))
            found += section + "." + std::string{line} + "\n";
    }
    return found;
}

/// Why there is no such line: it has its default, or nobody knows it.
std::string why_no_key(std::string_view key) {
    auto const dot = key.find('.');
    auto const bare = dot == std::string_view::npos ? key : key.substr(dot + 1);
    std::string meant;
    for (auto const& [section, name] : enum_table(Section{})) {
        if (file_of(section) != SettingsFile::Unit ||
            (dot != std::string_view::npos && key.substr(0, dot) != name))
            continue;
        if (auto const* const row = find_setting(section, bare))
            return "`" + std::string{key} + "` " +
                   (row->is_supported() ? "is not set; default: " + std::string{row->fallback}
                                        : "is not supported yet");
        if (meant.empty())
            meant = suggest_key(section, bare);
    }
    return "there is no setting `" + std::string{key} + "`" +
           (meant.empty() ? "; see holdfast.unit(5)" : "; " + meant);
}

/// What the line asks for of the answer. False: there is none, which has been said.
bool narrow(json& answer, CommandLine const& line) {
    if (!line.socket.empty())
        keep_socket(answer, line.socket);
    if (!line.socket.empty() && list_of(answer, "sockets").empty())
        Session::complain("there is no socket `" + line.socket +
                          "`; `holdfast sockets` lists those there are");
    if (!line.key.empty()) {
        answer["toml"] = lines_of_key(text_of(answer, "toml"), line.key);
        answer["files"] = json::array();
        if (text_of(answer, "toml").empty())
            Session::complain(why_no_key(line.key));
    }
    return (line.socket.empty() || !list_of(answer, "sockets").empty()) &&
           (line.key.empty() || !text_of(answer, "toml").empty());
}

bool is_active(json const& unit) {
    std::string const state = text_of(unit, "state");
    return state != "inactive" && (state != "bad" || !list_of(unit, "workers").empty());
}

} // namespace

ExitStatus look(Session& session) {
    auto const& line = session.line();
    for (auto const& row : looks) {
        if (row.verb != line.verb)
            continue;
        auto answer = session.ask(row.method, maybe_unit(line));
        if (!answer)
            return session.status();
        if (!narrow(*answer, line))
            return ExitStatus::Failed;
        if (line.json)
            session.print_json(*answer, false);
        else
            line.verb == Verb::Show || line.verb == Verb::Trace
                ? session.print_verbatim(row.render(*answer, session.screen()))
                : session.print(row.render(*answer, session.screen()));
        // A plan that unit files with errors are missing from is no plan to rely on.
        return flag_of(*answer, "complete").value_or(true) ? ExitStatus::Done : ExitStatus::Failed;
    }
    return ExitStatus::Failed;
}

ExitStatus show_status(Session& session) {
    auto const& line = session.line();
    if (line.operands.empty()) {
        auto const answer = session.ask("Status", json::object());
        if (!answer)
            return session.status();
        if (line.json)
            session.print_json(*answer, false);
        else
            session.print(render_list(list_of(*answer, "units"), session.screen(), /*with_problems=*/true));
        return ExitStatus::Done;
    }
    auto status = ExitStatus::Done;
    bool is_first = true;
    for (auto const& name : line.operands) {
        auto answer = session.ask("Status", {{"unit", name}});
        if (!answer) {
            status = first_bad(status, session.status());
            if (session.status() == ExitStatus::NoDaemon)
                break;
            continue;
        }
        for (auto& unit : (*answer)["units"]) {
            if (!unit.is_object())
                continue;
            auto log = read_log_tail(unit, shown_log_lines);
            if (!line.json)
                session.print((is_first ? "" : "\n") + render_status(unit, log, session.screen()));
            is_first = false;
            unit["log_lines"] = std::move(log.lines);
            unit["next"] = next_steps(unit);
            if (!is_active(unit))
                status = first_bad(status, ExitStatus::NotActive);
        }
        if (line.json)
            session.print_json(*answer, false);
    }
    return status;
}

ExitStatus show_events(Session& session) {
    auto const& line = session.line();
    auto const print = [&](json const& reply) {
        if (line.json && !list_of(reply, "events").empty())
            session.print_json(reply, line.follow);
        else if (!line.json)
            for (auto const& event : list_of(reply, "events"))
                session.print(render_event(event, session.screen()));
        return true;
    };
    auto parameters = maybe_unit(line);
    if (line.follow)
        parameters["follow"] = true;
    auto const answer =
        line.follow ? session.ask_more("Events", parameters, print) : session.ask("Events", parameters);
    if (!answer)
        return session.status();
    print(*answer);
    return ExitStatus::Done;
}

ExitStatus show_version(Session& session) {
    json const daemon = session.try_to_ask("Version").value_or(json{});
    if (session.line().json)
        session.print_json({{"command", {{"version", HOLDFAST_VERSION}}}, {"daemon", daemon}}, false);
    else
        session.print(render_version(HOLDFAST_VERSION, daemon));
    return ExitStatus::Done;
}

} // namespace holdfast::cli
