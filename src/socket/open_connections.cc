// SPDX-License-Identifier: Apache-2.0
#include "socket/open_connections.h"

#include "socket/kernel_address.h"
#include "socket/process_sockets.h"
#include "socket/sock_diag.h"

#include <algorithm>
#include <cerrno>
#include <tuple>

#include <unistd.h>

namespace holdfast {

namespace {

/// The kernel walks over all its connections for each port that it is asked about; for more ports than these
/// it is asked about all.
constexpr std::size_t most_walks = 8;

void sort_and_thin(std::vector<std::uint32_t>& inodes) {
    std::sort(inodes.begin(), inodes.end());
    inodes.erase(std::unique(inodes.begin(), inodes.end()), inodes.end());
}

/// Could not be looked into though it is there; one that is gone holds nothing.
bool is_hidden(pid_t pid, Error const& why) {
    return why.code != ENOENT || ::getpgid(pid) >= 0;
}

} // namespace

ConnectionCount& ConnectionCount::operator+=(ConnectionCount const& other) {
    found += other.found;
    is_all = is_all && other.is_all;
    return *this;
}

OpenConnections::OpenConnections(std::vector<ListenAddress> const& listeners, std::size_t descriptors)
    : descriptors_{descriptors} {
    auto const add = [this](KernelAddress const& where) {
        places_.push_back({where.family(), port_of(where), mapped_host(where), is_any(where)});
    };
    for (auto const& address : listeners) {
        if (address.is_unix()) {
            names_.push_back(address.host);
            if (address.is_abstract())
                names_.back().front() = '\0';
        } else if (address.transport == Transport::Tcp) {
            auto const where = to_kernel(address);
            if (!where || address.port == 0) {
                is_whole_ = false;
                continue;
            }
            add(*where);
            if (address.host.empty())
                add(any_ipv4(address.port));
        }
    }
    std::sort(places_.begin(), places_.end(), [](Place const& a, Place const& b) {
        return std::tie(a.family, a.port) < std::tie(b.family, b.port);
    });
    std::sort(names_.begin(), names_.end());
}

bool OpenConnections::came_in(InetSocket const& socket) const {
    auto place = std::lower_bound(
        places_.begin(), places_.end(), socket, [](Place const& known, InetSocket const& sought) {
            return std::tie(known.family, known.port) < std::tie(sought.family, sought.port);
        });
    for (; place != places_.end() && place->family == socket.family && place->port == socket.port; ++place)
        if (place->is_any || IN6_ARE_ADDR_EQUAL(&place->host, &socket.host))
            return true;
    return false;
}

std::vector<std::uint16_t> OpenConnections::ports_of(int family) const {
    std::vector<std::uint16_t> ports;
    for (auto const& place : places_)
        if (place.family == family && (ports.empty() || ports.back() != place.port))
            ports.push_back(place.port);
    return ports.size() > most_walks ? std::vector{any_port} : ports;
}

OpenConnections::Sockets OpenConnections::list_connections(MonotonicTime deadline) const {
    // What still waits in a listener's queue has no inode, and is nobody's yet.
    Sockets listed{{}, is_whole_};
    bool is_in_time = true;
    auto const go_on = [&] { return is_in_time = MonotonicTime::now() < deadline; };
    auto const note = [&](Outcome const& seen) { listed.is_all = listed.is_all && seen && is_in_time; };
    for (int const family : {AF_INET, AF_INET6})
        for (auto const port : ports_of(family)) {
            if (!go_on()) // a walk that finds nobody takes its time too
                return {{}, false};
            note(see_inet_sockets(family, IPPROTO_TCP, port, InetStates::Connections,
                                  [&](InetSocket const& socket) {
                                      if (socket.inode != no_socket && came_in(socket))
                                          listed.inodes.push_back(socket.inode);
                                      return go_on();
                                  }));
        }
    if (!names_.empty())
        note(see_unix_connections([&](UnixSocket const& socket) {
            if (socket.inode != no_socket && std::binary_search(names_.begin(), names_.end(), socket.name))
                listed.inodes.push_back(socket.inode);
            return go_on();
        }));
    sort_and_thin(listed.inodes);
    return listed;
}

bool OpenConnections::is_any_open(MonotonicTime deadline) const {
    auto const listed = list_connections(deadline);
    return !listed.is_all || !listed.inodes.empty();
}

void OpenConnections::note_processes(MonotonicTime deadline) {
    auto& processes = processes_.emplace();
    bool is_in_time = true;
    auto const seen = see_processes([&](pid_t pid) {
        if (pid_t const group = ::getpgid(pid); group >= 0)
            processes.by_group.emplace_back(group, pid);
        return is_in_time = MonotonicTime::now() < deadline;
    });
    processes.is_all = seen && is_in_time;
    std::sort(processes.by_group.begin(), processes.by_group.end());
}

std::vector<pid_t> OpenConnections::processes_of(pid_t main, pid_t leader) const {
    std::vector<pid_t> pids{main};
    auto const& known = processes_->by_group;
    for (auto one = std::lower_bound(known.begin(), known.end(), std::pair{leader, pid_t{0}});
         one != known.end() && one->first == leader; ++one)
        if (one->second != main)
            pids.push_back(one->second);
    return pids;
}

ConnectionCount OpenConnections::held_by(pid_t main, pid_t leader, MonotonicTime deadline) {
    if (!connections_)
        connections_ = list_connections(deadline);
    auto const& known = connections_->inodes;
    if (known.empty()) // then nobody has to be looked into
        return {0, connections_->is_all};
    if (!processes_)
        note_processes(deadline);
    Sockets open{{}, connections_->is_all && processes_->is_all};
    std::size_t looked_at = 0;
    bool is_enough = false;
    for (pid_t const pid : processes_of(main, leader)) {
        auto const seen = see_descriptors(pid, [&](std::uint32_t inode) {
            is_enough = ++looked_at > descriptors_ || MonotonicTime::now() >= deadline;
            if (!is_enough && std::binary_search(known.begin(), known.end(), inode))
                open.inodes.push_back(inode);
            return !is_enough;
        });
        if (is_enough || (!seen && is_hidden(pid, seen.error())))
            open.is_all = false;
        if (is_enough)
            break;
    }
    sort_and_thin(open.inodes);
    return {open.inodes.size(), open.is_all};
}

} // namespace holdfast
