// SPDX-License-Identifier: Apache-2.0
#include "base/signal_names.h"

#include <array>
#include <charconv>
#include <csignal>

namespace holdfast {

namespace {

struct SignalRow {
    int number;
    std::string_view name;
};

// The first name of a number is the one we write.
constexpr std::array signals{
    SignalRow{SIGHUP, "SIGHUP"},       SignalRow{SIGINT, "SIGINT"},       SignalRow{SIGQUIT, "SIGQUIT"},
    SignalRow{SIGILL, "SIGILL"},       SignalRow{SIGTRAP, "SIGTRAP"},     SignalRow{SIGABRT, "SIGABRT"},
    SignalRow{SIGBUS, "SIGBUS"},       SignalRow{SIGFPE, "SIGFPE"},       SignalRow{SIGKILL, "SIGKILL"},
    SignalRow{SIGUSR1, "SIGUSR1"},     SignalRow{SIGSEGV, "SIGSEGV"},     SignalRow{SIGUSR2, "SIGUSR2"},
    SignalRow{SIGPIPE, "SIGPIPE"},     SignalRow{SIGALRM, "SIGALRM"},     SignalRow{SIGTERM, "SIGTERM"},
    SignalRow{SIGSTKFLT, "SIGSTKFLT"}, SignalRow{SIGCHLD, "SIGCHLD"},     SignalRow{SIGCONT, "SIGCONT"},
    SignalRow{SIGSTOP, "SIGSTOP"},     SignalRow{SIGTSTP, "SIGTSTP"},     SignalRow{SIGTTIN, "SIGTTIN"},
    SignalRow{SIGTTOU, "SIGTTOU"},     SignalRow{SIGURG, "SIGURG"},       SignalRow{SIGXCPU, "SIGXCPU"},
    SignalRow{SIGXFSZ, "SIGXFSZ"},     SignalRow{SIGVTALRM, "SIGVTALRM"}, SignalRow{SIGPROF, "SIGPROF"},
    SignalRow{SIGWINCH, "SIGWINCH"},   SignalRow{SIGIO, "SIGIO"},         SignalRow{SIGPWR, "SIGPWR"},
    SignalRow{SIGSYS, "SIGSYS"},       SignalRow{SIGABRT, "SIGIOT"},      SignalRow{SIGIO, "SIGPOLL"},
    SignalRow{SIGCHLD, "SIGCLD"},
};

std::optional<int> parse_number(std::string_view text) {
    int number = 0;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || end != text.data() + text.size() || text.front() == '-')
        return std::nullopt;
    return number;
}

// "RTMIN", "RTMIN+3", "RTMAX-1", without "SIG".
std::optional<int> parse_real_time(std::string_view text) {
    bool const from_low = text.substr(0, 5) == "RTMIN";
    if (!from_low && text.substr(0, 5) != "RTMAX")
        return std::nullopt;
    int number = from_low ? SIGRTMIN : SIGRTMAX;
    if (text.size() > 5) {
        if (text[5] != (from_low ? '+' : '-') || text.size() == 6)
            return std::nullopt;
        auto const distance = parse_number(text.substr(6));
        if (!distance || *distance > SIGRTMAX - SIGRTMIN)
            return std::nullopt;
        number += from_low ? *distance : -*distance;
    }
    return number;
}

} // namespace

bool is_signal(int signal) {
    return (signal >= 1 && signal <= 31) || (signal >= SIGRTMIN && signal <= SIGRTMAX);
}

std::string signal_name(int signal) {
    for (auto const& row : signals)
        if (row.number == signal)
            return std::string{row.name};
    if (signal == SIGRTMIN)
        return "SIGRTMIN";
    if (signal > SIGRTMIN && signal <= SIGRTMAX)
        return "SIGRTMIN+" + std::to_string(signal - SIGRTMIN);
    return "signal " + std::to_string(signal);
}

std::optional<int> parse_signal(std::string_view text) {
    if (text.empty())
        return std::nullopt;
    if (auto const number = parse_number(text))
        return is_signal(*number) ? number : std::nullopt;
    auto const bare = text.substr(0, 3) == "SIG" ? text.substr(3) : text;
    for (auto const& row : signals)
        if (row.name.substr(3) == bare)
            return row.number;
    return parse_real_time(bare);
}

std::vector<std::string_view> signal_names() {
    std::vector<std::string_view> names;
    for (auto const& row : signals)
        names.push_back(row.name);
    return names;
}

} // namespace holdfast
