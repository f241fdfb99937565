// SPDX-License-Identifier: Apache-2.0
#include "socket/handshakes.h"

#include "socket/kernel_address.h"

#include <cstring>

#include <sys/socket.h>

namespace holdfast {

namespace {

/// The host of `address` in the form of InetSocket.
in6_addr mapped_host(KernelAddress const& address) {
    in6_addr host{};
    if (address.family() == AF_INET) {
        sockaddr_in in;
        std::memcpy(&in, &address.storage, sizeof in);
        host.s6_addr[10] = host.s6_addr[11] = 0xff;
        std::memcpy(&host.s6_addr[12], &in.sin_addr, sizeof in.sin_addr);
    } else {
        sockaddr_in6 in;
        std::memcpy(&in, &address.storage, sizeof in);
        host = in.sin6_addr;
    }
    return host;
}

} // namespace

Result<std::vector<InetSocket>> list_handshakes_at(ListenAddress const& bound) {
    auto const where = to_kernel(bound);
    if (!where)
        return where.error();
    in6_addr const own = mapped_host(*where);
    auto handshakes = list_handshakes(bound.port);
    if (handshakes)
        // The request of an IPv4 client to an IPv6 listener shows no address.
        std::erase_if(*handshakes, [&](InetSocket const& one) {
            return !is_any(*where) && !IN6_IS_ADDR_UNSPECIFIED(&one.host) &&
                   !IN6_ARE_ADDR_EQUAL(&one.host, &own);
        });
    return handshakes;
}

} // namespace holdfast
