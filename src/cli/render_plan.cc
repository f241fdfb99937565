// SPDX-License-Identifier: Apache-2.0
// plan and apply, and the diagnostics that come with them.
#include "base/text.h"
#include "cli/answer.h"
#include "cli/render.h"

#include <vector>

namespace holdfast::cli {

using nlohmann::json;

namespace {

/// What each action of a unit reads as: before it is done, after, and when it did not work out.
struct ActionRow {
    std::string_view action;
    std::string_view will;
    std::string_view was;
    std::string_view failed;
    Colour colour;
};
constexpr ActionRow unit_actions[] = {
    {"keep", "stays as it is", "stayed as it is", "stayed as it is", Colour::Plain},
    {"add", "is new", "was added", "is new, and failed", Colour::Good},
    {"remove", "goes: it would be stopped and its sockets closed", "was stopped and its sockets closed",
     "is to go, and failed to", Colour::Bad},
    {"restart", "changes: its service would be restarted", "was changed and its service restarted",
     "has changed, and the restart of its service failed", Colour::Warning},
    {"update", "changes: taken over without a restart", "was changed, without a restart",
     "has changed, and this could not be taken over", Colour::Warning},
    {"bad", "has errors in its file: what runs goes on", "has errors in its file: what runs goes on",
     "has errors in its file: what runs goes on", Colour::Bad},
};

ActionRow row_of(std::string const& action) {
    for (auto const& row : unit_actions)
        if (row.action == action)
            return row;
    return {action, action, action, action, Colour::Plain};
}

std::vector<std::string> texts_of(json const& object, char const* name) {
    std::vector<std::string> texts;
    for (auto const& text : list_of(object, name))
        if (text.is_string())
            texts.push_back(harmless(text.get<std::string>()));
    return texts;
}

Colour listener_colour(std::string const& action) {
    if (action == "add")
        return Colour::Good;
    if (action == "remove")
        return Colour::Bad;
    return action == "change" ? Colour::Warning : Colour::Plain;
}

std::string listener_line(json const& listener, Screen const& screen) {
    std::string action = harmless(text_of(listener, "action"));
    auto const colour = listener_colour(action);
    action.resize(std::max<std::size_t>(action.size() + 1, 8), ' ');
    std::string line = "  " + paint(action, colour, screen) + harmless(text_of(listener, "name")) + " " +
                       harmless(text_of(listener, "address"));
    if (auto const why = texts_of(listener, "why"); !why.empty())
        line += ": " + join(why, ", ");
    if (auto const later = texts_of(listener, "deferred"); !later.empty())
        line += "; when it is bound next: " + join(later, ", ");
    return line + "\n";
}

bool changes_nothing(json const& step) {
    if (text_of(step, "action") != "keep" || !list_of(step, "diagnostics").empty())
        return false;
    for (auto const& listener : list_of(step, "listeners"))
        if (text_of(listener, "action") != "keep" || !list_of(listener, "deferred").empty())
            return false;
    return true;
}

std::string unit_lines(json const& step, bool was_done, Screen const& screen) {
    auto const row = row_of(text_of(step, "action"));
    bool const has_failed = was_done && !flag_of(step, "ok").value_or(true);
    auto const words = has_failed ? row.failed : was_done ? row.was : row.will;
    std::string text = paint(harmless(text_of(step, "unit")), Colour::Bold, screen) + " " +
                       paint(harmless(words), has_failed ? Colour::Bad : row.colour, screen);
    if (std::string const message = text_of(step, "message"); has_failed && !message.empty())
        text += ": " + harmless(message);
    text += "\n";
    for (auto const& why : texts_of(step, "why"))
        text += "  " + why + "\n";
    for (auto const& listener : list_of(step, "listeners"))
        text += listener_line(listener, screen);
    for (auto const& diagnostic : list_of(step, "diagnostics"))
        text += render_diagnostic(diagnostic, screen);
    return text;
}

} // namespace

std::string render_diagnostic(json const& diagnostic, Screen const& screen) {
    std::string whole = text_of(diagnostic, "text");
    if (whole.empty()) {
        whole = text_of(diagnostic, "file");
        if (number_of(diagnostic, "line").value_or(0) > 0)
            whole += ":" + digits_of(diagnostic, "line") + ":" + digits_of(diagnostic, "column");
        whole += ": " + text_of(diagnostic, "severity") + ": " + text_of(diagnostic, "message");
        if (std::string const suggestion = text_of(diagnostic, "suggestion"); !suggestion.empty())
            whole += "\n    hint: " + suggestion;
    }
    // The first line says what and where; below it may be the line itself with a caret.
    std::string const clean = harmless_lines(whole);
    auto const colour = text_of(diagnostic, "severity") == "error" ? Colour::Bad : Colour::Warning;
    std::size_t const end = clean.find('\n');
    return paint(std::string_view{clean}.substr(0, end), colour, screen) + clean.substr(end);
}

std::string render_plan(json const& plan, bool was_done, Screen const& screen) {
    std::string problems;
    for (auto const* const list : {"folder_errors", "warnings"})
        for (auto const& diagnostic : list_of(plan, list))
            problems += render_diagnostic(diagnostic, screen);
    std::string text;
    std::size_t unchanged = 0;
    for (auto const& step : list_of(plan, "units")) {
        if (changes_nothing(step))
            ++unchanged;
        else
            text += unit_lines(step, was_done, screen);
    }
    if (text.empty() && list_of(plan, "folder_errors").empty())
        return problems + (was_done ? "Nothing was changed.\n" : "Nothing would change.\n");
    text = problems + text;
    if (unchanged > 0)
        text += std::to_string(unchanged) + (unchanged == 1 ? " unit" : " units") +
                (was_done ? " stayed as before.\n" : " without a change.\n");
    return text;
}

} // namespace holdfast::cli
