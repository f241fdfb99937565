// SPDX-License-Identifier: Apache-2.0
// What start, stop and restart say while they work and at their end.
#include "cli/answer.h"
#include "cli/render.h"
#include "cli/table.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace holdfast::cli {

using nlohmann::json;

namespace {

std::string listeners_table(json const& report, Screen const& screen) {
    Table table{{{"SOCKET", false, true},
                 {"ADDRESS", false, true},
                 {"QUEUE BEFORE", true},
                 {"HIGHEST", true},
                 {"AFTER", true},
                 {"LIMIT", true},
                 {"DROPS", true},
                 {"LONGEST WAIT", true}}};
    for (auto const& listener : list_of(report, "listeners")) {
        auto const drops = number_of(listener, "drops");
        auto const wait = number_of(listener, "longest_wait_usec");
        table.add({text_of(listener, "name"),
                   text_of(listener, "address"),
                   digits_of(listener, "queue_before"),
                   digits_of(listener, "queue_highest"),
                   digits_of(listener, "queue_after"),
                   digits_of(listener, "limit"),
                   {drops ? std::to_string(*drops) : "", drops.value_or(0) > 0 ? Colour::Bad : Colour::Plain},
                   wait ? "≤ " + to_short_string(Duration{*wait}) : ""});
    }
    return table.to_text(screen, "  ");
}

/// A connection may be idle, or hold several requests: what it was for is not known.
std::string cut(json const& report) {
    auto const count = number_of(report, "cut_at_deadline");
    if (!count)
        return ", what that cut is not known";
    auto const number = *count == 0 ? std::string{"no"} : std::to_string(*count);
    return std::string{", which cut "} +
           (flag_of(report, "cut_is_complete").value_or(true) ? "" : "at least ") + number +
           (*count == 1 ? " connection" : " connections");
}

std::string times(json const& report) {
    std::string text;
    auto const add = [&](std::string const& part) { text += (text.empty() ? "" : ", ") + part; };
    if (auto const ready = number_of(report, "ready_usec"))
        add("ready after " + to_short_string(Duration{*ready}));
    if (auto const drained = number_of(report, "drained_usec"))
        add("drained after " + to_short_string(Duration{*drained}));
    if (auto const killed = number_of(report, "killed_at_deadline"))
        add(std::to_string(*killed) + " killed at the deadline" + (*killed > 0 ? cut(report) : ""));
    return text;
}

/// A rollout that is not wholly "done" is said aloud, whatever the daemon's sentence was.
Colour verdict_colour(std::string const& verdict) {
    return verdict == "done" ? Colour::Good : verdict == "failed" ? Colour::Bad : Colour::Warning;
}

/// Said where there was one: most kernels never move a connection.
std::string migrations(json const& report) {
    auto const moved = number_of(report, "migrated").value_or(0);
    auto const failed = number_of(report, "migrate_failed").value_or(0);
    return moved == 0 && failed == 0
               ? std::string{}
               : ", " + std::to_string(moved) + " migrated, " + std::to_string(failed) + " not migrated";
}

} // namespace

std::string render_progress(json const& event, MonotonicTime began, Screen const& screen) {
    auto const at = number_of(event, "monotonic_usec");
    std::string stamp;
    if (at) {
        auto const after = std::max(MonotonicTime{Duration{*at}} - began, Duration{0});
        std::array<char, 32> text{};
        std::snprintf(text.data(), text.size(), "%+8.3fs  ", static_cast<double>(after.count()) / 1e6);
        stamp = text.data();
    }
    std::string const unit = text_of(event, "unit");
    return paint(stamp, Colour::Faint, screen) + (unit.empty() ? "" : harmless(unit) + ": ") +
           harmless(text_of(event, "text")) + "\n";
}

std::string render_rollout(json const& report, Screen const& screen) {
    std::string const verdict = text_of(report, "verdict");
    std::string const previous = digits_of(report, "previous_generation");
    std::string const when = times(report);
    std::string const stage = text_of(report, "stage");
    std::string const share = digits_of(report, "share");
    bool const paused = flag_of(report, "paused").value_or(false);
    std::string text = "  generation " + digits_of(report, "generation") +
                       (previous.empty() ? "" : " after " + previous) + ", " +
                       harmless(text_of(report, "strategy")) + ": " +
                       paint(harmless(verdict), verdict_colour(verdict), screen) +
                       (stage.empty() ? ""
                                      : " (" + harmless(stage) + (share.empty() ? "" : ", " + share + " %") +
                                            (paused ? ", paused)" : ")")) +
                       (when.empty() ? "" : ", " + when) + "\n";
    text += listeners_table(report, screen);
    auto const counter = [&](char const* name) {
        return std::to_string(number_of(report, name).value_or(0));
    };
    text += "  whole network namespace: " + counter("listen_overflows") + " listen overflows, " +
            counter("listen_drops") + " listen drops, " + counter("aborted_on_close") + " aborted on close" +
            migrations(report) + " (upper bounds)\n";
    return text;
}

std::string render_report(json const& report, Screen const& screen) {
    std::string const reason = text_of(report, "reason");
    std::string text =
        harmless(text_of(report, "unit")) + ": rollout of " + harmless(text_of(report, "began"));
    if (auto const lasted = number_of(report, "lasted_usec"))
        text += ", " + to_short_string(Duration{*lasted}) + " long";
    text += "\n" + render_rollout(report, screen);
    if (auto const left_out = number_of(report, "listeners_left_out").value_or(0); left_out > 0)
        text += "  " + std::to_string(left_out) + " more listeners had shorter queues\n";
    return reason.empty() ? text : text + "  " + harmless(reason) + "\n";
}

std::string render_history(json const& history, Screen const& screen) {
    Table table{{{"GENERATION", true},
                 {"BEGAN"},
                 {"STRATEGY"},
                 {"VERDICT"},
                 {"LASTED", true},
                 {"HIGHEST QUEUE", true},
                 {"LONGEST WAIT", true},
                 {"DROPS", true},
                 {"REASON", false, true}}};
    for (auto const* list : {"rollouts", "under_way"})
        for (auto const& report : list_of(history, list)) {
            std::int64_t highest = 0, drops = 0;
            std::optional<std::int64_t> wait;
            for (auto const& listener : list_of(report, "listeners")) {
                highest = std::max(highest, number_of(listener, "queue_highest").value_or(0));
                drops += number_of(listener, "drops").value_or(0);
                wait = std::max(wait, number_of(listener, "longest_wait_usec"));
            }
            std::string const verdict = text_of(report, "verdict");
            table.add({digits_of(report, "generation"),
                       text_of(report, "began"),
                       text_of(report, "strategy"),
                       {verdict, verdict_colour(verdict)},
                       to_short_string(Duration{number_of(report, "lasted_usec").value_or(0)}),
                       std::to_string(highest),
                       wait ? "≤ " + to_short_string(Duration{*wait}) : "",
                       std::to_string(drops),
                       text_of(report, "reason")});
        }
    return table.is_empty() ? "There was no rollout yet.\n" : table.to_text(screen);
}

std::string render_result(std::string const& unit, json const& result, Screen const& screen) {
    bool const ok = flag_of(result, "ok").value_or(false);
    auto const& report = object_of(result, "report");
    std::string const reason = text_of(report, "reason");
    std::string message = text_of(result, "message");
    if (message.empty())
        message = ok ? "done" : "failed";
    std::string text =
        harmless(unit) + ": " + paint(harmless(message), ok ? Colour::Good : Colour::Bad, screen) + "\n";
    // The message mostly holds the reason already.
    if (!reason.empty() && message.find(reason) == std::string::npos)
        text += "  " + harmless(reason) + "\n";
    if (!report.empty())
        text += render_rollout(report, screen);
    return ok ? text
              : text + "  see: holdfast status " + harmless(unit) + ", holdfast events " + harmless(unit) +
                    "\n";
}

} // namespace holdfast::cli
