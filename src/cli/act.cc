// SPDX-License-Identifier: Apache-2.0
#include "cli/act.h"

#include "cli/session.h"

namespace holdfast::cli {

ExitStatus act(CommandLine const& line) {
    Session session{line};
    switch (line.verb) {
    case Verb::Start:
    case Verb::Stop:
    case Verb::Restart:
    case Verb::Reload:
    case Verb::Scale:
    case Verb::Resume:
        return change_units(session);
    case Verb::Pause:
        return line.command.empty() ? change_units(session) : pause_around_command(line);
    case Verb::Apply:
        return apply(session);
    case Verb::Shutdown:
        return shut_down(session);
    case Verb::Upgrade:
        return upgrade(session);
    case Verb::Status:
        return show_status(session);
    case Verb::Events:
        return show_events(session);
    case Verb::Rollout:
        return line.action == RolloutAction::Status || line.action == RolloutAction::History
                   ? show_rollouts(session)
                   : change_units(session);
    case Verb::Report:
        return show_report(session);
    case Verb::Timeline:
        return draw_timeline(session);
    case Verb::Version:
        return show_version(session);
    case Verb::List:
    case Verb::Sockets:
    case Verb::Show:
    case Verb::Plan:
    case Verb::Trace:
        return look(session);
    case Verb::Verify:
        return verify(session);
    case Verb::Run: // main's: it needs the supervisor, which no other verb does
    case Verb::Cat:
    case Verb::Kill:
    case Verb::Signal:
    case Verb::Logs:
    case Verb::Top:
    case Verb::Import:
    case Verb::Enable:
    case Verb::Disable:
    case Verb::Mask:
    case Verb::Unmask:
    case Verb::Metrics:
        break; // read_command_line() lets none of them through
    }
    return ExitStatus::Failed;
}

} // namespace holdfast::cli
