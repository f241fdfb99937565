// SPDX-License-Identifier: Apache-2.0
// The kernel's list of sockets (sock_diag(7)) of this network namespace. Needs no right; the kernel answers a
// request while it is sent and read, so it never waits. Used within this folder.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "socket/kernel_address.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <sys/types.h>

namespace holdfast {

/// One TCP or UDP socket of a list.
struct InetSocket {
    int family = 0;
    std::uint16_t port = 0;
    in6_addr host{}; ///< an IPv4 address in the form ::ffff:a.b.c.d
    bool is_v6_only = false;
    bool is_listening = false; ///< tcp; another one that is bound may be listed beside those that listen
    std::uint32_t inode = 0;   ///< 0 for a handshake, which is no socket of its own yet
    uid_t uid = 0;
    std::uint64_t cookie = 0; ///< of this socket alone, as long as the system is up; SO_COOKIE
};

/// Handshakes: a client's SYN was answered and its connection is in no accept queue yet (SYN_RECV and, since
/// Linux 4.4, NEW_SYN_RECV). Connections: ESTABLISHED, and CLOSE_WAIT: the other side has said all it has to
/// say, and waits for an answer.
enum class InetStates { Listening, Handshakes, Connections, Any };

inline constexpr std::uint16_t any_port = 0;
/// The sockets of `protocol` (IPPROTO_TCP, IPPROTO_UDP) and `family` on `port`. The kernel walks over all it
/// has for this, whatever the port.
[[nodiscard]] Result<std::vector<InetSocket>> list_inet_sockets(int family, int protocol, std::uint16_t port,
                                                                InetStates states);
/// The same, one by one, until `see` says that it has seen enough.
[[nodiscard]] Outcome see_inet_sockets(int family, int protocol, std::uint16_t port, InetStates states,
                                       std::function<bool(InetSocket const&)> const& see);

/// TCP handshakes under way on `port`, of both families.
[[nodiscard]] Result<std::vector<InetSocket>> list_handshakes(std::uint16_t port);

/// For each of `ports` (at most `most_lookups`) the inode of the listener that would get a connection from
/// that port of `client` if there were no steering program: of a SO_REUSEPORT group the member that the hash
/// of the two addresses points at. 0 where nobody listens. `server` carries a port; both are of one family.
/// TCP only (what the kernel answers for UDP is something else).
[[nodiscard]] Result<std::vector<std::uint32_t>>
find_by_hash(KernelAddress const& server, KernelAddress const& client, std::span<std::uint16_t const> ports);
/// One system call asks for so many; the answers of each have to fit into a netlink socket's buffer.
inline constexpr std::size_t most_lookups = 64;

/// One unix socket of a list.
struct UnixSocket {
    std::string name;         ///< as bound; an abstract one begins with NUL
    std::uint32_t device = 0; ///< of its node, in the kernel's own form: 12 bits major, 20 bits minor
    std::uint32_t node = 0;   ///< the lower 32 bits of the node's inode number
    std::uint32_t inode = 0;  ///< of the socket, as fstat(2) has it
    std::uint32_t queue = 0;  ///< of a listening one: connections waiting
    std::uint32_t limit = 0;  ///< of a listening one: its backlog
};

/// Calls `see` for every unix socket that is not one end of a connection.
[[nodiscard]] Outcome list_unix_sockets(std::function<void(UnixSocket const&)> const& see);
/// Calls `see` for every unix socket that listens, with its inode and its queue alone.
[[nodiscard]] Outcome list_unix_queues(std::function<void(UnixSocket const&)> const& see);
/// Calls `see` for both ends of every connection of stream sockets, with its inode and its name alone, until
/// it says that it has seen enough. The end that was accepted has its listener's name.
[[nodiscard]] Outcome see_unix_connections(std::function<bool(UnixSocket const&)> const& see);
/// The unix socket with this inode number. The kernel walks over all it has for this.
[[nodiscard]] Result<UnixSocket> find_unix_socket(std::uint32_t inode);

/// Is `socket` bound to this node of the file system?
[[nodiscard]] bool is_bound_to(UnixSocket const& socket, dev_t device, ino_t inode);
/// Is any unix socket of this network namespace bound to this node?
[[nodiscard]] bool is_node_bound(dev_t device, ino_t inode);

} // namespace holdfast
