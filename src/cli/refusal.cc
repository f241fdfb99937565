// SPDX-License-Identifier: Apache-2.0
#include "cli/refusal.h"

#include "cli/answer.h"
#include "cli/render.h"
#include "control/client.h"

namespace holdfast::cli {

using nlohmann::json;

namespace {

std::string no_such_unit(json const& parameters) {
    std::string const meant = text_of(parameters, "suggestion");
    return "there is no unit `" + text_of(parameters, "unit") + "`" +
           (meant.empty() ? "; `holdfast list` shows those there are" : "; did you mean `" + meant + "`?");
}

std::string bad_unit(json const& parameters) {
    std::string text = "the file of `" + text_of(parameters, "unit") + "` has errors:\n";
    for (auto const& diagnostic : list_of(parameters, "diagnostics"))
        text += render_diagnostic(diagnostic, Screen{});
    return text;
}

std::string not_active(json const& parameters) {
    if (text_of(parameters, "state") == "paused")
        return "`" + text_of(parameters, "unit") + "` is paused; resume it with `holdfast resume " +
               text_of(parameters, "unit") + "`";
    return "`" + text_of(parameters, "unit") + "` is " + text_of(parameters, "state") +
           "; start it with `holdfast start " + text_of(parameters, "unit") + "`";
}

std::string no_such_rollout(json const& parameters) {
    std::string const generation = digits_of(parameters, "generation");
    return "unit `" + text_of(parameters, "unit") + "` has no report of " +
           (generation.empty() ? "a rollout: none has ended yet"
                               : "a rollout to generation " + generation +
                                     "; `holdfast rollout history` lists the last ones");
}

std::string not_permitted(json const&) {
    return "you may not do that: only root, the daemon's own user and the group of its socket (holdfast, "
           "unless "
           "holdfast.toml says otherwise) may; use sudo, or join that group";
}

std::string not_supported_yet(json const& parameters) {
    return text_of(parameters, "what") + " is not supported yet by this daemon; see `holdfast version`";
}

std::string shutting_down(json const&) {
    return "the daemon is shutting down; start it again with `systemctl start holdfast`, or as it was "
           "started";
}

std::string too_many(json const& parameters) {
    return "the daemon has its " + digits_of(parameters, "limit") + " clients already; try again in a moment";
}

std::string bad_message(json const& parameters) {
    return "the daemon did not understand: " + text_of(parameters, "reason") +
           "; it may be of another version (see `holdfast version`)";
}

std::string internal(json const& parameters) {
    return "the daemon failed at this; please report it, with what `holdfast events` says: " +
           text_of(parameters, "message");
}

std::string cannot_upgrade(json const& parameters) {
    return "not upgraded: " + text_of(parameters, "message") +
           "; the same holdfastd goes on, and `holdfast upgrade` may be tried again";
}

std::string other_version(json const& parameters) {
    std::string const method = text_of(parameters, "method");
    return "the daemon does not know " + (method.empty() ? "that" : "`" + method + "`") +
           "; it is of another version (see `holdfast version`)";
}

std::string bad_parameter(json const& parameters) {
    return "the daemon does not take `" + text_of(parameters, "parameter") +
           "` like that; it may be of another version (see `holdfast version`)";
}

struct ErrorRow {
    std::string_view error;
    ExitStatus status;
    std::string (*explain)(json const&);
};
constexpr ErrorRow errors[] = {
    {"NoSuchUnit", ExitStatus::NoSuchUnit, no_such_unit},
    {"BadUnit", ExitStatus::Failed, bad_unit},
    {"NotActive", ExitStatus::NotActive, not_active},
    {"NoSuchRollout", ExitStatus::Failed, no_such_rollout},
    {"NotPermitted", ExitStatus::NotPermitted, not_permitted},
    {"org.varlink.service.PermissionDenied", ExitStatus::NotPermitted, not_permitted},
    {"NotSupportedYet", ExitStatus::Failed, not_supported_yet},
    {"CannotUpgrade", ExitStatus::Failed, cannot_upgrade},
    {"ShuttingDown", ExitStatus::Failed, shutting_down},
    {"TooManyClients", ExitStatus::Failed, too_many},
    {"BadMessage", ExitStatus::Failed, bad_message},
    {"InternalError", ExitStatus::Failed, internal},
    {"org.varlink.service.InterfaceNotFound", ExitStatus::Failed, other_version},
    {"org.varlink.service.MethodNotFound", ExitStatus::Failed, other_version},
    {"org.varlink.service.MethodNotImplemented", ExitStatus::Failed, other_version},
    {"org.varlink.service.InvalidParameter", ExitStatus::Failed, bad_parameter},
};

} // namespace

Refusal explain_answer(ControlAnswer const& answer) {
    for (auto const& row : errors)
        if (row.error == answer.error)
            return {row.status, harmless_lines(row.explain(answer.parameters))};
    return {ExitStatus::Failed,
            harmless_lines("the daemon says " + answer.error + " " +
                           answer.parameters.dump(-1, ' ', false, json::error_handler_t::replace))};
}

Refusal explain_silence(Error const& error, std::string const& path, bool is_default) {
    std::string const at = "at " + path;
    switch (why_no_answer(error)) {
    case NoAnswer::NoDaemon:
        return {ExitStatus::NoDaemon,
                "no daemon answers " + at + "; start holdfastd, or give " +
                    (is_default ? "--runtime-dir (or --system, --user)\n" : "another --runtime-dir\n")};
    case NoAnswer::NotPermitted:
        return {ExitStatus::NotPermitted,
                "you may not talk to the daemon " + at + "; be root, or in the group holdfast\n"};
    case NoAnswer::TimedOut:
        return {ExitStatus::NoDaemon,
                "the daemon " + at +
                    " does not answer in time; it may be stopped: see `systemctl status holdfast`, "
                    "or its log\n"};
    case NoAnswer::ConnectionLost:
        return {ExitStatus::NoDaemon,
                "the daemon " + at + " ended before it answered; see `holdfast status`\n"};
    case NoAnswer::Other:
        break;
    }
    return {ExitStatus::Failed, to_string(error) + "\n"};
}

} // namespace holdfast::cli
