// SPDX-License-Identifier: Apache-2.0
// What a client of the control socket may cost us. Every number has a test that goes past it. Tests inject
// shorter times; the daemon uses what stands here.
#pragma once

#include "base/time.h"

#include <cstddef>

namespace holdfast {

struct ControlLimits {
    /// One request, without its NUL. A longer one is answered with BadMessage and the client is closed.
    std::size_t message_bytes = std::size_t{1} << 20;
    /// Clients at once; a further one is told TooManyClients and closed.
    std::size_t clients = 64;
    /// Places beyond `clients` for root and the daemon's own user, so that nobody can lock the operator out.
    std::size_t reserved_clients = 1;
    /// A client with this much unread output is dropped when more would be added. A reply that is alone may
    /// be larger: what it describes is ours, and refusing it would make a big installation invisible.
    std::size_t output_bytes = std::size_t{4} << 20;
    /// While more than this is unread, no further request of the client is looked at.
    std::size_t output_pause_bytes = std::size_t{64} << 10;
    /// Output waits and the client reads nothing for this long: it is dropped.
    Duration stalled_output = std::chrono::seconds{10};
    /// From connect, or from the first byte of a message, to its NUL; then the client is dropped.
    Duration half_message = std::chrono::seconds{30};
};

/// Arrays and objects inside each other in one request.
inline constexpr std::size_t control_nesting_limit = 32;
/// Characters of a client's own words that an error gives back.
inline constexpr std::size_t control_echo_limit = 200;

} // namespace holdfast
