// SPDX-License-Identifier: Apache-2.0
// events, trace, version.
#include "cli/answer.h"
#include "cli/render.h"

namespace holdfast::cli {

using nlohmann::json;

std::string render_event(json const& event, Screen const& screen) {
    std::string const unit = text_of(event, "unit");
    return paint(harmless(text_of(event, "time")), Colour::Faint, screen) + "  " +
           paint(harmless(unit.empty() ? "holdfastd" : unit), Colour::Bold, screen) + "  " +
           harmless(text_of(event, "text")) + "\n";
}

std::string render_trace(json const& trace) {
    std::string text;
    if (auto const dropped = number_of(trace, "dropped").value_or(0); dropped > 0)
        text += "# " + std::to_string(dropped) + " older facts are not kept\n";
    for (auto const& fact : list_of(trace, "facts"))
        if (fact.is_string())
            text += harmless(fact.get<std::string>()) + "\n";
    return text;
}

std::string render_version(std::string const& command_version, json const& daemon) {
    std::string text = "holdfast " + command_version + "\n";
    if (!daemon.is_object())
        return text + "holdfastd: no daemon answers\n";
    text += "holdfastd " + harmless(text_of(daemon, "version"));
    text += " (pid " + digits_of(daemon, "pid") + ", " + harmless(text_of(daemon, "mode"));
    if (auto const uptime = number_of(daemon, "uptime_usec"))
        text += ", up " + to_short_string(Duration{*uptime});
    return text + ")\n";
}

} // namespace holdfast::cli
