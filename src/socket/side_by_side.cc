// SPDX-License-Identifier: Apache-2.0
#include "socket/side_by_side.h"

#include "base/scope_exit.h"
#include "socket/kernel_address.h"

#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace holdfast {

namespace {

bool set(FdRef fd, int level, int option, int value) {
    return ::setsockopt(fd.raw(), level, option, &value, sizeof value) == 0;
}

int get(FdRef fd, int level, int option) {
    int value = 0;
    socklen_t length = sizeof value;
    return ::getsockopt(fd.raw(), level, option, &value, &length) == 0 ? value : 0;
}

/// Binding to an interface is for everybody, taking that back is not.
bool may_hide(ListenAddress const& address) {
    if (address.host.find('%') != std::string::npos)
        return false; // it is bound to its own interface
    UniqueFd const probe{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    return probe.is_open() && set(probe, SOL_SOCKET, SO_BINDTOIFINDEX, no_interface) &&
           set(probe, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
}

/// The kernel remembers for a TCP port that SO_REUSEPORT was agreed on, also when no socket has it any more:
/// another process of our user that sets it could then listen beside us. One more bind(2) without it makes
/// the kernel forget; only a socket under repair may do that here, so only root's. Nothing is lost where it
/// fails.
void let_nobody_join(Listener const& listener) {
    if (listener.wanted.transport != Transport::Tcp)
        return;
    KernelAddress bound;
    bound.length = sizeof bound.storage;
    if (::getsockname(listener.fd.raw(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) < 0)
        return;
    UniqueFd const probe{::socket(bound.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!probe.is_open() || !set(probe, IPPROTO_TCP, TCP_REPAIR, 1))
        return;
    if (bound.family() == AF_INET6)
        set(probe, IPPROTO_IPV6, IPV6_V6ONLY, get(listener.fd, IPPROTO_IPV6, IPV6_V6ONLY));
    set(probe, IPPROTO_IP, IP_FREEBIND, 1);
    (void)::bind(probe.raw(), bound.get(), bound.length);
}

} // namespace

Result<Listener> bind_beside(SocketSpec const& socket, ListenAddress const& address,
                             std::vector<FdRef> const& others, bool is_hidden) {
    ScopeExit const take_back{[&] {
        for (FdRef const other : others)
            set(other, SOL_SOCKET, SO_REUSEPORT, 0);
    }};
    for (FdRef const other : others)
        set(other, SOL_SOCKET, SO_REUSEPORT, 1);
    auto bound = bind_listener(socket, address, {true, is_hidden && may_hide(address)});
    if (bound)
        let_nobody_join(*bound);
    return bound;
}

Outcome reveal(Listener& listener) {
    if (listener.is_hidden && !set(listener.fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0))
        return system_error(errno, "open " + to_string(listener.bound()) + " to clients", listener.name);
    listener.is_hidden = false;
    return {};
}

Outcome divert(Listener const& listener) {
    if (!set(listener.fd, SOL_SOCKET, SO_BINDTOIFINDEX, no_interface))
        return system_error(errno, "divert the clients of " + to_string(listener.bound()), listener.name);
    return {};
}

} // namespace holdfast
