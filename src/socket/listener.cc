// SPDX-License-Identifier: Apache-2.0
#include "socket/listener.h"

#include "base/proc_file.h"
#include "base/scope_exit.h"
#include "socket/bind_error.h"
#include "socket/kernel_address.h"
#include "socket/path_node.h"
#include "socket/side_by_side.h"

#include <algorithm>
#include <cerrno>
#include <climits>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {

namespace {

/// One listener while it is made: what is asked for, and how a failing step is told.
struct Making {
    SocketSpec const& socket;
    ListenAddress const& address;
    BindSide side{};

    [[nodiscard]] Error failed(std::string_view step, int code = errno) const {
        return explain_bind_failure(code, step, socket, address);
    }
    [[nodiscard]] bool is_stream() const { return address.transport != Transport::Udp; }
};

Outcome switch_on(Making const& making, FdRef fd, int level, int option, int value, std::string_view step) {
    if (::setsockopt(fd.raw(), level, option, &value, sizeof value) < 0)
        return making.failed(step);
    return {};
}

Result<UniqueFd> create(Making const& making, int family) {
    int const type = making.is_stream() ? SOCK_STREAM : SOCK_DGRAM;
    UniqueFd fd{::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd.is_open())
        return making.failed("create a socket for");
    return fd;
}

Outcome allow_reuse(Making const& making, FdRef fd) {
    // Not for UDP: there it would let two processes share the port, and steal each other's datagrams.
    if (making.address.transport != Transport::Tcp)
        return {};
    return switch_on(making, fd, SOL_SOCKET, SO_REUSEADDR, 1, "set SO_REUSEADDR on");
}

/// The options that have to be set before bind(2).
Outcome set_inet_options(Making const& making, FdRef fd, KernelAddress const& where) {
    if (making.address.port != 0)
        if (auto done = allow_reuse(making, fd); !done)
            return done;
    if (where.family() == AF_INET6) {
        // An empty host means both families, whatever net.ipv6.bindv6only says; "[::]" means what that says.
        bool const is_both = making.address.host.empty();
        if (is_both || (!is_any(where) && !is_mapped_ipv4(where)))
            if (auto done =
                    switch_on(making, fd, IPPROTO_IPV6, IPV6_V6ONLY, is_both ? 0 : 1, "set IPV6_V6ONLY on");
                !done)
                return done;
    }
    if (making.side.is_beside)
        if (auto done = switch_on(making, fd, SOL_SOCKET, SO_REUSEPORT, 1, "set SO_REUSEPORT on"); !done)
            return done;
    if (making.side.is_hidden)
        if (auto done = switch_on(making, fd, SOL_SOCKET, SO_BINDTOIFINDEX, no_interface, "hide"); !done)
            return done;
    if (!making.socket.free_bind)
        return {};
    if (where.family() == AF_INET6)
        return switch_on(making, fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "set IPV6_FREEBIND on");
    return switch_on(making, fd, IPPROTO_IP, IP_FREEBIND, 1, "set IP_FREEBIND on");
}

/// The last steps of every listener: listen(2), and the O_NONBLOCK that the workers are to see.
Outcome open_for_traffic(Making const& making, FdRef fd) {
    if (making.is_stream() && ::listen(fd.raw(), making.socket.backlog) < 0)
        return making.failed("listen on");
    // F_SETFL without F_GETFL: O_NONBLOCK is the only status flag a socket of ours has.
    if (making.side.is_beside)
        if (auto done = switch_on(making, fd, SOL_SOCKET, SO_REUSEPORT, 0, "clear SO_REUSEPORT of"); !done)
            return done;
    if (!making.socket.non_blocking && ::fcntl(fd.raw(), F_SETFL, 0) < 0)
        return making.failed("clear O_NONBLOCK of");
    return {};
}

Result<std::uint16_t> chosen_port(Making const& making, FdRef fd) {
    KernelAddress bound;
    bound.length = sizeof bound.storage;
    if (::getsockname(fd.raw(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) < 0)
        return making.failed("read the port of");
    return port_of(bound);
}

Listener make_listener(Making const& making) {
    Listener listener;
    listener.name = making.socket.name;
    listener.wanted = making.address;
    listener.port = making.address.port;
    listener.bound_with = {making.socket.free_bind, making.socket.non_blocking};
    listener.is_hidden = making.side.is_hidden;
    return listener;
}

Result<Listener> bind_inet(Making const& making, KernelAddress const& where) {
    auto fd = create(making, where.family());
    if (!fd)
        return std::move(fd).error();
    if (auto done = set_inet_options(making, *fd, where); !done)
        return std::move(done).error();
    if (::bind(fd->raw(), where.get(), where.length) < 0)
        return making.failed("bind");
    Listener listener = make_listener(making);
    listener.fd = *std::move(fd);
    if (listener.port == 0 && !making.address.is_unix()) {
        auto const port = chosen_port(making, listener.fd);
        if (!port)
            return port.error();
        listener.port = *port;
        // Only now: with it the kernel searches half of the ports first, which took 400 us instead of 6 where
        // 10,000 were taken. Connections inherit it, so that the port can be bound again by its number.
        if (auto done = allow_reuse(making, listener.fd); !done)
            return std::move(done).error();
    }
    if (auto done = open_for_traffic(making, listener.fd); !done)
        return std::move(done).error();
    return listener;
}

/// bind(2) on a path, where a stale socket may be in the way. Another supervisor may be doing the same, so a
/// way that was free may be taken again; not for ever.
Outcome bind_path(Making const& making, FdRef fd, KernelAddress const& where) {
    for (int tries = 0; tries < 3; ++tries) {
        if (::bind(fd.raw(), where.get(), where.length) == 0)
            return {};
        if (errno != EADDRINUSE)
            return making.failed("bind");
        if (auto done = remove_stale(making.address.host); !done)
            return complete_bind_error(std::move(done).error(), making.socket, making.address);
    }
    return making.failed("bind", EADDRINUSE);
}

/// The socket is bound to the very path that the unit names, not renamed into place: its name, which
/// getsockname(2), every client's getpeername(2) and ss(8) show, is the one given to bind(2), for ever; and
/// sd_is_socket_unix(3), lighttpd and nginx compare it with their configuration. Nothing half-done can be
/// used meanwhile: until listen(2), which comes last, connect(2) is refused as it was by the stale one.
Result<Listener> bind_unix_path(Making const& making, KernelAddress const& where) {
    auto fd = create(making, AF_UNIX);
    if (!fd)
        return std::move(fd).error();
    // The node is made with these bits less the umask, so never with more than is wanted.
    if (::fchmod(fd->raw(), making.socket.socket_mode) < 0)
        return making.failed("set the mode of");
    if (auto done = bind_path(making, *fd, where); !done)
        return std::move(done).error();

    std::string const& path = making.address.host;
    auto const node = look_at_new(path);
    if (!node)
        return complete_bind_error(node.error(), making.socket, making.address);
    if (!*node)
        return making.failed("find the socket just made for", ENOENT);
    ScopeExit remove_again{[&] { unlink_if_same(path, (*node)->device, (*node)->inode); }};
    if (((*node)->mode & 07777) != making.socket.socket_mode)
        if (int const code = set_mode(path, making.socket.socket_mode); code != 0)
            return making.failed("set the mode of", code);
    if (auto done = open_for_traffic(making, *fd); !done)
        return std::move(done).error();

    remove_again.dismiss();
    Listener listener = make_listener(making);
    listener.fd = *std::move(fd);
    listener.path_device = (*node)->device;
    listener.path_inode = (*node)->inode;
    return listener;
}

bool means_no_ipv6(int code) {
    return code == EAFNOSUPPORT || code == EADDRNOTAVAIL;
}

} // namespace

ListenAddress Listener::bound() const {
    ListenAddress address = wanted;
    address.port = port;
    return address;
}

Result<Listener> bind_listener(SocketSpec const& socket, ListenAddress const& address, BindSide side) {
    auto const where = to_kernel(address);
    if (!where)
        return complete_bind_error(where.error(), socket, address);
    Making const making{socket, address, side};
    if (address.is_unix() && !address.is_abstract())
        return bind_unix_path(making, *where);
    auto listener = bind_inet(making, *where);
    bool const may_fall_back = address.host.empty() && !address.is_unix();
    if (!listener && may_fall_back && means_no_ipv6(listener.error().code))
        return bind_inet(making, any_ipv4(address.port));
    return listener;
}

void give_up(Listener&& listener) {
    Listener const gone = std::move(listener);
    // Before the close: as long as our socket holds the node, its inode number can belong to no other.
    if (gone.path_inode != 0)
        unlink_if_same(gone.wanted.host, gone.path_device, gone.path_inode);
}

Outcome change_in_place(Listener& listener, SocketSpec const& socket) {
    Making const making{socket, listener.wanted, {}};
    if (making.is_stream() && ::listen(listener.fd.raw(), socket.backlog) < 0)
        return making.failed("change the backlog of");
    if (listener.path_inode != 0) {
        std::string const& path = listener.wanted.host;
        auto const node = look_at(path);
        if (!node)
            return complete_bind_error(node.error(), socket, listener.wanted);
        if (!*node || (*node)->device != listener.path_device || (*node)->inode != listener.path_inode)
            return system_error(
                ENOENT, "set the mode of " + to_string(listener.wanted), socket.name,
                "its path was removed or replaced by somebody else; no client can find the socket");
        if (((*node)->mode & 07777) != socket.socket_mode)
            if (int const code = set_mode(path, socket.socket_mode); code != 0)
                return making.failed("set the mode of", code);
    }
    listener.name = socket.name;
    return {};
}

std::optional<int> somaxconn() {
    auto const number = read_proc_number("/proc/sys/net/core/somaxconn");
    if (!number)
        return std::nullopt;
    return static_cast<int>(std::min<std::uint64_t>(*number, INT_MAX));
}

int effective_backlog(int wanted) {
    // Reading the setting takes as long as binding a listener, and there may be ten thousand of them.
    static std::optional<MonotonicTime> read_at;
    static std::optional<int> cap;
    auto const now = MonotonicTime::now();
    if (!read_at || now >= *read_at + std::chrono::seconds{1}) {
        cap = somaxconn();
        read_at = now;
    }
    // listen(2) reads a negative number as a very large one.
    int const asked = wanted < 0 ? INT_MAX : wanted;
    return std::min(asked, cap.value_or(asked));
}

} // namespace holdfast
