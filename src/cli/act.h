// SPDX-License-Identifier: Apache-2.0
// What each verb does, `run` apart: calls the daemon (or, for verify, reads unit files) and prints.
#pragma once

#include "cli/command_line.h"

namespace holdfast::cli {

[[nodiscard]] ExitStatus act(CommandLine const& line);

class Session;
[[nodiscard]] ExitStatus change_units(
    Session& session); ///< start, stop, restart, scale, pause, resume, rollout undo, pause and resume
/// pause --exec: the command's status if it failed, else that of the resume.
[[nodiscard]] ExitStatus pause_around_command(CommandLine const& line);
[[nodiscard]] ExitStatus apply(Session& session);
[[nodiscard]] ExitStatus shut_down(Session& session);
[[nodiscard]] ExitStatus upgrade(Session& session);
[[nodiscard]] ExitStatus show_status(Session& session);
[[nodiscard]] ExitStatus show_events(Session& session);
[[nodiscard]] ExitStatus show_rollouts(Session& session); ///< rollout status, history
[[nodiscard]] ExitStatus show_report(Session& session);
[[nodiscard]] ExitStatus draw_timeline(Session& session);
[[nodiscard]] ExitStatus show_version(Session& session);
/// list, sockets, show, plan, trace: one question, one answer.
[[nodiscard]] ExitStatus look(Session& session);
[[nodiscard]] ExitStatus verify(Session& session);

} // namespace holdfast::cli
