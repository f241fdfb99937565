// SPDX-License-Identifier: Apache-2.0
// How many clients TCP listeners have whom nobody has accepted yet, handshakes under way included. Asking
// sock_diag(7) for the handshakes makes the kernel walk over all sockets of the namespace, in one go: with a
// hundred thousand in TIME-WAIT that is 20 ms of a processor that nobody else gets. Looks only. Used within
// this folder.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace holdfast {

/// By inode, of those of `listeners` that are found: what proc(5), net/tcp, shows as the references of a
/// listening socket, less its own. Each request holds one from its SYN until it is accepted or given up
/// (since Linux 4.4, whose listeners take no lock); so may whoever looks at the socket in this moment. Never
/// less than there are, but for handshakes answered with SYN cookies, which leave no trace. As long as it
/// finds all of them, only listening sockets are read. Errors: those of open(2) and read(2).
[[nodiscard]] Result<std::unordered_map<std::uint32_t, std::uint32_t>>
count_requests(std::vector<std::uint32_t> const& listeners, bool is_ipv6);

} // namespace holdfast
