// SPDX-License-Identifier: Apache-2.0
// A listener: a bound socket that we hold. This folder makes it, looks at it, changes what can be changed in
// place, and gives it up. It never accepts and never decides when; the supervisor does.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "unit/spec.h"

#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// What was asked for when a listener was bound and cannot be changed any more.
struct BoundWith {
    bool free_bind = false;
    bool non_blocking = false;
};

struct Listener {
    UniqueFd fd;
    std::string name;       ///< of its [[socket]] table
    ListenAddress wanted;   ///< as the unit says
    std::uint16_t port = 0; ///< the port it is really bound to; 0 where there is none
    BoundWith bound_with;
    bool is_hidden = false;   ///< no client gets to it until reveal()
    bool is_replaced = false; ///< it is to go, and another one of ours answers for its clients
    /// Somebody else bound it and passed it to us: under this address the unit lists it, and `wanted` is what
    /// it is bound to. No transport of a socket that is ours.
    std::optional<ListenAddress> inherited;
    std::uint32_t kept = 0; ///< the number under which the keeper has it; 0: it does not
    dev_t path_device = 0; ///< unix path: identity of the node that we made, so that only our own is unlinked
    ino_t path_inode = 0;

    /// `wanted` with the port the kernel chose.
    [[nodiscard]] ListenAddress bound() const;
};

/// Binds (and for streams, listens on) one address of `socket`: SOCK_CLOEXEC | SOCK_NONBLOCK at creation,
/// SO_REUSEADDR for TCP, IPV6_V6ONLY for an explicit IPv6 address other than "::"; "80" is [::]:80 for both
/// families, or 0.0.0.0:80 where there is no IPv6. A unix path is bound under its own name (which
/// getsockname(2) shows for ever), given its mode whatever the umask is, and only then listened on; a path
/// another live process listens on is refused (EADDRINUSE), a stale socket is renamed out of the way and
/// removed, anything that is no socket refused (EEXIST), a path too long for sun_path refused (ENAMETOOLONG).
/// A failure leaves nothing behind. Without `non_blocking` the flag is cleared once, here, as the last step.
/// Errors: the errno of the step that failed; for EADDRINUSE the advice names the process that holds the
/// address where /proc tells us; for EACCES on a port below net.ipv4.ip_unprivileged_port_start it says how
/// to get the right. socket(7), ip(7), unix(7).
struct BindSide {
    bool is_beside = false; ///< with SO_REUSEPORT while it is bound, see bind_beside()
    bool is_hidden = false;
};
[[nodiscard]] Result<Listener> bind_listener(SocketSpec const& socket, ListenAddress const& address,
                                             BindSide side = {});

/// Ends custody: a unix path that is still the node we made is unlinked, then the descriptor is closed.
void give_up(Listener&& listener);

/// What `socket` says that can be changed on a bound listener without touching its queue: backlog (listen(2)
/// again), mode of a unix path. The name is taken over too.
[[nodiscard]] Outcome change_in_place(Listener& listener, SocketSpec const& socket);

/// net.core.somaxconn of this network namespace; nothing where /proc does not tell.
[[nodiscard]] std::optional<int> somaxconn();
/// What the kernel makes of `backlog = wanted`: it is capped by somaxconn (as of at most a second
/// ago), listen(2).
[[nodiscard]] int effective_backlog(int wanted);

} // namespace holdfast
