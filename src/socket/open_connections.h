// SPDX-License-Identifier: Apache-2.0
// The clients' connections that a worker still holds: what came in by its unit's listeners and is open in one
// of its processes. Of the kernel's list of sockets and of /proc, each asked once for all workers of one
// look: made for that, and dropped after it. Looks only; asks no process anything.
#pragma once

#include "base/time.h"
#include "unit/address.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <sys/types.h>

namespace holdfast {

struct InetSocket;

struct ConnectionCount {
    std::size_t found = 0;
    bool is_all = true; ///< false: there may be more
    /// Nothing found where not all was looked at says nothing.
    [[nodiscard]] bool is_known() const { return is_all || found > 0; }
    ConnectionCount& operator+=(ConnectionCount const& other);
    bool operator==(ConnectionCount const&) const = default;
};

inline constexpr std::size_t most_descriptors = 65536;

class OpenConnections {
public:
    /// Of connections that `listeners` took in; TCP and unix streams count. What came in by one whose real
    /// port (it is 0), or whose interface, nobody knows any more is not found, so that there may be more.
    /// Of each worker at most so many `descriptors` are looked at.
    explicit OpenConnections(std::vector<ListenAddress> const& listeners,
                             std::size_t descriptors = most_descriptors);

    /// None of the listeners takes connections: nobody holds any.
    [[nodiscard]] bool is_idle() const { return places_.empty() && names_.empty(); }
    /// Is any of them open, whoever holds it? In doubt, as when that was not found out by `deadline`, yes.
    [[nodiscard]] bool is_any_open(MonotonicTime deadline) const;
    /// Those that the process `main` or one of the process group `leader` has open, each once: TCP in
    /// ESTABLISHED or CLOSE_WAIT, unix streams. Ends at `deadline`. Not all of them where a process may not
    /// be looked into (another user's, without CAP_SYS_PTRACE), the kernel does not tell, or the deadline has
    /// passed, or it has more descriptors than are looked at.
    [[nodiscard]] ConnectionCount held_by(pid_t main, pid_t leader, MonotonicTime deadline);

private:
    /// Inode numbers of sockets, sorted.
    struct Sockets {
        std::vector<std::uint32_t> inodes;
        bool is_all = true;
    };
    /// Where a TCP listener is bound.
    struct Place {
        int family;
        std::uint16_t port;
        in6_addr host;
        bool is_any;
    };
    struct Processes {
        std::vector<std::pair<pid_t, pid_t>> by_group; ///< (group, process), sorted
        bool is_all = true;
    };
    [[nodiscard]] bool came_in(InetSocket const& socket) const;
    [[nodiscard]] std::vector<std::uint16_t> ports_of(int family) const;
    [[nodiscard]] Sockets list_connections(MonotonicTime deadline) const;
    void note_processes(MonotonicTime deadline);
    [[nodiscard]] std::vector<pid_t> processes_of(pid_t main, pid_t leader) const;

    std::size_t descriptors_;
    std::vector<Place> places_; ///< sorted by family and port
    std::vector<std::string> names_;
    bool is_whole_ = true; ///< every listener has its place
    std::optional<Sockets> connections_;
    std::optional<Processes> processes_;
};

} // namespace holdfast
