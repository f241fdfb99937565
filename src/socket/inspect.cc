// SPDX-License-Identifier: Apache-2.0
#include "socket/inspect.h"

#include "base/proc_file.h"
#include "base/text.h"
#include "socket/sock_diag.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace holdfast {

namespace {

using MemoryCounters = std::array<std::uint32_t, SK_MEMINFO_VARS>;

Result<MemoryCounters> memory_counters(FdRef socket) {
    MemoryCounters counters{};
    socklen_t length = sizeof counters;
    // SO_MEMINFO: Linux 4.12.
    if (::getsockopt(socket.raw(), SOL_SOCKET, SO_MEMINFO, counters.data(), &length) < 0)
        return system_error(errno, "read the counters of a socket");
    return counters;
}

Result<QueueState> inspect_tcp(FdRef listener) {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (::getsockopt(listener.raw(), IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return system_error(errno, "read the accept queue of a listener");
    if (info.tcpi_state != TCP_LISTEN)
        return system_error(EINVAL, "read the accept queue of a socket that does not listen");
    QueueState state;
    // For a listening socket these two hold its queue and its backlog: tcp_get_info() of the kernel.
    state.waiting = info.tcpi_unacked;
    state.limit = info.tcpi_sacked;
    if (auto const counters = memory_counters(listener))
        state.drops = (*counters)[SK_MEMINFO_DROPS];
    return state;
}

Result<QueueState> inspect_udp(FdRef socket) {
    auto const counters = memory_counters(socket);
    if (!counters)
        return counters.error();
    QueueState state;
    state.waiting = (*counters)[SK_MEMINFO_RMEM_ALLOC];
    state.limit = (*counters)[SK_MEMINFO_RCVBUF];
    state.drops = (*counters)[SK_MEMINFO_DROPS];
    return state;
}

Result<QueueState> inspect_unix(FdRef listener) {
    struct stat status {};
    if (::fstat(listener.raw(), &status) < 0)
        return system_error(errno, "read the inode of a listener");
    auto const socket = find_unix_socket(static_cast<std::uint32_t>(status.st_ino));
    if (!socket)
        return socket.error();
    QueueState state;
    state.waiting = socket->queue;
    state.limit = socket->limit;
    return state;
}

struct NetCounterRow {
    std::string_view name;
    std::uint64_t NetCounters::*counter;
};

constexpr std::array net_counter_rows{
    NetCounterRow{"ListenOverflows", &NetCounters::listen_overflows},
    NetCounterRow{"ListenDrops", &NetCounters::listen_drops},
    NetCounterRow{"TCPAbortOnClose", &NetCounters::abort_on_close},
    NetCounterRow{"TCPMigrateReqSuccess", &NetCounters::migrated},
    NetCounterRow{"TCPMigrateReqFailure", &NetCounters::migrate_failed},
    NetCounterRow{"TCPReqQFullDrop", &NetCounters::syn_retransmits},
    NetCounterRow{"TCPReqQFullDoCookies", &NetCounters::syn_retransmits},
};

void count(NetCounters& counters, std::string_view name, std::string_view value) {
    for (auto const& row : net_counter_rows) {
        if (row.name != name)
            continue;
        std::uint64_t number = 0;
        std::from_chars(value.data(), value.data() + value.size(), number);
        counters.*row.counter += number;
    }
}

} // namespace

Result<QueueState> inspect_queue(FdRef listener, Transport transport) {
    switch (transport) {
    case Transport::Tcp:
        return inspect_tcp(listener);
    case Transport::Udp:
        return inspect_udp(listener);
    case Transport::UnixStream:
        return inspect_unix(listener);
    case Transport::Inherited: // what it is bound to is what counts
        break;
    }
    return plain_error("a transport without a queue");
}

Result<NetCounters> parse_net_counters(std::string_view netstat) {
    // Pairs of lines, the names and then the values, each led by the same word: "TcpExt: SyncookiesSent …".
    auto const lines = split(netstat, '\n');
    for (std::size_t i = 0; i + 1 < lines.size(); i += 2) {
        auto const names = split(lines[i], ' ');
        auto const values = split(lines[i + 1], ' ');
        if (names.front() != "TcpExt:" || values.front() != "TcpExt:")
            continue;
        NetCounters counters;
        for (std::size_t column = 1; column < std::min(names.size(), values.size()); ++column)
            count(counters, names[column], values[column]);
        return counters;
    }
    return plain_error("/proc/net/netstat has no TcpExt counters");
}

Result<NetCounters> read_net_counters() {
    auto const text = read_proc_file("/proc/net/netstat");
    if (!text)
        return system_error(errno, "read /proc/net/netstat");
    return parse_net_counters(*text);
}

} // namespace holdfast
