// SPDX-License-Identifier: Apache-2.0
#include "socket/queue_snapshot.h"

#include <algorithm>

#include <sys/stat.h>

namespace holdfast {

Result<QueueState> QueueSnapshot::queue_of(Listener const& listener) {
    if (listener.wanted.transport != Transport::UnixStream)
        return inspect_queue(listener.fd, listener.wanted.transport);
    if (!unix_queues_) {
        unix_queues_.emplace();
        // What is missing, if this fails half-way or a socket came since, is asked for by itself below.
        (void)list_unix_queues([this](UnixSocket const& socket) {
            unix_queues_->emplace(socket.inode, UnixQueue{socket.queue, socket.limit});
        });
    }
    struct stat status {};
    if (::fstat(listener.fd.raw(), &status) == 0)
        if (auto const found = unix_queues_->find(static_cast<std::uint32_t>(status.st_ino));
            found != unix_queues_->end())
            return QueueState{found->second.waiting, found->second.limit, std::nullopt};
    return inspect_queue(listener.fd, listener.wanted.transport);
}

Result<std::vector<InetSocket>> QueueSnapshot::handshakes_at(std::uint16_t port) {
    auto const by_port = [](InetSocket const& a, InetSocket const& b) { return a.port < b.port; };
    if (!handshakes_) {
        auto all = list_handshakes(any_port);
        if (!all)
            return all;
        std::sort(all->begin(), all->end(), by_port);
        handshakes_ = *std::move(all);
    }
    InetSocket sought;
    sought.port = port;
    auto const [begin, end] = std::equal_range(handshakes_->begin(), handshakes_->end(), sought, by_port);
    return std::vector<InetSocket>(begin, end);
}

} // namespace holdfast
