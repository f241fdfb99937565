// SPDX-License-Identifier: Apache-2.0
// What a run is to do, and what it saw.
#pragma once

#include "base/enum_names.h"
#include "base/result.h"
#include "base/time.h"
#include "load/histogram.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include <sys/socket.h>

namespace holdfast::load {

/// Where the requests go: numeric IPv4 or IPv6 with a port, or "unix:/path", "unix:@name".
struct Target {
    std::string text;
    sockaddr_storage address{};
    socklen_t size = 0;
    [[nodiscard]] bool is_unix() const { return address.ss_family == AF_UNIX; }
    /// In 127.0.0.0/8: connections may come from any address of it.
    [[nodiscard]] bool is_loopback4() const;
};
[[nodiscard]] Result<Target> parse_target(std::string const& text);

struct Plan {
    Target target;
    std::string path = "/";
    double rate = 1000; ///< requests per second
    Duration duration = std::chrono::seconds{10};
    Duration timeout = std::chrono::seconds{10}; ///< of one request, from its scheduled time
    bool keep_alive = false;
    unsigned connections = 64; ///< of the keep-alive pool
    unsigned threads = 1;
    unsigned source_addresses = 64; ///< of 127.0.0.0/8 that connections come from in turn
    bool keep_answers = false;      ///< count the different bodies
};

/// Why a request failed.
enum class Failure { Refused, Reset, ClosedEarly, Timeout, BadStatus, Other };
constexpr auto enum_table(Failure) {
    return std::array{EnumName{Failure::Refused, "refused"},          EnumName{Failure::Reset, "reset"},
                      EnumName{Failure::ClosedEarly, "closed_early"}, EnumName{Failure::Timeout, "timeout"},
                      EnumName{Failure::BadStatus, "bad_status"},     EnumName{Failure::Other, "other"}};
}

struct Tally {
    std::uint64_t sent = 0; ///< requests whose time came
    std::uint64_t ok = 0;
    std::array<std::uint64_t, enum_table(Failure{}).size()> failures{};
    /// A re-used connection ended before any byte of the answer came: the server closed it while our request
    /// was on its way. Repeated once on a new connection, as every HTTP client does (RFC 9112, 9.3.1).
    std::uint64_t keepalive_races = 0;
    std::uint64_t connects = 0;
    std::uint64_t waited = 0; ///< requests for which no connection was free when their time came
    std::uint64_t late =
        0;             ///< started more than `late_after` after their time: the generator itself was slow
    Histogram lag;     ///< start - scheduled time
    Histogram latency; ///< whole answer - scheduled time, of those that succeeded
    std::map<std::string, std::uint64_t> answers;
    std::string first_failure; ///< in words

    static constexpr std::uint64_t late_after = 2000; ///< us

    [[nodiscard]] std::uint64_t failed() const;
    void add(Tally const& other);
};

/// Runs the plan, its threads included, and returns when every request has its answer or its timeout.
[[nodiscard]] Tally run(Plan const& plan);

} // namespace holdfast::load
