// SPDX-License-Identifier: Apache-2.0
// The verbs that change something: they wait for the end, and show what happens until then.
#include "base/ensure.h"
#include "cli/act.h"
#include "cli/answer.h"
#include "cli/render.h"
#include "cli/session.h"

#include <unistd.h>

namespace holdfast::cli {

using nlohmann::json;

namespace {

// A successor has 10 s until it must be ready (holdfast-keeper(8)), and two tries.
constexpr int most_tries = 300;
constexpr unsigned pause_usec = 100'000;

std::string_view method_of(CommandLine const& line) {
    auto const verb = line.verb;
    if (verb == Verb::Rollout)
        return line.action == RolloutAction::Pause    ? "PauseRollout"
               : line.action == RolloutAction::Resume ? "ResumeRollout"
                                                      : "UndoRollout";
    ensure(verb == Verb::Start || verb == Verb::Stop || verb == Verb::Restart || verb == Verb::Reload ||
           verb == Verb::Scale || verb == Verb::Pause || verb == Verb::Resume);
    return verb == Verb::Start    ? "Start"
           : verb == Verb::Pause  ? "Pause"
           : verb == Verb::Resume ? "Resume"
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
    if (line.pause_time)
        parameters["for_usec"] = line.pause_time->count();
    if (line.or_restart)
        parameters["or_restart"] = true;
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

/// The one that answers after it: the connection waits in the socket's queue until there is one.
ExitStatus upgrade(Session& session) {
    auto const asked = session.ask("Upgrade", json::object());
    if (!asked)
        return session.status();
    auto const before = digits_of(*asked, "pid");
    if (!session.line().no_wait)
        session.wait_for_end();
    json after;
    for (int tries = 0; tries < most_tries && !session.line().no_wait; ++tries) {
        after = session.try_to_ask("Version").value_or(json{});
        if (after.is_object() && digits_of(after, "pid") != before)
            break;
        ::usleep(pause_usec);
    }
    if (session.line().json)
        session.print_json(session.line().no_wait ? *asked : after, false);
    if (session.line().no_wait) {
        if (!session.line().json)
            session.print("The daemon makes way for its successor.\n");
        return ExitStatus::Done;
    }
    auto const outcome = after.is_object() ? text_of(after, "upgrade") : std::string{};
    if (outcome == "ok") {
        if (!session.line().json)
            session.print("holdfastd " + text_of(after, "version") + " (pid " + digits_of(after, "pid") +
                          ") has taken over.\n");
        return ExitStatus::Done;
    }
    if (outcome == "failed")
        Session::complain("the upgrade failed: " + text_of(after, "problem") + "; the previous holdfastd (" +
                          text_of(after, "version") + ", pid " + digits_of(after, "pid") +
                          ") goes on in charge of everything");
    else
        Session::complain(after.is_object() && !after.empty()
                              ? "holdfastd (pid " + digits_of(after, "pid") +
                                    ") does not say what became of the upgrade"
                              : std::string{"no holdfastd answers after the upgrade; see its keeper's log"});
    return ExitStatus::Failed;
}

} // namespace holdfast::cli
