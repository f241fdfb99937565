// SPDX-License-Identifier: Apache-2.0
// What the kernel says of many listeners' queues, asked of it once. The kernel finds one unix socket, or the
// handshakes of one port, only by walking over all of them: who asks for each of n listeners waits n² long. A
// list is read when it is first needed, so that a snapshot that is not asked costs nothing. Made for one
// look at many listeners and dropped after it.
#pragma once

#include "socket/inspect.h"
#include "socket/listener.h"
#include "socket/sock_diag.h"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace holdfast {

class QueueSnapshot {
public:
    /// As inspect_queue() has it: of a unix listener from the list, of all others as it is now.
    [[nodiscard]] Result<QueueState> queue_of(Listener const& listener);
    /// The handshakes under way at this TCP port, at any local address.
    [[nodiscard]] Result<std::vector<InetSocket>> handshakes_at(std::uint16_t port);

private:
    struct UnixQueue {
        std::uint32_t waiting = 0;
        std::uint32_t limit = 0;
    };
    std::optional<std::unordered_map<std::uint32_t, UnixQueue>> unix_queues_; ///< by the socket's inode
    std::optional<std::vector<InetSocket>> handshakes_;                       ///< sorted by port
};

} // namespace holdfast
