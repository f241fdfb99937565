// SPDX-License-Identifier: Apache-2.0
#include "socket/handshakes.h"

#include "socket/kernel_address.h"

namespace holdfast {

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
