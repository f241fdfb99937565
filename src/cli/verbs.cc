// SPDX-License-Identifier: Apache-2.0
#include "cli/verbs.h"

namespace holdfast::cli {

namespace {

constexpr VerbRow table[] = {
    {Verb::Run, "run", Operands::None, "Serve with one program: no unit file, no daemon"},
    {Verb::Start, "start", Operands::Some, "Start units and wait until they are ready"},
    {Verb::Stop, "stop", Operands::Some, "Stop units: their workers drain, their sockets stay held"},
    {Verb::Restart, "restart", Operands::Some, "Replace the running workers without losing a client"},
    {Verb::Reload, "reload", Operands::Some, "Make the running workers re-read their configuration"},
    {Verb::Scale, "scale", Operands::OneAndCount,
     "Change how many workers a unit has, until it says otherwise itself"},
    {Verb::Pause, "pause", Operands::Some, "Let clients wait while files are replaced: the workers drain"},
    {Verb::Resume, "resume", Operands::Some, "Start what is installed now on the clients that wait"},
    {Verb::Status, "status", Operands::Any,
     "What a unit is doing; without a unit, all of them and their problems"},
    {Verb::List, "list", Operands::None, "All units, one line each"},
    {Verb::Sockets, "sockets", Operands::MaybeOne, "The listeners: queue, limit, drops"},
    {Verb::Show, "show", Operands::One, "A unit with every setting that is in force, as TOML"},
    {Verb::Verify, "verify", Operands::Any, "Check unit files; needs no daemon"},
    {Verb::Plan, "plan", Operands::None, "What apply would do"},
    {Verb::Apply, "apply", Operands::None, "Re-read the unit files and carry out what changed"},
    {Verb::Events, "events", Operands::MaybeOne, "What happened; --follow: and what happens"},
    {Verb::Trace, "trace", Operands::One, "A unit's recent facts, as a test replays them"},
    {Verb::Rollout, "rollout", Operands::ActionAndOne, "How a unit's rollout goes; which ones it had"},
    {Verb::Report, "report", Operands::One, "What a rollout did to the queues, and what it lost"},
    {Verb::Timeline, "timeline", Operands::One, "A picture of a rollout: its workers and the queues"},
    {Verb::Shutdown, "shutdown", Operands::None, "Stop all units and end the daemon"},
    {Verb::Upgrade, "upgrade", Operands::None,
     "Put the holdfastd that is installed now in charge, with all that runs"},
    {Verb::Version, "version", Operands::None, "The versions of the command and of the daemon"},
    {Verb::Cat, "cat", Operands::Any, ""},
    {Verb::Kill, "kill", Operands::Any, ""},
    {Verb::Signal, "signal", Operands::Any, ""},
    {Verb::Logs, "logs", Operands::Any, ""},
    {Verb::Top, "top", Operands::Any, ""},
    {Verb::Import, "import", Operands::Any, ""},
    {Verb::Enable, "enable", Operands::Any, ""},
    {Verb::Disable, "disable", Operands::Any, ""},
    {Verb::Mask, "mask", Operands::Any, ""},
    {Verb::Unmask, "unmask", Operands::Any, ""},
    {Verb::Metrics, "metrics", Operands::Any, ""},
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
