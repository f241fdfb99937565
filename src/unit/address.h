// SPDX-License-Identifier: Apache-2.0
// The `listen` strings of DESIGN §7, read and written. Pure text: no name resolution, no system call.
#pragma once

#include "base/enum_names.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

enum class Transport { Tcp, Udp, UnixStream, Inherited };
constexpr auto enum_table(Transport) {
    return std::array{EnumName{Transport::Tcp, "tcp"}, EnumName{Transport::Udp, "udp"},
                      EnumName{Transport::UnixStream, "unix"}, EnumName{Transport::Inherited, "inherit"}};
}

/// One address that a listener is bound to.
/// Tcp, Udp: `host` is a numeric IPv4 or IPv6 address in its shortest form (with "%zone" where given), or
/// empty for "every address of both families" (the form "80"). UnixStream: `host` is the path, or "@name" for
/// an abstract one. Inherited: `host` is the name of a socket that is passed to us, whatever it is bound to;
/// `port` 0 is the first of that name, 2 the second, and so on.
struct ListenAddress {
    Transport transport = Transport::Tcp;
    std::string host;
    std::uint16_t port = 0; ///< 0: the kernel chooses

    [[nodiscard]] bool is_inherited() const { return transport == Transport::Inherited; }
    [[nodiscard]] bool is_unix() const { return transport == Transport::UnixStream; }
    [[nodiscard]] bool is_abstract() const { return is_unix() && !host.empty() && host.front() == '@'; }
    [[nodiscard]] bool is_ipv6() const;
    bool operator==(ListenAddress const&) const = default;
};

/// Reads "80", "127.0.0.1:80", "[::]:443", "tcp://…", "udp://…", "unix:/path", "unix:@name", "inherit:NAME",
/// and
/// "/path" and "@name" as systemd.socket(5) has them. A form of DESIGN §7 that is not built yet is an error
/// that says "not supported yet"; a host name is an error that says addresses are numeric. Error::doing is
/// the sentence for the diagnostic; Error::advice the suggestion.
[[nodiscard]] Result<ListenAddress> parse_address(std::string_view text);

/// The canonical form, which parse_address reads back: "0.0.0.0:80", "[::1]:80", "80", "udp://[::]:53",
/// "unix:/run/a".
[[nodiscard]] std::string to_string(ListenAddress const& address);

} // namespace holdfast
