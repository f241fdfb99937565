// SPDX-License-Identifier: Apache-2.0
#include "socket/adoption.h"

#include "socket/kernel_address.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/un.h>

namespace holdfast {

namespace {

std::optional<int> option(FdRef fd, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    if (::getsockopt(fd.raw(), level, name, &value, &size) < 0)
        return std::nullopt;
    return value;
}

std::optional<Transport> transport_of(FdRef fd, int family) {
    auto const type = option(fd, SOL_SOCKET, SO_TYPE);
    if (family == AF_UNIX && type == SOCK_STREAM)
        return Transport::UnixStream;
    auto const protocol = option(fd, SOL_SOCKET, SO_PROTOCOL);
    if ((family == AF_INET || family == AF_INET6) && type == SOCK_STREAM && protocol == IPPROTO_TCP)
        return Transport::Tcp;
    if ((family == AF_INET || family == AF_INET6) && type == SOCK_DGRAM && protocol == IPPROTO_UDP)
        return Transport::Udp;
    return std::nullopt;
}

std::string unix_host(KernelAddress const& address) {
    sockaddr_un where{};
    std::memcpy(&where, &address.storage, address.length);
    auto const size = address.length - offsetof(sockaddr_un, sun_path);
    if (size > 0 && where.sun_path[0] == '\0')
        return "@" + std::string{where.sun_path + 1, size - 1};
    return std::string{where.sun_path, ::strnlen(where.sun_path, size)};
}

std::string ip_host(KernelAddress const& address) {
    char text[INET6_ADDRSTRLEN] = {};
    if (address.family() == AF_INET) {
        sockaddr_in in;
        std::memcpy(&in, &address.storage, sizeof in);
        return ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    }
    sockaddr_in6 in;
    std::memcpy(&in, &address.storage, sizeof in);
    std::string host = ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    char zone[IF_NAMESIZE] = {};
    if (in.sin6_scope_id != 0 && ::if_indextoname(in.sin6_scope_id, zone) != nullptr)
        host += std::string{"%"} + zone;
    return host;
}

bool is_same_host(std::string const& bound, std::string const& wanted) {
    return bound == wanted || (wanted.empty() && (bound == "::" || bound == "0.0.0.0"));
}

template <class Visit>
void each_wanted(std::vector<UnitSpecPtr> const& specs, Visit visit) {
    for (std::size_t unit = 0; unit < specs.size(); ++unit)
        for (auto const& socket : specs[unit]->sockets)
            for (auto const& address : socket.listen)
                visit(unit, socket, address);
}

} // namespace

std::optional<FoundSocket> look_at_socket(FdRef fd) {
    KernelAddress address;
    address.length = sizeof address.storage;
    if (::getsockname(fd.raw(), reinterpret_cast<sockaddr*>(&address.storage), &address.length) < 0)
        return std::nullopt;
    auto const transport = transport_of(fd, address.family());
    if (!transport)
        return std::nullopt;
    FoundSocket found;
    found.bound.transport = *transport;
    found.bound.port = port_of(address);
    found.bound.host = *transport == Transport::UnixStream ? unix_host(address) : ip_host(address);
    found.is_listening = option(fd, SOL_SOCKET, SO_ACCEPTCONN).value_or(0) != 0;
    found.is_reuse_port = option(fd, SOL_SOCKET, SO_REUSEPORT).value_or(0) != 0;
    if (found.bound.is_unix() ? found.bound.host.empty() : found.bound.port == 0)
        return std::nullopt;
    return found;
}

bool is_wanted_as(FoundSocket const& found, SocketSpec const& socket, ListenAddress const& address) {
    if (found.bound.transport != address.transport ||
        (address.transport != Transport::Udp && !found.is_listening))
        return false;
    if (address.is_unix())
        return found.bound.host == address.host;
    return is_same_host(found.bound.host, address.host) &&
           (address.port == 0 || found.bound.port == address.port) && !socket.reuse_port;
}

AdoptionPlan plan_adoption(std::vector<FoundSocket> const& found, std::vector<UnitSpecPtr> const& specs) {
    AdoptionPlan plan;
    std::vector<bool> is_taken(found.size(), false);
    auto const assign = [&](bool any_port) {
        each_wanted(specs, [&](std::size_t unit, SocketSpec const& socket, ListenAddress const& address) {
            if ((!address.is_unix() && address.port == 0) != any_port)
                return;
            for (std::size_t i = 0; i < found.size(); ++i)
                if (!is_taken[i] && is_wanted_as(found[i], socket, address)) {
                    is_taken[i] = true;
                    plan.adopt.push_back({i, unit, {socket.name, address}, socket.name});
                    return;
                }
            plan.bind.push_back({unit, {socket.name, address}});
        });
    };
    assign(false);
    assign(true);
    for (std::size_t i = 0; i < found.size(); ++i)
        if (!is_taken[i])
            plan.end.push_back(i);
    return plan;
}

} // namespace holdfast
