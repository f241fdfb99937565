// SPDX-License-Identifier: Apache-2.0
// What SocketCustody holds only while it waits for clients.
#pragma once

#include "supervisor/socket_custody.h"

namespace holdfast {

struct SocketCustody::Watching {
    std::function<void()> on_traffic;
    std::function<void(Listener const&)> on_client; ///< instead of it: whenever there is one
    bool is_limited = false;
    bool is_resting = false;
    bool is_short = false; ///< one cannot be watched just now, and that was told
    std::vector<EventSource> sources;
    EventSource again; ///< when a listener that is not watched may be so again
};

} // namespace holdfast
