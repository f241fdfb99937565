// SPDX-License-Identifier: Apache-2.0
#include "cli/verbs.h"

namespace holdfast::cli {

namespace {

constexpr VerbRow table[] = {
    {Verb::Run, "run", Operands::None, "Serve with one program: no unit file, no daemon",
     "holdfast run --listen 8080 --watch ./app -- ./app --verbose"},
    {Verb::Start, "start", Operands::Some, "Start units and wait until they are ready",
     "holdfast start web db"},
    {Verb::Stop, "stop", Operands::Some, "Stop units: workers drain, sockets stay held", "holdfast stop web"},
    {Verb::Restart, "restart", Operands::Some, "Replace the workers without losing a client",
     "holdfast restart web --strategy rolling"},
    {Verb::Reload, "reload", Operands::Some, "Make the workers re-read their configuration",
     "holdfast reload web"},
    {Verb::Scale, "scale", Operands::OneAndCount, "Change how many workers a unit has",
     "holdfast scale web 8"},
    {Verb::Pause, "pause", Operands::Some, "Let clients wait while files are replaced",
     "holdfast pause web --for 2min --exec apt-get install web"},
    {Verb::Resume, "resume", Operands::Some, "Start what is installed on the clients that wait",
     "holdfast resume web"},
    {Verb::Status, "status", Operands::Any, "What units are doing, and their problems",
     "holdfast status web"},
    {Verb::List, "list", Operands::None, "All units, one line each", "holdfast list"},
    {Verb::Sockets, "sockets", Operands::MaybeOne, "The listeners: queue, limit, drops",
     "holdfast sockets web"},
    {Verb::Show, "show", Operands::One, "All settings of a unit that are in force, as TOML",
     "holdfast show web"},
    {Verb::Verify, "verify", Operands::Any, "Check unit files; needs no daemon",
     "holdfast verify ./web.toml"},
    {Verb::Plan, "plan", Operands::None, "What apply would do", "holdfast plan"},
    {Verb::Apply, "apply", Operands::None, "Re-read the unit files and carry out what changed",
     "holdfast apply"},
    {Verb::Events, "events", Operands::MaybeOne, "What happened; --follow: and what happens",
     "holdfast events web --follow"},
    {Verb::Trace, "trace", Operands::One, "A unit's recent facts, as a test replays them",
     "holdfast trace web"},
    {Verb::Rollout, "rollout", Operands::ActionAndOne, "How a unit's rollout goes; which ones it had",
     "holdfast rollout undo web"},
    {Verb::Report, "report", Operands::One, "What a rollout did to the queues, and what it lost",
     "holdfast report web"},
    {Verb::Timeline, "timeline", Operands::One, "A picture of a rollout: its workers and the queues",
     "holdfast timeline web --svg web.svg"},
    {Verb::Shutdown, "shutdown", Operands::None, "Stop all units and end the daemon", "holdfast shutdown"},
    {Verb::Upgrade, "upgrade", Operands::None, "Put the holdfastd that is installed now in charge",
     "holdfast upgrade"},
    {Verb::Version, "version", Operands::None, "The versions of the command and of the daemon",
     "holdfast version --json"},
    {Verb::Cat, "cat", Operands::Any, "", ""},
    {Verb::Kill, "kill", Operands::Any, "", ""},
    {Verb::Signal, "signal", Operands::Any, "", ""},
    {Verb::Logs, "logs", Operands::Any, "", ""},
    {Verb::Top, "top", Operands::Any, "", ""},
    {Verb::Import, "import", Operands::Any, "", ""},
    {Verb::Enable, "enable", Operands::Any, "", ""},
    {Verb::Disable, "disable", Operands::Any, "", ""},
    {Verb::Mask, "mask", Operands::Any, "", ""},
    {Verb::Unmask, "unmask", Operands::Any, "", ""},
    {Verb::Metrics, "metrics", Operands::Any, "", ""},
};

} // namespace

std::span<VerbRow const> verbs() {
    return table;
}

std::string_view name_of(Verb verb) {
    for (auto const& row : table)
        if (row.verb == verb)
            return row.name;
    return "?";
}

} // namespace holdfast::cli
