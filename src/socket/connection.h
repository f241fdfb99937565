// SPDX-License-Identifier: Apache-2.0
// One connection, accepted, and who is at its other end: what of that is counted, what it is called, and
// what its program is told. For units with `accept = true`; the only place where holdfast accepts for them.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "base/source.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast {

struct RemotePeer {
    enum class Kind : std::uint8_t { Unknown, IPv4, IPv6, Unix };
    Kind kind = Kind::Unknown;
    std::array<std::uint8_t, 16> address{}; ///< of IPv4 the first four; an IPv4-mapped one is IPv4
    std::uint16_t port = 0;
    /// Unix: as the kernel recorded them at connect(2), SO_PEERCRED of unix(7).
    uid_t uid = static_cast<uid_t>(-1);
    gid_t gid = static_cast<gid_t>(-1);
    pid_t pid = 0;           ///< may be gone; 0: of another pid namespace
    std::string unix_name{}; ///< that the peer has bound: a path, or "@name"; most have none
    bool operator==(RemotePeer const&) const = default;
};

struct Connection {
    UniqueFd fd;
    RemotePeer peer;
};

/// Does not wait; the listener must be non-blocking. The connection is close-on-exec, and blocks unless
/// `non_blocking`. Errors: those of accept4(2), EAGAIN when nobody is there; ECONNABORTED for one who was next
/// and is lost: by a failure of his network, or since he has reset his connection (of a flood most have).
[[nodiscard]] Result<Connection> accept_connection(FdRef listener, bool non_blocking);

/// Resets it. The peer hears at once that it was refused, whatever it has sent (an end without an answer
/// could pass for an empty one), and nothing of it stays in the kernel, as TIME_WAIT would of an orderly end.
/// A unix peer has ECONNRESET if it has sent something, else the end of file.
void reset_connection(Connection connection);

/// False for who cannot be accepted from without waiting, as is said: its flag is what all share who hold it.
[[nodiscard]] Outcome make_non_blocking(FdRef listener, bool is_non_blocking);

[[nodiscard]] Source source_of(RemotePeer const& peer);
/// "10.0.0.1:5123", "[2001:db8::1]:5123", "uid1000.pid5123".
[[nodiscard]] std::string to_string(RemotePeer const& peer);
/// The address alone, as REMOTE_ADDR has it; empty where there is none.
[[nodiscard]] std::string address_text(RemotePeer const& peer);
/// REMOTE_ADDR and REMOTE_PORT as in systemd.exec(5), REMOTE_UID, REMOTE_GID and REMOTE_PID of a unix peer:
/// "NAME=VALUE" each.
[[nodiscard]] std::vector<std::string> variables_of(RemotePeer const& peer);

/// A word of at most 37 characters that says all of it but its name, and back.
[[nodiscard]] std::string to_word(RemotePeer const& peer);
[[nodiscard]] std::optional<RemotePeer> peer_of_word(std::string_view word);

} // namespace holdfast
