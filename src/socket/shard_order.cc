// SPDX-License-Identifier: Apache-2.0
#include "socket/shard_order.h"

#include "socket/sock_diag.h"

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include <netinet/in.h>

namespace holdfast {

namespace {

KernelAddress documentation_address(int family, std::uint16_t port = 0) {
    ListenAddress const address{Transport::Tcp, family == AF_INET ? "192.0.2.1" : "2001:db8::1", port};
    return *to_kernel(address);
}

/// An address that a listener at `bound` answers for, and nobody more special does.
KernelAddress server_address(KernelAddress const& bound) {
    return is_any(bound) ? documentation_address(bound.family(), port_of(bound)) : bound;
}

/// A place is still missing then with a probability of e^-32 for each.
std::size_t enough_tries(std::size_t members) {
    return std::min<std::size_t>(members * 32, 65535);
}

/// As many as one call takes, from `first` on.
std::vector<std::uint16_t> some_ports(std::size_t first, std::size_t last) {
    std::vector<std::uint16_t> ports;
    for (std::size_t port = first; port <= last && ports.size() < most_lookups; ++port)
        ports.push_back(static_cast<std::uint16_t>(port));
    return ports;
}

} // namespace

OrderProbe::OrderProbe(KernelAddress const& bound, std::vector<std::uint16_t> client_ports)
    : server_{server_address(bound)}, ports_{std::move(client_ports)} {}

Outcome OrderProbe::learn(KernelAddress const& bound, std::span<std::uint32_t const> inodes) {
    ports_.clear();
    server_ = server_address(bound);
    std::unordered_map<std::uint32_t, std::size_t> places;
    for (std::size_t place = 0; place < inodes.size(); ++place)
        places[inodes[place]] = place;
    std::vector<std::uint16_t> found(inodes.size(), 0);
    std::size_t missing = inodes.size();
    std::size_t const last = enough_tries(inodes.size());
    for (std::size_t next = 1; missing > 0 && next <= last;) {
        auto const ports = some_ports(next, last);
        auto const answers = find_by_hash(server_, documentation_address(server_.family()), ports);
        if (!answers)
            return answers.error();
        for (std::size_t i = 0; i < ports.size(); ++i) {
            auto const place = places.find((*answers)[i]);
            if (place == places.end())
                return system_error(EADDRINUSE, "read the order of a group that others have joined");
            missing -= found[place->second] == 0 ? 1 : 0;
            found[place->second] = ports[i];
        }
        next += ports.size();
    }
    if (missing > 0)
        return plain_error("the hash of the kernel does not reach every shard");
    ports_ = std::move(found);
    return {};
}

Result<std::vector<std::uint32_t>> OrderProbe::read() const {
    if (ports_.empty())
        return plain_error("the order of the shards was never learnt");
    std::vector<std::uint32_t> inodes;
    for (std::span<std::uint16_t const> left{ports_}; !left.empty();) {
        auto const some = left.first(std::min(left.size(), most_lookups));
        auto const answers = find_by_hash(server_, documentation_address(server_.family()), some);
        if (!answers)
            return answers.error();
        inodes.insert(inodes.end(), answers->begin(), answers->end());
        left = left.subspan(some.size());
    }
    return inodes;
}

} // namespace holdfast
