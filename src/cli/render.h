// SPDX-License-Identifier: Apache-2.0
// The daemon's answers as text for people: pure functions of the answer's parameters (as
// io.holdfast.Manager.varlink describes them) and the screen. Each ends with a newline, or is empty.
#pragma once

#include "cli/log_tail.h"
#include "cli/screen.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace holdfast::cli {

/// Status of one unit, with the last lines of its log and what to type next: no more than fits the screen.
[[nodiscard]] std::string render_status(nlohmann::json const& unit, LogTail const& log, Screen const& screen);
/// Commands that somebody who looks at it would want next.
[[nodiscard]] std::vector<std::string> next_steps(nlohmann::json const& unit);
/// List, and Status without a unit: a line for each, then the problems.
[[nodiscard]] std::string render_list(nlohmann::json const& units, Screen const& screen, bool with_problems);
[[nodiscard]] std::string render_sockets(nlohmann::json const& sockets, Screen const& screen);
[[nodiscard]] std::string render_show(nlohmann::json const& shown);

/// One step of a long operation; `began` is when the command was given.
[[nodiscard]] std::string render_progress(nlohmann::json const& event, MonotonicTime began,
                                          Screen const& screen);
/// The last reply of Start, Stop or Restart.
[[nodiscard]] std::string render_result(std::string const& unit, nlohmann::json const& result,
                                        Screen const& screen);
[[nodiscard]] std::string render_rollout(nlohmann::json const& report, Screen const& screen);
/// The report of one rollout, with its unit, its time and its reason.
[[nodiscard]] std::string render_report(nlohmann::json const& report, Screen const& screen);
/// History: a line for each rollout, oldest first, and those under way.
[[nodiscard]] std::string render_history(nlohmann::json const& history, Screen const& screen);

/// Plan and Apply. `was_done`: in the past tense.
[[nodiscard]] std::string render_plan(nlohmann::json const& plan, bool was_done, Screen const& screen);
[[nodiscard]] std::string render_diagnostic(nlohmann::json const& diagnostic, Screen const& screen);

[[nodiscard]] std::string render_event(nlohmann::json const& event, Screen const& screen);
[[nodiscard]] std::string render_trace(nlohmann::json const& trace);
/// `daemon` is null when there is none.
[[nodiscard]] std::string render_version(std::string const& command_version, nlohmann::json const& daemon);

} // namespace holdfast::cli
