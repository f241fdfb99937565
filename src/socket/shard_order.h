// SPDX-License-Identifier: Apache-2.0
// The order in which the kernel has the members of a SO_REUSEPORT group, read from the kernel itself, without
// any traffic. A steering program names members by their place in that order, and a worker that calls
// shutdown(2) on its listener changes it. Used by ShardGroup only.
#pragma once

#include "base/result.h"
#include "socket/kernel_address.h"

#include <cstdint>
#include <span>
#include <vector>

namespace holdfast {

/// sock_diag answers which listener a client would get by the hash of the two addresses, and the hash picks a
/// place in the order, not a socket. So while the order is known, one client address is found for each place;
/// later the same addresses, as long as the group has as many members, tell who is at each place now.
/// Nothing is sent to these addresses; they are of the blocks that are for documentation (RFC 5737, 3849).
class OrderProbe {
public:
    OrderProbe() = default;
    /// One that was learnt before: what client_ports() was then. Good until the next boot.
    OrderProbe(KernelAddress const& bound, std::vector<std::uint16_t> client_ports);

    /// `inodes`: the members of the TCP group at `bound` in their order, which is known to be right.
    [[nodiscard]] Outcome learn(KernelAddress const& bound, std::span<std::uint32_t const> inodes);
    /// The members' inodes in the kernel's order; the group has as many members as when it was learnt.
    [[nodiscard]] Result<std::vector<std::uint32_t>> read() const;

    /// For each place the port of a client address that leads there; empty as long as nothing is learnt.
    [[nodiscard]] std::vector<std::uint16_t> const& client_ports() const { return ports_; }

private:
    KernelAddress server_;
    std::vector<std::uint16_t> ports_;
};

} // namespace holdfast
