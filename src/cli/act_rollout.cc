// SPDX-License-Identifier: Apache-2.0
// The verbs about rollouts, of now and of before.
#include "cli/act.h"
#include "cli/answer.h"
#include "cli/render.h"
#include "cli/session.h"
#include "cli/timeline.h"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace holdfast::cli {

using nlohmann::json;

namespace {

/// What is under way, else the last one that has ended; an empty object when there was none.
json const& current(json const& history) {
    static json const nothing = json::object();
    for (auto const* list : {"under_way", "rollouts"})
        if (auto const& reports = list_of(history, list); !reports.empty())
            return reports.back();
    return nothing;
}

std::optional<json> ask_for_report(Session& session) {
    auto const& line = session.line();
    json parameters{{"unit", line.operands.front()}};
    if (line.generation)
        parameters["generation"] = *line.generation;
    return session.ask("Report", parameters);
}

ExitStatus write_file(std::string const& path, std::string const& text) {
    std::ofstream file{path, std::ios::trunc};
    file << text;
    file.close();
    if (file)
        return ExitStatus::Done;
    Session::complain("cannot write " + path + ": " + std::strerror(errno) + "\n");
    return ExitStatus::Failed;
}

} // namespace

ExitStatus show_rollouts(Session& session) {
    auto const& line = session.line();
    auto const history = session.ask("History", {{"unit", line.operands.front()}});
    if (!history)
        return session.status();
    auto const& last = current(*history);
    if (line.action == RolloutAction::History) {
        if (line.json)
            session.print_json(*history, false);
        else
            session.print(render_history(*history, session.screen()));
        return ExitStatus::Done;
    }
    if (line.json)
        session.print_json(last, false);
    else
        session.print(last.empty() ? render_history(*history, session.screen())
                                   : render_report(last, session.screen()));
    std::string const verdict = text_of(last, "verdict");
    return verdict.empty() || verdict == "done" || verdict == "under-way" ? ExitStatus::Done
                                                                          : ExitStatus::Failed;
}

ExitStatus show_report(Session& session) {
    auto const answer = ask_for_report(session);
    if (!answer)
        return session.status();
    if (session.line().json)
        session.print_json(*answer, false);
    else
        session.print(render_report(object_of(*answer, "report"), session.screen()));
    return ExitStatus::Done;
}

ExitStatus draw_timeline(Session& session) {
    auto const answer = ask_for_report(session);
    if (!answer)
        return session.status();
    auto const& line = session.line();
    if (object_of(*answer, "timeline").empty()) {
        Session::complain("of the rollout to generation " +
                          digits_of(object_of(*answer, "report"), "generation") +
                          " only the report is kept; the last two have timelines\n");
        return ExitStatus::Failed;
    }
    auto const svg = timeline_svg(*answer);
    if (line.svg_path == "-") {
        session.print_verbatim(svg);
        return ExitStatus::Done;
    }
    auto const status = write_file(line.svg_path, svg);
    if (line.json)
        session.print_json(*answer, false);
    return status;
}

} // namespace holdfast::cli
