// SPDX-License-Identifier: Apache-2.0
// A hand-off session on the event loop: one worker's HOLDFAST_HANDOFF socket, or one client of handoff.sock.
// Ends by itself when the peer goes or misbehaves.
#pragma once

#include "event/loop.h"
#include "handoff/session.h"

#include <functional>

namespace holdfast {

class HandoffPort {
public:
    /// `closed` is called once, from the loop, when the session is over; the port may be destroyed in it.
    HandoffPort(EventLoop& loop, UniqueFd socket, RequestScope scope, HandoffSession::Lookup lookup,
                std::function<void()> closed);

    /// Listeners that appeared just now, for a peer that asked before.
    void push(std::vector<NamedFd> const& fresh);
    [[nodiscard]] HandoffSession const& session() const { return session_; }

private:
    void follow(SessionWait wait);

    HandoffSession session_;
    std::function<void()> closed_;
    EventSource source_;
};

} // namespace holdfast
