// SPDX-License-Identifier: Apache-2.0
// The verbs that only look.
#include "cli/act.h"
#include "cli/answer.h"
#include "cli/render.h"
#include "cli/session.h"

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
        auto const answer = session.ask(row.method, maybe_unit(line));
        if (!answer)
            return session.status();
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
        auto const answer = session.ask("Status", {{"unit", name}});
        if (!answer) {
            status = first_bad(status, session.status());
            if (session.status() == ExitStatus::NoDaemon)
                break;
            continue;
        }
        if (line.json)
            session.print_json(*answer, false);
        for (auto const& unit : list_of(*answer, "units")) {
            if (!line.json)
                session.print((is_first ? "" : "\n") +
                              render_status(unit, read_log_tail(unit, shown_log_lines), session.screen()));
            is_first = false;
            if (!is_active(unit))
                status = first_bad(status, ExitStatus::NotActive);
        }
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
