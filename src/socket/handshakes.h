// SPDX-License-Identifier: Apache-2.0
// The TCP handshakes under way on an address. Each belongs to one listener, the one its SYN was given to,
// but the kernel tells nobody to which. Looks only. Used within this folder.
#pragma once

#include "socket/sock_diag.h"
#include "unit/address.h"

namespace holdfast {

/// The handshakes under way on `bound` (its port is the real one). An upper bound: those with a second
/// listener on the same port count for a wildcard too. A handshake that the kernel answered with a SYN cookie
/// leaves no trace and is not among them.
[[nodiscard]] Result<std::vector<InetSocket>> list_handshakes_at(ListenAddress const& bound);

} // namespace holdfast
