// SPDX-License-Identifier: Apache-2.0
// One command's talk with the daemon and with its user: finds the socket, calls, prints, and turns what went
// wrong into words on standard error and an exit status. Blocks; only for the command.
#pragma once

#include "cli/command_line.h"
#include "cli/screen.h"
#include "control/client.h"

#include <functional>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace holdfast::cli {

/// That of the daemon that `line` means.
[[nodiscard]] Result<std::string> socket_path(CommandLine const& line);

/// The member `format` of all that --json prints: raised when a member changes its meaning, or goes. One that
/// is new raises nothing.
inline constexpr int json_format = 1;

class Session {
public:
    explicit Session(CommandLine const& line);

    /// The answer's parameters. Nothing when there is none or it is an error: then status() says how to exit
    /// and the user has been told.
    [[nodiscard]] std::optional<nlohmann::json> ask(std::string_view method,
                                                    nlohmann::json const& parameters);
    /// With `more`; where the daemon dies the next one is asked, with asked_usec, when it was asked first.
    /// `on_progress` as in ControlClient::call_more(); when it ended the call, the answer is an
    /// empty object.
    [[nodiscard]] std::optional<nlohmann::json>
    ask_more(std::string_view method, nlohmann::json const& parameters,
             std::function<bool(nlohmann::json const&)> const& on_progress);
    /// As ask(), but nobody is told.
    [[nodiscard]] std::optional<nlohmann::json> try_to_ask(std::string_view method);
    /// Until the daemon is gone.
    void wait_for_end();

    [[nodiscard]] ExitStatus status() const { return status_; }
    [[nodiscard]] CommandLine const& line() const { return line_; }
    [[nodiscard]] Screen const& screen() const { return screen_; }

    /// To standard output, at once, folded to the screen. After --json nothing but JSON may go there.
    void print(std::string const& text) const;
    /// As it is: what is to be taken from the terminal again.
    void print_verbatim(std::string const& text) const;
    /// An object; with `format`, see below.
    void print_json(nlohmann::json value, bool one_line) const;
    /// To standard error, behind "holdfast: ", folded to its screen.
    static void complain(std::string const& text);

private:
    [[nodiscard]] bool connect();
    /// To the daemon that has come after one that was killed, or replaced.
    [[nodiscard]] bool reconnect();
    [[nodiscard]] static bool is_cut_off(Result<ControlAnswer> const& answer);
    [[nodiscard]] std::optional<nlohmann::json> settle(Result<ControlAnswer> answer);
    void refuse(ExitStatus status, std::string const& text);

    CommandLine const& line_;
    Screen screen_;
    std::string path_;
    std::optional<ControlClient> client_;
    ExitStatus status_ = ExitStatus::Done;
};

} // namespace holdfast::cli
