// SPDX-License-Identifier: Apache-2.0
// Who is counted as one where connections are counted by whom they come from (max_connections_per_source).
#pragma once

#include <cstdint>

namespace holdfast {

/// Of an IPv6 address the first 64 bits: whoever has one address there has all of them, so that a limit by
/// address would limit nobody (RFC 6177 gives a site no less than that).
struct Source {
    enum class Kind : std::uint8_t { Unknown, IPv4, IPv6Network, User };
    Kind kind = Kind::Unknown;
    std::uint64_t number = 0; ///< the address, the first half of it, or the user's number
    bool operator==(Source const&) const = default;
};

} // namespace holdfast
