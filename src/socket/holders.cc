// SPDX-License-Identifier: Apache-2.0
// find_holders() of socket/inspect.h: an address → sockets of the kernel's list → processes of /proc.
#include "base/proc_file.h"
#include "base/time.h"
#include "socket/inspect.h"
#include "socket/kernel_address.h"
#include "socket/path_node.h"
#include "socket/process_sockets.h"
#include "socket/sock_diag.h"

#include <algorithm>
#include <cstring>

#include <unistd.h>

namespace holdfast {

namespace {

/// The walk through /proc ends after this much of our own time (where others have the processor, little of it
/// says nothing of how far we came), or when so many holders are known.
constexpr Duration longest_walk = std::chrono::milliseconds{100};
constexpr std::size_t most_holders = 8;

struct HeldSocket {
    std::uint32_t inode = 0;
    uid_t uid = 0;
    bool is_found = false;
};

bool is_any(in6_addr const& host) {
    return IN6_IS_ADDR_UNSPECIFIED(&host) ||
           (IN6_IS_ADDR_V4MAPPED(&host) &&
            std::all_of(host.s6_addr + 12, host.s6_addr + 16, [](auto byte) { return byte == 0; }));
}

/// The address asked for in the form of InetSocket.
InetSocket as_socket(ListenAddress const& address, KernelAddress const& where) {
    InetSocket asked;
    asked.family = where.family();
    asked.host = mapped_host(where);
    if (where.family() == AF_INET6)
        asked.is_v6_only = !address.host.empty() && !is_any(asked.host) && !IN6_IS_ADDR_V4MAPPED(&asked.host);
    return asked;
}

/// Does the wildcard `any` cover `other`?
bool covers(InetSocket const& any, InetSocket const& other) {
    if (!is_any(any.host))
        return false;
    if (any.family == AF_INET)
        return other.family == AF_INET || IN6_IS_ADDR_V4MAPPED(&other.host) ||
               (is_any(other.host) && !other.is_v6_only);
    return other.family == AF_INET6 || !any.is_v6_only;
}

bool collide(InetSocket const& a, InetSocket const& b) {
    return std::memcmp(&a.host, &b.host, sizeof a.host) == 0 || covers(a, b) || covers(b, a);
}

std::vector<HeldSocket> colliding_inet(ListenAddress const& address, InetStates states) {
    std::vector<HeldSocket> held;
    auto const where = to_kernel(address);
    if (!where || address.port == 0)
        return held;
    InetSocket const asked = as_socket(address, *where);
    int const protocol = address.transport == Transport::Udp ? IPPROTO_UDP : IPPROTO_TCP;
    for (int const family : {AF_INET, AF_INET6}) {
        auto const sockets = list_inet_sockets(family, protocol, address.port, states);
        if (!sockets)
            continue;
        for (InetSocket const& socket : *sockets)
            if (socket.inode != 0 && collide(socket, asked))
                held.push_back({socket.inode, socket.uid});
    }
    return held;
}

std::vector<HeldSocket> colliding_unix(ListenAddress const& address) {
    std::string name = address.host;
    if (address.is_abstract())
        name.front() = '\0';
    auto const node = look_at(address.host);
    bool const has_node = !address.is_abstract() && node && *node;
    std::vector<HeldSocket> by_node;
    std::vector<HeldSocket> by_name;
    auto const done = list_unix_sockets([&](UnixSocket const& socket) {
        if (has_node && is_bound_to(socket, (*node)->device, (*node)->inode))
            by_node.push_back({socket.inode});
        else if (socket.name == name)
            by_name.push_back({socket.inode});
    });
    // A name may be that of a node removed long ago, so it counts only where the node tells nothing
    // (overlayfs).
    return !done || !by_node.empty() ? by_node : by_name;
}

std::vector<HeldSocket> colliding_sockets(ListenAddress const& address) {
    if (address.is_unix())
        return colliding_unix(address);
    auto held = colliding_inet(address, InetStates::Listening);
    // A connection whose own port this is holds the port as well.
    return held.empty() ? colliding_inet(address, InetStates::Any) : held;
}

/// Which of the sockets the process `pid` has open; null if none, or we may not look.
HeldSocket* find_in_process(pid_t pid, std::vector<HeldSocket>& sockets) {
    HeldSocket* held = nullptr;
    (void)see_descriptors(pid, [&](std::uint32_t inode) {
        auto const found =
            std::find_if(sockets.begin(), sockets.end(), [&](auto const& one) { return one.inode == inode; });
        if (inode != no_socket && found != sockets.end())
            held = &*found;
        return held == nullptr;
    });
    return held;
}

std::string command_of(pid_t pid) {
    std::string command =
        read_proc_file(("/proc/" + std::to_string(pid) + "/comm").c_str()).value_or("a process");
    while (!command.empty() && command.back() == '\n')
        command.pop_back();
    return command;
}

} // namespace

std::vector<SocketHolder> find_holders(ListenAddress const& address) {
    std::vector<HeldSocket> sockets = colliding_sockets(address);
    std::vector<SocketHolder> holders;
    if (sockets.empty())
        return holders;
    auto const end_of_walk = thread_cpu_time() + longest_walk;
    bool is_own_seen = false;
    auto const look_at = [&](pid_t pid) {
        is_own_seen = is_own_seen || pid == ::getpid();
        if (HeldSocket* const held = find_in_process(pid, sockets)) {
            held->is_found = true;
            holders.push_back({pid, held->uid, command_of(pid)});
        }
    };
    bool is_in_time = true;
    (void)see_processes([&](pid_t pid) {
        is_in_time = thread_cpu_time() < end_of_walk;
        if (holders.size() >= most_holders || !is_in_time)
            return false;
        look_at(pid);
        return true;
    });
    if (holders.empty() && !is_own_seen) // there were so many before it
        look_at(::getpid());
    // One line for what belongs to processes that we may not look into.
    auto const hidden =
        std::find_if(sockets.begin(), sockets.end(), [](auto const& held) { return !held.is_found; });
    if (holders.empty() && is_in_time && hidden != sockets.end())
        holders.push_back({0, hidden->uid, {}});
    return holders;
}

} // namespace holdfast
