// SPDX-License-Identifier: Apache-2.0
// What the kernel says of a listener's queue, and who else holds an address. Looks only.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "unit/address.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast {

struct QueueState {
    std::uint32_t waiting = 0; ///< connections not yet accepted (tcp, unix); bytes not yet read (udp)
    std::uint32_t limit =
        0; ///< connections (tcp: backlog in force; unix likewise); bytes of receive buffer (udp)
    std::optional<std::uint64_t> drops; ///< of this socket since it was bound (SO_MEMINFO); none for unix
};

/// tcp: TCP_INFO of the listening socket (tcpi_unacked, tcpi_sacked; Linux 2.6.26); unix: sock_diag
/// (UNIX_DIAG_SHOW_RQLEN); udp: SIOCINQ-like memory counters of SO_MEMINFO. Never blocks.
[[nodiscard]] Result<QueueState> inspect_queue(FdRef listener, Transport transport);

struct SocketHolder {
    pid_t pid = 0; ///< 0: some process we may not look into
    uid_t uid = 0; ///< who made the socket (tcp, udp)
    std::string command;
};

/// Who listens on `address` (any address that collides with it counts). Reads sock_diag and then /proc; may
/// be empty. Slow (walks /proc): call it once for a failure that is shown to a person, never in a loop.
[[nodiscard]] std::vector<SocketHolder> find_holders(ListenAddress const& address);

/// Counters of this network namespace that tell of lost connections (/proc/net/netstat, TcpExt). Upper
/// bounds: other sockets of the namespace count too.
struct NetCounters {
    std::uint64_t listen_overflows = 0;
    std::uint64_t listen_drops = 0;
    std::uint64_t abort_on_close = 0;
    std::uint64_t migrated = 0;        ///< TCPMigrateReqSuccess (Linux 5.14): moved to another shard
    std::uint64_t migrate_failed = 0;  ///< TCPMigrateReqFailure
    std::uint64_t syn_retransmits = 0; ///< TCPReqQFullDrop + TCPReqQFullDoCookies where present
};
[[nodiscard]] Result<NetCounters> read_net_counters();
/// The same from the text of that file; a counter that is not in it stays 0.
[[nodiscard]] Result<NetCounters> parse_net_counters(std::string_view netstat);

} // namespace holdfast
