// SPDX-License-Identifier: Apache-2.0
#include "socket/retire.h"

#include "socket/inspect.h"
#include "socket/kernel_address.h"
#include "socket/path_node.h"
#include "socket/side_by_side.h"
#include "socket/sock_diag.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::uint32_t let_through = 0xffffffffU;
constexpr std::uint32_t drop = 0;

// A filter of a TCP socket sees the packet from the TCP header on; the flags are its byte 13. The ACK that
// ends a handshake passes, so those half-way in get in. Connections inherit the filter; none of theirs has a
// SYN.
constexpr sock_filter drop_syn[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TH_SYN, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, drop),
    BPF_STMT(BPF_RET | BPF_K, let_through),
};
constexpr sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, drop)};

Outcome attach(Listener const& listener, std::span<sock_filter const> filter) {
    sock_fprog const program{.len = static_cast<unsigned short>(filter.size()),
                             .filter = const_cast<sock_filter*>(filter.data())};
    if (::setsockopt(listener.fd.raw(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
        return system_error(errno, "close " + to_string(listener.bound()) + " to new clients", listener.name);
    return {};
}

/// Newer kernels refuse a TCP filter to ordinary users. They may bind a socket to an interface, though, and
/// one that cannot exist brings no SYN: clients are refused at once. Handshakes under way belong to the
/// listener already, and connections keep the interface of their SYN; only one made by a SYN cookie is lost.
/// Linux 5.7.
Outcome turn_tcp_away(Listener const& listener) {
    auto attached = attach(listener, drop_syn);
    if (attached || attached.error().code != EPERM)
        return attached;
    return divert(listener) ? Outcome{} : std::move(attached);
}

bool is_zero(in6_addr const& host, std::size_t from) {
    return std::all_of(host.s6_addr + from, host.s6_addr + 16, [](auto byte) { return byte == 0; });
}

/// Is a handshake at this local address one that `where` may answer for? The request of an IPv4 client to an
/// IPv6 listener shows no address.
bool may_belong(InetSocket const& handshake, KernelAddress const& where) {
    if (is_any(where) || is_zero(handshake.host, 0))
        return true;
    if (where.family() == AF_INET) {
        sockaddr_in in;
        std::memcpy(&in, &where.storage, sizeof in);
        return std::memcmp(&handshake.host.s6_addr[12], &in.sin_addr, 4) == 0;
    }
    sockaddr_in6 in;
    std::memcpy(&in, &where.storage, sizeof in);
    return std::memcmp(&handshake.host, &in.sin6_addr, sizeof in.sin6_addr) == 0;
}

/// `handshakes_at(port)` and `queue_of(listener)`: asked now, or of a snapshot.
template <class HandshakesAt, class QueueOf>
Result<std::uint32_t> count_waiting_by(Listener const& listener, HandshakesAt const& handshakes_at,
                                       QueueOf const& queue_of) {
    // Handshakes first: one that ends in between is then counted twice, never not at all.
    std::uint32_t count = 0;
    if (listener.wanted.transport == Transport::Tcp) {
        auto const where = to_kernel(listener.bound());
        if (!where)
            return where.error();
        Result<std::vector<InetSocket>> const handshakes = handshakes_at(listener.port);
        if (!handshakes)
            return handshakes.error();
        count = static_cast<std::uint32_t>(
            std::count_if(handshakes->begin(), handshakes->end(),
                          [&](InetSocket const& one) { return may_belong(one, *where); }));
    }
    Result<QueueState> const queue = queue_of(listener);
    if (!queue)
        return queue.error();
    return count + queue->waiting;
}

Error not_mended(Listener const& listener, int code, std::string_view step) {
    return system_error(code, std::string{step} + " " + to_string(listener.bound()) + " again", listener.name,
                        "a worker had shut it down");
}

Outcome mend_tcp(Listener& listener, int backlog) {
    // A port that the kernel chose is lost with the listening state; one that was asked for is not.
    if (listener.wanted.port == 0) {
        auto where = to_kernel(listener.bound());
        if (!where)
            return where.error();
        // What "every address" was bound to, [::] or 0.0.0.0, the socket's own family tells.
        int family = 0;
        socklen_t length = sizeof family;
        if (::getsockopt(listener.fd.raw(), SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 &&
            family != where->family())
            *where = any_ipv4(listener.port);
        if (::bind(listener.fd.raw(), where->get(), where->length) < 0 &&
            errno != EINVAL) // EINVAL: still bound
            return not_mended(listener, errno, "bind");
    }
    if (::listen(listener.fd.raw(), backlog) < 0)
        return not_mended(listener, errno, "listen on");
    return {};
}

/// A unix socket that was shut down stays so: another takes its place, with the same name and mode.
Outcome mend_unix(Listener& listener, int backlog) {
    SocketSpec spec;
    spec.name = listener.name;
    spec.backlog = backlog;
    spec.free_bind = listener.bound_with.free_bind;
    spec.non_blocking = (::fcntl(listener.fd.raw(), F_GETFL) & O_NONBLOCK) != 0;
    if (listener.path_inode != 0) {
        auto const node = look_at(listener.wanted.host);
        if (node && *node && (*node)->inode == listener.path_inode)
            spec.socket_mode = (*node)->mode & 07777;
        unlink_if_same(listener.wanted.host, listener.path_device, listener.path_inode);
    }
    // Our own descriptor must go first, or it holds an abstract name; an unbound one keeps its place
    // meanwhile.
    int const flags = SOCK_STREAM | SOCK_CLOEXEC | (spec.non_blocking ? SOCK_NONBLOCK : 0);
    UniqueFd unbound{::socket(AF_UNIX, flags, 0)};
    if (!unbound.is_open())
        return not_mended(listener, errno, "make a socket for");
    listener.fd = std::move(unbound);
    auto fresh = bind_listener(spec, listener.wanted);
    if (!fresh)
        return std::move(fresh).error();
    listener = *std::move(fresh);
    return {};
}

} // namespace

/// shutdown(2) leaves a unix socket in the listening state, and shows as the peer's hang-up. A TCP socket
/// leaves that state.
Result<bool> is_listening(Listener const& listener) {
    int value = 0;
    socklen_t length = sizeof value;
    pollfd seen{listener.fd.raw(), POLLRDHUP, 0};
    if (::getsockopt(listener.fd.raw(), SOL_SOCKET, SO_ACCEPTCONN, &value, &length) < 0 ||
        ::poll(&seen, 1, 0) < 0)
        return system_error(errno, "look at " + to_string(listener.bound()), listener.name);
    return value != 0 && (seen.revents & (POLLRDHUP | POLLHUP)) == 0;
}

Outcome turn_clients_away(Listener& listener) {
    // A filter would drop what the other one could have.
    if (listener.is_replaced && !listener.wanted.is_unix() && divert(listener))
        return {};
    switch (listener.wanted.transport) {
    case Transport::Tcp:
        return turn_tcp_away(listener);
    case Transport::Udp:
        return attach(listener, drop_all);
    case Transport::Inherited: // not ours to close
        return {};
    case Transport::UnixStream:
        if (listener.wanted.is_abstract())
            return system_error(EOPNOTSUPP, "close " + to_string(listener.wanted) + " to new clients",
                                listener.name, "an abstract name stays open until the socket is closed");
        if (listener.path_inode != 0)
            unlink_if_same(listener.wanted.host, listener.path_device, listener.path_inode);
        listener.path_inode = 0;
        return {};
    }
    return {};
}

Result<std::uint32_t> count_waiting(Listener const& listener) {
    return count_waiting_by(listener, list_handshakes,
                            [](Listener const& one) { return inspect_queue(one.fd, one.wanted.transport); });
}

Result<std::uint32_t> count_waiting(Listener const& listener, QueueSnapshot& snapshot) {
    return count_waiting_by(
        listener, [&](std::uint16_t port) { return snapshot.handshakes_at(port); },
        [&](Listener const& one) { return snapshot.queue_of(one); });
}

Result<bool> keep_listening(Listener& listener, int backlog) {
    if (listener.wanted.transport == Transport::Udp)
        return false;
    auto const listens = is_listening(listener);
    if (!listens)
        return listens.error();
    if (*listens)
        return false;
    auto mended = listener.wanted.is_unix() ? mend_unix(listener, backlog) : mend_tcp(listener, backlog);
    if (!mended)
        return std::move(mended).error();
    return true;
}

} // namespace holdfast
