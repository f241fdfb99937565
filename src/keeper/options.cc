// SPDX-License-Identifier: Apache-2.0
#include "keeper/options.h"

#include "keeper/say.h"

#include <string_view>

namespace holdfast::keeper {

namespace {

constexpr int usage_error = 2;

constexpr std::string_view help_text =
    "Usage: holdfast-keeper [OPTIONS] -- PROGRAM [ARGUMENTS]\n"
    "\n"
    "Holds the sockets and the workers of holdfastd while it is away: starts PROGRAM\n"
    "(holdfastd), starts it again when it crashes, and replaces it on an upgrade.\n"
    "\n"
    "Options:\n"
    "  -h,--help             Print this help and exit\n"
    "  --version             Print the version and exit\n"
    "  --ready-timeout TIME  How long a new PROGRAM may take until it serves (10s)\n"
    "  --stop-timeout TIME   How long PROGRAM may take to hear SIGTERM (10s)\n";

void print(std::string_view text) {
    (void)!::write(STDOUT_FILENO, text.data(), text.size());
}

Parsed refuse(std::string_view what, std::string_view which) {
    say(what, which, "; see --help");
    return {{}, usage_error};
}

/// A whole number of ms, s or min; of seconds without a unit. Less than parse_duration() takes, but that
/// brings the floating point of the C++ runtime along, which is as large as all the rest of us.
std::optional<Duration> parse_time(std::string_view text) {
    auto const digits = text.substr(0, text.find_first_not_of("0123456789"));
    auto const unit = text.substr(digits.size());
    auto const number = parse_number(digits, 1'000'000);
    if (!number || *number == 0)
        return std::nullopt;
    if (unit == "ms")
        return std::chrono::milliseconds{*number};
    if (unit.empty() || unit == "s")
        return std::chrono::seconds{*number};
    if (unit == "min")
        return std::chrono::minutes{*number};
    return std::nullopt;
}

Duration* place_of(Options& options, std::string_view name) {
    if (name == "--ready-timeout")
        return &options.ready_timeout;
    if (name == "--stop-timeout")
        return &options.stop_timeout;
    return nullptr;
}

} // namespace

Parsed parse_options(char** argv) {
    Options options;
    while (*argv != nullptr && *++argv != nullptr) {
        std::string_view const word{*argv};
        if (word == "-h" || word == "--help")
            return print(help_text), Parsed{};
        if (word == "--version")
            return print("holdfast-keeper " HOLDFAST_VERSION "\n"), Parsed{};
        if (word == "--" || !word.starts_with('-')) {
            options.program = word == "--" ? argv + 1 : argv;
            break;
        }
        auto const equals = word.find('=');
        auto* const place = place_of(options, word.substr(0, equals));
        if (place == nullptr)
            return refuse("unknown option ", word);
        if (equals == std::string_view::npos && *++argv == nullptr)
            return refuse("no time after ", word);
        auto const value =
            equals == std::string_view::npos ? std::string_view{*argv} : word.substr(equals + 1);
        auto const time = parse_time(value);
        if (!time)
            return refuse("not a time, as in 10s or 1min: ", value);
        *place = *time;
    }
    if (options.program == nullptr || *options.program == nullptr)
        return refuse("no program to keep", "");
    return {options, 0};
}

} // namespace holdfast::keeper
