// SPDX-License-Identifier: Apache-2.0
// What was typed, as a value. Reading it touches nothing outside: it ends in a CommandLine, or in a text to
// print and a status to exit with.
#pragma once

#include "base/time.h"
#include "cli/exit_status.h"
#include "cli/run.h"
#include "cli/verbs.h"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::cli {

/// What `rollout` is to do.
enum class RolloutAction { Status, History, Pause, Resume, Undo };
constexpr auto enum_table(RolloutAction) {
    return std::array{EnumName{RolloutAction::Status, "status"}, EnumName{RolloutAction::History, "history"},
                      EnumName{RolloutAction::Pause, "pause"}, EnumName{RolloutAction::Resume, "resume"},
                      EnumName{RolloutAction::Undo, "undo"}};
}

struct CommandLine {
    Verb verb{};
    std::vector<std::string> operands; ///< unit names; of verify files too

    // Before or after the verb.
    bool json = false;
    bool user = false;
    bool system = false;
    std::string runtime_folder; ///< empty: the default of the mode

    bool quiet = false;                    ///< start, stop, restart, scale, rollout, apply: no progress
    bool no_wait = false;                  ///< start, stop, restart, scale, rollout, shutdown, upgrade
    bool follow = false;                   ///< events
    std::string key;                       ///< show: this setting alone, "workers" or "service.workers"
    std::string socket;                    ///< sockets: those of this name alone
    std::optional<std::string> strategy;   ///< restart
    std::optional<unsigned> workers;       ///< scale
    std::optional<Duration> pause_time;    ///< pause
    bool or_restart = false;               ///< resume: restart what is not paused any more
    std::vector<std::string> command;      ///< pause --exec; empty: none
    RolloutAction action{};                ///< rollout
    std::optional<unsigned> generation;    ///< report, timeline
    std::string svg_path;                  ///< timeline; \"-\" is standard output
    std::vector<std::string> unit_folders; ///< verify
    std::string config_file;               ///< verify: a holdfast.toml; empty: the usual one
    RunOptions run;
};

/// Help that was asked for, or what is wrong with the command line.
struct PrintAndExit {
    std::string text;
    ExitStatus status = ExitStatus::Done;
};

/// `arguments` without the program's name. A misspelt verb, unit-less `start`, a wrong value:
/// ExitStatus::Usage and a text that says what to type. A verb that is not built yet: ExitStatus::Failed and
/// "not supported yet".
[[nodiscard]] std::variant<CommandLine, PrintAndExit>
read_command_line(std::vector<std::string> const& arguments);

/// An option as read_command_line() knows it.
struct OptionShape {
    std::vector<std::string> names; ///< "-q", "--quiet"
    bool takes_value = false;
    std::string value;              ///< what it is called: "DIR", "N"
    std::vector<std::string> words; ///< it is one of these; empty: anything
    std::string summary;
};
/// Those of one verb; of null, those that stand before or after any.
[[nodiscard]] std::vector<OptionShape> options_of(VerbRow const* verb);

} // namespace holdfast::cli
