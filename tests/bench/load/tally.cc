// SPDX-License-Identifier: Apache-2.0
#include "load/tally.h"

#include "load/generator.h"

#include <charconv>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace holdfast::load {

namespace {

Result<Target> unix_target(std::string const& text, std::string const& path) {
    Target target{.text = text};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return plain_error("'" + path + "' is no unix socket path");
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path.front() == '@')
        address.sun_path[0] = '\0';
    target.size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (path.front() == '@' ? 0 : 1));
    std::memcpy(&target.address, &address, sizeof address);
    return target;
}

} // namespace

bool Target::is_loopback4() const {
    if (address.ss_family != AF_INET)
        return false;
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
}

Result<Target> parse_target(std::string const& text) {
    if (text.starts_with("unix:"))
        return unix_target(text, text.substr(5));
    auto const colon = text.rfind(':');
    auto host = text.substr(0, colon);
    auto const port_text = colon == std::string::npos ? std::string{} : text.substr(colon + 1);
    std::uint16_t port = 0;
    auto const [end, problem] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    auto const advice = "say 127.0.0.1:8080, [::1]:8080 or unix:/path";
    if (problem != std::errc{} || end != port_text.data() + port_text.size() || port == 0)
        return plain_error("'" + text + "' is no target", {}, advice);
    Target target{.text = text};
    if (host.starts_with('[') && host.ends_with(']')) {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(port);
        if (::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &in.sin6_addr) != 1)
            return plain_error("'" + host + "' is no IPv6 address", {}, advice);
        std::memcpy(&target.address, &in, sizeof in);
        target.size = sizeof in;
    } else {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(port);
        if (::inet_pton(AF_INET, host.c_str(), &in.sin_addr) != 1)
            return plain_error("'" + host + "' is no IPv4 address", {}, advice);
        std::memcpy(&target.address, &in, sizeof in);
        target.size = sizeof in;
    }
    return target;
}

std::uint64_t Tally::failed() const {
    return std::accumulate(failures.begin(), failures.end(), std::uint64_t{0});
}

void Tally::add(Tally const& other) {
    sent += other.sent;
    ok += other.ok;
    for (std::size_t i = 0; i < failures.size(); ++i)
        failures[i] += other.failures[i];
    keepalive_races += other.keepalive_races;
    connects += other.connects;
    waited += other.waited;
    late += other.late;
    lag.add(other.lag);
    latency.add(other.latency);
    for (auto const& [answer, count] : other.answers)
        answers[answer] += count;
    if (first_failure.empty())
        first_failure = other.first_failure;
}

Tally run(Plan const& plan) {
    std::vector<Tally> tallies(plan.threads);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < plan.threads; ++i)
        threads.emplace_back([&plan, &tallies, i] { tallies[i] = Generator{plan, i}.run(); });
    Tally sum;
    for (unsigned i = 0; i < plan.threads; ++i) {
        threads[i].join();
        sum.add(tallies[i]);
    }
    return sum;
}

} // namespace holdfast::load
