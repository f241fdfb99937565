// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include "base/folders.h"
#include "cli/refusal.h"
#include "control/methods.h"

#include <cstdio>

#include <unistd.h>

namespace holdfast::cli {

using nlohmann::json;

namespace {

constexpr int most_tries = 5;

} // namespace

Result<std::string> socket_path(CommandLine const& line) {
    if (!line.runtime_folder.empty())
        return control_socket_path(line.runtime_folder);
    auto const mode = line.user ? RunMode::User : line.system ? RunMode::System : default_mode();
    auto folder = runtime_folder(mode);
    if (!folder)
        return std::move(folder).error();
    return control_socket_path(*folder);
}

Session::Session(CommandLine const& line) : line_{line}, screen_{look_at(FdRef{STDOUT_FILENO})} {}

void Session::print(std::string const& text) const {
    print_verbatim(folded(text, screen_));
}

void Session::print_verbatim(std::string const& text) const {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout); // whoever follows in a pipe sees each line when it happens; main looks for errors
}

void Session::print_json(json value, bool one_line) const {
    value["format"] = json_format;
    print_verbatim(value.dump(one_line ? -1 : 2, ' ', false, json::error_handler_t::replace) + "\n");
}

void Session::complain(std::string const& text) {
    auto const whole =
        folded("holdfast: " + text + (text.ends_with('\n') ? "" : "\n"), look_at(FdRef{STDERR_FILENO}));
    std::fwrite(whole.data(), 1, whole.size(), stderr);
}

void Session::refuse(ExitStatus status, std::string const& text) {
    status_ = status;
    complain(text);
}

bool Session::connect() {
    if (client_)
        return true;
    auto path = socket_path(line_);
    if (!path) {
        refuse(ExitStatus::NoDaemon, to_string(path.error()));
        return false;
    }
    path_ = *path;
    auto client = ControlClient::connect_to(path_);
    if (!client) {
        auto const refusal = explain_silence(client.error(), path_, line_.runtime_folder.empty());
        refuse(refusal.status, refusal.text);
        return false;
    }
    client_ = std::move(client).value();
    return true;
}

std::optional<json> Session::settle(Result<ControlAnswer> answer) {
    if (!answer) {
        auto const refusal = explain_silence(answer.error(), path_, line_.runtime_folder.empty());
        refuse(refusal.status, refusal.text);
        client_.reset();
        return std::nullopt;
    }
    if (!answer->error.empty()) {
        if (line_.json)
            print_json({{"error", answer->error}, {"parameters", answer->parameters}}, true);
        auto const refusal = explain_answer(*answer);
        refuse(refusal.status, refusal.text);
        return std::nullopt;
    }
    return std::move(answer->parameters);
}

std::optional<json> Session::ask(std::string_view method, json const& parameters) {
    if (!connect())
        return std::nullopt;
    auto answer = client_->call(method, parameters);
    // The daemon was killed, or replaced, before it answered; the next one can be asked for the same.
    auto const* const known = find_control_method(method);
    bool const is_look = known != nullptr && known->access == Access::Look;
    for (int tries = 0; tries < most_tries && is_look && is_cut_off(answer) && reconnect(); ++tries)
        answer = client_->call(method, parameters);
    return settle(std::move(answer));
}

bool Session::is_cut_off(Result<ControlAnswer> const& answer) {
    return !answer && why_no_answer(answer.error()) == NoAnswer::ConnectionLost;
}

bool Session::reconnect() {
    auto again = ControlClient::connect_to(path_);
    if (again)
        client_ = std::move(again).value();
    return again.has_value();
}

std::optional<json> Session::ask_more(std::string_view method, json const& parameters,
                                      std::function<bool(json const&)> const& on_progress) {
    if (!connect())
        return std::nullopt;
    bool ended = false;
    auto const call = [&](json const& with) {
        return client_->call_more(method, with, [&](json const& progress) {
            ended = !on_progress(progress);
            return !ended;
        });
    };
    auto const asked = MonotonicTime::now().since_boot().count();
    auto answer = call(parameters);
    // Who follows events has seen those of the one that died.
    auto const* const known = find_control_method(method);
    bool const is_change = known != nullptr && known->access == Access::Change;
    for (int tries = 0; tries < most_tries && is_change && is_cut_off(answer) && reconnect(); ++tries) {
        auto again = parameters;
        again["asked_usec"] = asked;
        answer = call(again);
    }
    if (ended)
        client_.reset(); // the rest of its answers would be taken for those of the next call
    return settle(std::move(answer));
}

std::optional<json> Session::try_to_ask(std::string_view method) {
    auto const path = socket_path(line_);
    if (!path)
        return std::nullopt;
    auto client = ControlClient::connect_to(*path);
    if (!client)
        return std::nullopt;
    auto answer = client->call(method, json::object());
    if (!answer || !answer->error.empty())
        return std::nullopt;
    return std::move(answer->parameters);
}

void Session::wait_for_end() {
    if (client_)
        client_->wait_for_end();
}

} // namespace holdfast::cli
