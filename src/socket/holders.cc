// SPDX-License-Identifier: Apache-2.0
// find_holders() of socket/inspect.h: an address → sockets of the kernel's list → processes of /proc.
#include "base/proc_file.h"
#include "base/scope_exit.h"
#include "base/time.h"
#include "socket/inspect.h"
#include "socket/kernel_address.h"
#include "socket/path_node.h"
#include "socket/sock_diag.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>

#include <dirent.h>
#include <unistd.h>

namespace holdfast {

namespace {

/// The walk through /proc ends after this time, or when so many holders are known.
constexpr Duration longest_walk = std::chrono::milliseconds{100};
constexpr std::size_t most_holders = 8;

struct HeldSocket {
    std::uint32_t inode = 0;
    uid_t uid = 0;
    bool is_found = false;
};

struct CloseFolder {
    void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

bool is_any(in6_addr const& host) {
    return IN6_IS_ADDR_UNSPECIFIED(&host) ||
           (IN6_IS_ADDR_V4MAPPED(&host) &&
            std::all_of(host.s6_addr + 12, host.s6_addr + 16, [](auto byte) { return byte == 0; }));
}

/// The address asked for in the form of InetSocket.
InetSocket as_socket(ListenAddress const& address, KernelAddress const& where) {
    InetSocket asked;
    asked.family = where.family();
    if (where.family() == AF_INET) {
        sockaddr_in in;
        std::memcpy(&in, &where.storage, sizeof in);
        asked.host.s6_addr[10] = asked.host.s6_addr[11] = 0xff;
        std::memcpy(&asked.host.s6_addr[12], &in.sin_addr, 4);
    } else {
        sockaddr_in6 in;
        std::memcpy(&in, &where.storage, sizeof in);
        asked.host = in.sin6_addr;
        asked.is_v6_only = !address.host.empty() && !is_any(asked.host) && !IN6_IS_ADDR_V4MAPPED(&asked.host);
    }
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

/// The inode number in the target "socket:[123]" of a link in /proc/PID/fd; 0 for any other.
std::uint32_t socket_of_link(int folder, char const* name) {
    std::array<char, 64> target{};
    ssize_t const length = ::readlinkat(folder, name, target.data(), target.size());
    constexpr std::string_view start = "socket:[";
    if (length < 0 || !std::string_view{target.data(), static_cast<std::size_t>(length)}.starts_with(start))
        return 0;
    std::uint32_t inode = 0;
    std::from_chars(target.data() + start.size(), target.data() + length, inode);
    return inode;
}

/// Which of the sockets the process `pid` has open; null if none, or we may not look.
HeldSocket* find_in_process(std::string const& pid, std::vector<HeldSocket>& sockets) {
    Folder const folder{::opendir(("/proc/" + pid + "/fd").c_str())};
    if (!folder)
        return nullptr;
    while (dirent const* entry = ::readdir(folder.get())) {
        std::uint32_t const inode = socket_of_link(::dirfd(folder.get()), entry->d_name);
        auto const found = std::find_if(sockets.begin(), sockets.end(),
                                        [&](auto const& held) { return held.inode == inode; });
        if (inode != 0 && found != sockets.end())
            return &*found;
    }
    return nullptr;
}

std::string command_of(std::string const& pid) {
    std::string command = read_proc_file(("/proc/" + pid + "/comm").c_str()).value_or("a process");
    while (!command.empty() && command.back() == '\n')
        command.pop_back();
    return command;
}

pid_t to_pid(std::string_view text) {
    pid_t pid = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    return error == std::errc{} && end == text.data() + text.size() ? pid : 0;
}

} // namespace

std::vector<SocketHolder> find_holders(ListenAddress const& address) {
    std::vector<HeldSocket> sockets = colliding_sockets(address);
    std::vector<SocketHolder> holders;
    if (sockets.empty())
        return holders;
    Folder const proc{::opendir("/proc")};
    auto const deadline = MonotonicTime::now() + longest_walk;
    while (dirent const* entry = proc ? ::readdir(proc.get()) : nullptr) {
        pid_t const pid = to_pid(entry->d_name);
        if (pid == 0)
            continue;
        if (holders.size() >= most_holders || MonotonicTime::now() >= deadline)
            break;
        if (HeldSocket* const held = find_in_process(entry->d_name, sockets)) {
            held->is_found = true;
            holders.push_back({pid, held->uid, command_of(entry->d_name)});
        }
    }
    // One line for what belongs to processes that we may not look into.
    auto const hidden =
        std::find_if(sockets.begin(), sockets.end(), [](auto const& held) { return !held.is_found; });
    if (holders.empty() && hidden != sockets.end())
        holders.push_back({0, hidden->uid, {}});
    return holders;
}

} // namespace holdfast
