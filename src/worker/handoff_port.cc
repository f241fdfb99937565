// SPDX-License-Identifier: Apache-2.0
#include "worker/handoff_port.h"

#include <sys/epoll.h>

namespace holdfast {

HandoffPort::HandoffPort(EventLoop& loop, UniqueFd socket, RequestScope scope, HandoffSession::Lookup lookup,
                         std::function<void()> closed)
    : session_{std::move(socket), scope, std::move(lookup)}, closed_{std::move(closed)} {
    source_ = loop.watch(
        session_.socket(), EPOLLIN, [this](std::uint32_t) { follow(session_.on_ready()); },
        Priority::Clients);
}

void HandoffPort::push(std::vector<NamedFd> const& fresh) {
    follow(session_.push(fresh));
}

void HandoffPort::follow(SessionWait wait) {
    switch (wait) {
    case SessionWait::Readable:
        source_.set_events(EPOLLIN);
        return;
    case SessionWait::Writable:
        source_.set_events(EPOLLOUT);
        return;
    case SessionWait::Closed:
        if (source_) {
            source_.reset();
            auto const closed = std::move(closed_);
            closed(); // may destroy us
        }
        return;
    }
}

} // namespace holdfast
