// SPDX-License-Identifier: Apache-2.0
#include "socket/kernel_address.h"

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace holdfast {

namespace {

template <class T>
KernelAddress wrap(T const& address, std::size_t length = sizeof(T)) {
    KernelAddress wrapped;
    std::memcpy(&wrapped.storage, &address, sizeof address);
    wrapped.length = static_cast<socklen_t>(length);
    return wrapped;
}

template <class T>
T unwrap(KernelAddress const& wrapped) {
    T address;
    std::memcpy(&address, &wrapped.storage, sizeof address);
    return address;
}

Result<KernelAddress> unix_address(ListenAddress const& address) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    // An abstract name is not ended by a NUL: its length is the address's, see unix(7).
    std::string_view const name =
        address.is_abstract() ? std::string_view{address.host}.substr(1) : std::string_view{address.host};
    if (name.size() > longest_unix_path)
        return system_error(ENAMETOOLONG, "bind " + to_string(address), {},
                            "it has " + std::to_string(name.size()) +
                                " bytes, a unix socket's name may have " + std::to_string(longest_unix_path) +
                                ": choose a shorter one");
    if (name.empty() || name.find('\0') != std::string_view::npos)
        return system_error(EINVAL, "bind " + to_string(address), {},
                            "a unix socket needs a name without NUL");
    std::size_t const offset = address.is_abstract() ? 1 : 0;
    std::memcpy(un.sun_path + offset, name.data(), name.size());
    std::size_t const tail = address.is_abstract() ? 0 : 1;
    return wrap(un, offsetof(sockaddr_un, sun_path) + offset + name.size() + tail);
}

/// The interface index of a zone, by name or number; 0 where there is none.
unsigned zone_index(std::string const& zone) {
    unsigned number = 0;
    auto const [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), number);
    if (error == std::errc{} && end == zone.data() + zone.size())
        return number;
    return ::if_nametoindex(zone.c_str());
}

Result<KernelAddress> ipv6_address(ListenAddress const& address) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(address.port);
    auto const percent = address.host.find('%');
    if (percent != std::string::npos) {
        std::string const zone = address.host.substr(percent + 1);
        in.sin6_scope_id = zone_index(zone);
        if (in.sin6_scope_id == 0)
            return system_error(ENODEV, "bind " + to_string(address), {},
                                "there is no network interface \"" + zone + "\" now; it is tried again");
    }
    if (::inet_pton(AF_INET6, address.host.substr(0, percent).c_str(), &in.sin6_addr) != 1)
        return system_error(EINVAL, "bind " + to_string(address), {}, "addresses are numeric");
    return wrap(in);
}

} // namespace

Result<KernelAddress> to_kernel(ListenAddress const& address) {
    if (address.is_unix())
        return unix_address(address);
    if (address.host.empty()) {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(address.port);
        return wrap(in);
    }
    if (address.is_ipv6())
        return ipv6_address(address);
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    if (::inet_pton(AF_INET, address.host.c_str(), &in.sin_addr) != 1)
        return system_error(EINVAL, "bind " + to_string(address), {}, "addresses are numeric");
    return wrap(in);
}

KernelAddress any_ipv4(std::uint16_t port) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    return wrap(in);
}

std::uint16_t port_of(KernelAddress const& address) {
    if (address.family() == AF_INET)
        return ntohs(unwrap<sockaddr_in>(address).sin_port);
    if (address.family() == AF_INET6)
        return ntohs(unwrap<sockaddr_in6>(address).sin6_port);
    return 0;
}

in6_addr mapped_host(KernelAddress const& address) {
    if (address.family() != AF_INET)
        return unwrap<sockaddr_in6>(address).sin6_addr;
    in6_addr host{};
    host.s6_addr[10] = host.s6_addr[11] = 0xff;
    in_addr const in = unwrap<sockaddr_in>(address).sin_addr;
    std::memcpy(&host.s6_addr[12], &in, sizeof in);
    return host;
}

bool is_mapped_ipv4(KernelAddress const& address) {
    if (address.family() != AF_INET6)
        return false;
    in6_addr const host = unwrap<sockaddr_in6>(address).sin6_addr;
    return IN6_IS_ADDR_V4MAPPED(&host);
}

bool is_any(KernelAddress const& address) {
    if (address.family() == AF_INET)
        return unwrap<sockaddr_in>(address).sin_addr.s_addr == INADDR_ANY;
    in6_addr const host = unwrap<sockaddr_in6>(address).sin6_addr;
    return address.family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&host);
}

} // namespace holdfast
