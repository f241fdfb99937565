// SPDX-License-Identifier: Apache-2.0
// The verbs that change something: they wait for the end, and show what happens until then.
#include "base/ensure.h"
#include "cli/act.h"
#include "cli/answer.h"
#include "cli/render.h"
#include "cli/session.h"

namespace holdfast::cli {

using nlohmann::json;

namespace {

std::string_view method_of(CommandLine const& line) {
    auto const verb = line.verb;
    if (verb == Verb::Rollout)
        return line.action == RolloutAction::Pause    ? "PauseRollout"
               : line.action == RolloutAction::Resume ? "ResumeRollout"
                                                      : "UndoRollout";
    ensure(verb == Verb::Start || verb == Verb::Stop || verb == Verb::Restart || verb == Verb::Reload ||
           verb == Verb::Scale);
    return verb == Verb::Start    ? "Start"
           : verb == Verb::Stop   ? "Stop"
           : verb == Verb::Scale  ? "Scale"
           : verb == Verb::Reload ? "Reload"
                                  : "Restart";
}

/// Shows each step; says stop after the first one when nobody wants to wait.
std::function<bool(json const&)> shower(Session& session) {
    return [&session, began = MonotonicTime::now()](json const& reply) {
        auto const& line = session.line();
        if (line.no_wait)
            return false;
        if (line.json)
            session.print_json(reply, true);
        else if (auto const& event = object_of(reply, "event"); !event.empty() && !line.quiet)
            session.print(render_progress(event, began, session.screen()));
        return true;
    };
}

ExitStatus change_unit(Session& session, std::string const& unit) {
    auto const& line = session.line();
    json parameters{{"unit", unit}};
    if (line.strategy)
        parameters["strategy"] = *line.strategy;
    if (line.workers)
        parameters["workers"] = *line.workers;
    auto const result = session.ask_more(method_of(line), parameters, shower(session));
    if (!result)
        return session.status();
    if (result->empty()) // --no-wait: it has begun
        return ExitStatus::Done;
    if (line.json)
        session.print_json(*result, true);
    else
        session.print(render_result(unit, *result, session.screen()));
    return flag_of(*result, "ok").value_or(false) ? ExitStatus::Done : ExitStatus::Failed;
}

} // namespace

ExitStatus change_units(Session& session) {
    auto status = ExitStatus::Done;
    for (auto const& unit : session.line().operands) {
        auto const now = change_unit(session, unit);
        status = first_bad(status, now);
        if (now == ExitStatus::NoDaemon)
            break; // the others would only say the same
    }
    return status;
}

ExitStatus apply(Session& session) {
    auto const result = session.ask_more("Apply", json::object(), shower(session));
    if (!result)
        return session.status();
    bool const ok = flag_of(*result, "ok").value_or(true) && flag_of(*result, "complete").value_or(true);
    if (session.line().json) {
        session.print_json(*result, true);
    } else {
        session.print(render_plan(*result, /*was_done=*/true, session.screen()));
        if (std::string const message = text_of(*result, "message"); !message.empty())
            session.print(paint(harmless(message), ok ? Colour::Plain : Colour::Bad, session.screen()) +
                          "\n");
    }
    return ok ? ExitStatus::Done : ExitStatus::Failed;
}

ExitStatus shut_down(Session& session) {
    auto const result = session.ask("Shutdown", json::object());
    if (!result)
        return session.status();
    if (!session.line().no_wait)
        session.wait_for_end();
    if (session.line().json)
        session.print_json(*result, false);
    else
        session.print(session.line().no_wait ? "The daemon is shutting down.\n" : "The daemon has ended.\n");
    return flag_of(*result, "ok").value_or(true) ? ExitStatus::Done : ExitStatus::Failed;
}

} // namespace holdfast::cli
