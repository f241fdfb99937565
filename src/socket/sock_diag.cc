// SPDX-License-Identifier: Apache-2.0
#include "socket/sock_diag.h"

#include "base/ensure.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

namespace holdfast {

namespace {

// The states of include/net/tcp_states.h, which is not for user space; UDP and unix sockets use them too.
constexpr std::uint32_t state_established = 1U << 1;
constexpr std::uint32_t state_syn_recv = 1U << 3;
constexpr std::uint32_t state_close = 1U << 7;
constexpr std::uint32_t state_close_wait = 1U << 8;
constexpr std::uint32_t state_listen = 1U << 10;
constexpr std::uint32_t state_new_syn_recv = 1U << 12;
constexpr std::uint32_t state_bound_inactive = 1U << 13; // Linux 6.8; older kernels ignore it
constexpr std::uint32_t every_state = 0xffffffffU;

template <class Body>
struct Request {
    nlmsghdr header{};
    Body body{};
};

template <class Body>
Request<Body> make_request(std::uint16_t flags) {
    Request<Body> request;
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    return request;
}

/// False: that is enough.
using SeeMessage = std::function<bool(nlmsghdr const&)>;

/// Takes one buffer of answers apart. True when the answer is complete, or enough of it was seen.
Result<bool> take_apart(nlmsghdr const* message, std::size_t length, SeeMessage const& see) {
    for (; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
        if (message->nlmsg_type == NLMSG_DONE)
            return true;
        if (message->nlmsg_type == NLMSG_ERROR) {
            nlmsgerr error{};
            std::memcpy(&error, NLMSG_DATA(message), sizeof error);
            return system_error(-error.error, "read the kernel's list of sockets");
        }
        if (!see(*message) || !(message->nlmsg_flags & NLM_F_MULTI))
            return true;
    }
    return false;
}

/// Reads one buffer of answers. True as take_apart().
Result<bool> receive(FdRef netlink, SeeMessage const& see) {
    alignas(nlmsghdr) std::array<std::byte, 32768> buffer;
    ssize_t count = 0;
    do
        count = ::recv(netlink.raw(), buffer.data(), buffer.size(), 0);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return system_error(errno, "read the kernel's list of sockets");
    return take_apart(reinterpret_cast<nlmsghdr const*>(buffer.data()), static_cast<std::size_t>(count), see);
}

template <class Body>
Outcome ask(Request<Body> const& request, SeeMessage const& see) {
    UniqueFd const netlink{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)};
    if (!netlink.is_open() || ::send(netlink.raw(), &request, sizeof request, 0) < 0)
        return system_error(errno, "ask the kernel for its list of sockets");
    for (;;) {
        auto const done = receive(netlink, see);
        if (!done)
            return done.error();
        if (*done)
            return {};
    }
}

/// Calls `see(type, data, size)` for each attribute after a message's fixed part of `Body`.
template <class Body, class See>
void for_each_attribute(nlmsghdr const& message, See const& see) {
    auto length = static_cast<int>(message.nlmsg_len) - static_cast<int>(NLMSG_LENGTH(sizeof(Body)));
    auto const* start = static_cast<std::byte const*>(NLMSG_DATA(&message)) + NLMSG_ALIGN(sizeof(Body));
    for (auto const* row = reinterpret_cast<rtattr const*>(start); RTA_OK(row, length);
         row = RTA_NEXT(row, length))
        see(row->rta_type, static_cast<char const*>(RTA_DATA(row)), std::size_t{RTA_PAYLOAD(row)});
}

template <class Body>
std::optional<Body> body_of(nlmsghdr const& message) {
    if (message.nlmsg_len < NLMSG_LENGTH(sizeof(Body)))
        return std::nullopt;
    Body body;
    std::memcpy(&body, NLMSG_DATA(&message), sizeof body);
    return body;
}

std::uint32_t mask_of(InetStates states, int protocol) {
    switch (states) {
    case InetStates::Listening:
        return protocol == IPPROTO_TCP ? state_listen | state_bound_inactive
                                       : state_close | state_established;
    case InetStates::Handshakes:
        return state_syn_recv | state_new_syn_recv;
    case InetStates::Connections:
        return state_established | state_close_wait;
    case InetStates::Any:
        return every_state;
    }
    return every_state;
}

InetSocket to_inet_socket(inet_diag_msg const& body, nlmsghdr const& message) {
    InetSocket socket;
    socket.family = body.idiag_family;
    socket.port = ntohs(body.id.idiag_sport);
    socket.inode = body.idiag_inode;
    socket.uid = body.idiag_uid;
    socket.is_listening = body.idiag_state == TCP_LISTEN;
    socket.cookie = std::uint64_t{body.id.idiag_cookie[1]} << 32 | body.id.idiag_cookie[0];
    if (body.idiag_family == AF_INET) {
        socket.host.s6_addr[10] = socket.host.s6_addr[11] = 0xff;
        std::memcpy(&socket.host.s6_addr[12], &body.id.idiag_src[0], 4);
    } else {
        std::memcpy(&socket.host, body.id.idiag_src, sizeof socket.host);
    }
    for_each_attribute<inet_diag_msg>(message, [&](int type, char const* data, std::size_t size) {
        if (type == INET_DIAG_SKV6ONLY && size >= 1)
            socket.is_v6_only = *data != 0;
    });
    return socket;
}

/// The host of an address in the form of inet_diag_sockid.
void copy_host(KernelAddress const& from, std::uint32_t (&host)[4]) {
    if (from.family() == AF_INET) {
        sockaddr_in in;
        std::memcpy(&in, &from.storage, sizeof in);
        std::memcpy(host, &in.sin_addr, sizeof in.sin_addr);
    } else {
        sockaddr_in6 in;
        std::memcpy(&in, &from.storage, sizeof in);
        std::memcpy(host, &in.sin6_addr, sizeof in.sin6_addr);
    }
}

UnixSocket to_unix_socket(unix_diag_msg const& body, nlmsghdr const& message) {
    UnixSocket socket;
    socket.inode = body.udiag_ino;
    for_each_attribute<unix_diag_msg>(message, [&](int type, char const* data, std::size_t size) {
        if (type == UNIX_DIAG_NAME) {
            socket.name.assign(data, size);
        } else if (type == UNIX_DIAG_VFS && size >= sizeof(unix_diag_vfs)) {
            unix_diag_vfs node{};
            std::memcpy(&node, data, sizeof node);
            socket.device = node.udiag_vfs_dev;
            socket.node = node.udiag_vfs_ino;
        } else if (type == UNIX_DIAG_RQLEN && size >= sizeof(unix_diag_rqlen)) {
            unix_diag_rqlen length{};
            std::memcpy(&length, data, sizeof length);
            socket.queue = length.udiag_rqueue;
            socket.limit = length.udiag_wqueue;
        }
    });
    // A path is reported with the NUL that ended it in sockaddr_un.
    if (!socket.name.empty() && socket.name.front() != '\0')
        socket.name.resize(std::strlen(socket.name.c_str()));
    return socket;
}

Outcome ask_for_unix(Request<unix_diag_req> const& request,
                     std::function<bool(UnixSocket const&)> const& see) {
    return ask(request, [&](nlmsghdr const& message) {
        auto const body = body_of<unix_diag_msg>(message);
        return !body || see(to_unix_socket(*body, message));
    });
}

/// For who wants to see all of them.
std::function<bool(UnixSocket const&)> to_the_end(std::function<void(UnixSocket const&)> const& see) {
    return [&see](UnixSocket const& socket) {
        see(socket);
        return true;
    };
}

} // namespace

Outcome see_inet_sockets(int family, int protocol, std::uint16_t port, InetStates states,
                         std::function<bool(InetSocket const&)> const& see) {
    auto request = make_request<inet_diag_req_v2>(NLM_F_DUMP);
    request.body.sdiag_family = static_cast<std::uint8_t>(family);
    request.body.sdiag_protocol = static_cast<std::uint8_t>(protocol);
    request.body.id.idiag_sport = htons(port);
    request.body.idiag_states = mask_of(states, protocol);
    return ask(request, [&](nlmsghdr const& message) {
        auto const body = body_of<inet_diag_msg>(message);
        bool const is_one = body && (port == any_port || body->id.idiag_sport == htons(port));
        return !is_one || see(to_inet_socket(*body, message));
    });
}

Result<std::vector<InetSocket>> list_inet_sockets(int family, int protocol, std::uint16_t port,
                                                  InetStates states) {
    std::vector<InetSocket> sockets;
    auto done = see_inet_sockets(family, protocol, port, states, [&](InetSocket const& socket) {
        sockets.push_back(socket);
        return true;
    });
    if (!done)
        return std::move(done).error();
    return sockets;
}

Result<std::vector<InetSocket>> list_handshakes(std::uint16_t port) {
    auto all = list_inet_sockets(AF_INET, IPPROTO_TCP, port, InetStates::Handshakes);
    if (!all)
        return all;
    auto const v6 = list_inet_sockets(AF_INET6, IPPROTO_TCP, port, InetStates::Handshakes);
    if (!v6)
        return v6;
    all->insert(all->end(), v6->begin(), v6->end());
    return all;
}

Result<std::vector<std::uint32_t>> find_by_hash(KernelAddress const& server, KernelAddress const& client,
                                                std::span<std::uint16_t const> ports) {
    ensure(ports.size() <= most_lookups, "a netlink socket's buffer takes the answers");
    auto request = make_request<inet_diag_req_v2>(0);
    request.body.sdiag_family = static_cast<std::uint8_t>(server.family());
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.idiag_states = every_state;
    request.body.id.idiag_cookie[0] = request.body.id.idiag_cookie[1] =
        static_cast<std::uint32_t>(INET_DIAG_NOCOOKIE);
    copy_host(server, request.body.id.idiag_src);
    copy_host(client, request.body.id.idiag_dst);
    request.body.id.idiag_sport = htons(port_of(server));
    std::vector<Request<inet_diag_req_v2>> requests;
    for (std::uint16_t const port : ports) {
        request.body.id.idiag_dport = htons(port);
        requests.push_back(request);
    }
    UniqueFd const netlink{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)};
    if (!netlink.is_open() || ::send(netlink.raw(), requests.data(), requests.size() * sizeof request, 0) < 0)
        return system_error(errno, "ask the kernel for its list of sockets");
    std::vector<std::uint32_t> inodes;
    for (std::size_t i = 0; i < ports.size(); ++i) {
        std::uint32_t inode = 0;
        auto const done = receive(netlink, [&](nlmsghdr const& message) {
            if (auto const body = body_of<inet_diag_msg>(message))
                inode = body->idiag_inode;
            return true;
        });
        if (!done && done.error().code != ENOENT)
            return done.error();
        inodes.push_back(inode);
    }
    return inodes;
}

Outcome list_unix_sockets(std::function<void(UnixSocket const&)> const& see) {
    auto request = make_request<unix_diag_req>(NLM_F_DUMP);
    request.body.sdiag_family = AF_UNIX;
    request.body.udiag_states = state_listen | state_close;
    request.body.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS;
    return ask_for_unix(request, to_the_end(see));
}

Outcome list_unix_queues(std::function<void(UnixSocket const&)> const& see) {
    auto request = make_request<unix_diag_req>(NLM_F_DUMP);
    request.body.sdiag_family = AF_UNIX;
    request.body.udiag_states = state_listen;
    request.body.udiag_show = UDIAG_SHOW_RQLEN;
    return ask_for_unix(request, to_the_end(see));
}

Outcome see_unix_connections(std::function<bool(UnixSocket const&)> const& see) {
    auto request = make_request<unix_diag_req>(NLM_F_DUMP);
    request.body.sdiag_family = AF_UNIX;
    request.body.udiag_states = state_established;
    request.body.udiag_show = UDIAG_SHOW_NAME;
    return ask_for_unix(request, see);
}

Result<UnixSocket> find_unix_socket(std::uint32_t inode) {
    auto request = make_request<unix_diag_req>(0);
    request.body.sdiag_family = AF_UNIX;
    request.body.udiag_states = every_state;
    request.body.udiag_ino = inode;
    request.body.udiag_show = UDIAG_SHOW_RQLEN;
    request.body.udiag_cookie[0] = request.body.udiag_cookie[1] =
        static_cast<std::uint32_t>(INET_DIAG_NOCOOKIE);
    std::optional<UnixSocket> found;
    auto done = ask_for_unix(request, [&](UnixSocket const& socket) {
        found = socket;
        return true;
    });
    if (!done)
        return std::move(done).error();
    if (!found)
        return system_error(ENOENT, "find a unix socket in the kernel's list");
    return *std::move(found);
}

bool is_bound_to(UnixSocket const& socket, dev_t device, ino_t inode) {
    // The kernel's own dev_t: MKDEV of include/linux/kdev_t.h.
    auto const kernel_device =
        static_cast<std::uint32_t>(::gnu_dev_major(device) << 20 | ::gnu_dev_minor(device));
    return socket.node != 0 && socket.node == static_cast<std::uint32_t>(inode) &&
           socket.device == kernel_device;
}

bool is_node_bound(dev_t device, ino_t inode) {
    bool found = false;
    auto const done = list_unix_sockets(
        [&](UnixSocket const& socket) { found = found || is_bound_to(socket, device, inode); });
    return done && found;
}

} // namespace holdfast
