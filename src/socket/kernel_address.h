// SPDX-License-Identifier: Apache-2.0
// A ListenAddress in the form that bind(2) and connect(2) take. Numeric only; the one question it asks the
// system is the index of a zone's interface. Used within this folder.
#pragma once

#include "base/result.h"
#include "unit/address.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace holdfast {

struct KernelAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    [[nodiscard]] int family() const { return storage.ss_family; }
    [[nodiscard]] sockaddr const* get() const { return reinterpret_cast<sockaddr const*>(&storage); }
};

/// The longest unix path (and abstract name) that sun_path holds: unix(7).
inline constexpr std::size_t longest_unix_path = 107;

/// `address` for the kernel. "Every address of both families" (an empty host) becomes [::]. Errors: EINVAL
/// (not numeric), ENODEV (no interface of the zone's name now), ENAMETOOLONG (unix).
[[nodiscard]] Result<KernelAddress> to_kernel(ListenAddress const& address);

/// 0.0.0.0 with the port of `address`: what an empty host falls back to where there is no IPv6.
[[nodiscard]] KernelAddress any_ipv4(std::uint16_t port);

/// The port in `address`; 0 for a family without ports.
[[nodiscard]] std::uint16_t port_of(KernelAddress const& address);

/// The host of `address`, an IPv4 one in the form ::ffff:a.b.c.d: as InetSocket has it.
[[nodiscard]] in6_addr mapped_host(KernelAddress const& address);

/// Is it ::ffff:a.b.c.d, which IPV6_V6ONLY would refuse?
[[nodiscard]] bool is_mapped_ipv4(KernelAddress const& address);
/// Is it 0.0.0.0 or [::]?
[[nodiscard]] bool is_any(KernelAddress const& address);

} // namespace holdfast
