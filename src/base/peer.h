// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of a unix socket, as the kernel recorded it at connect(2) or socketpair(2). Nothing
// the peer sends can change it. Deciding what the peer may do is the caller's, with is_allowed().
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <span>
#include <vector>

#include <sys/types.h>

namespace holdfast {

/// `pid` may be gone, or of another pid namespace (then 0); it is for messages only, never for decisions.
struct Peer {
    uid_t uid = static_cast<uid_t>(-1);
    gid_t gid = static_cast<gid_t>(-1);
    pid_t pid = 0;
    std::vector<gid_t> groups; ///< supplementary ones; empty where the kernel does not tell (before 4.13)
};

/// SO_PEERCRED and SO_PEERGROUPS of a connected unix socket; unix(7), socket(7).
[[nodiscard]] Result<Peer> read_peer(FdRef socket);

/// True if the peer's user is one of `users`, or its group or one of its supplementary groups is one of
/// `groups`. Nobody is special here, not even root.
[[nodiscard]] bool is_allowed(Peer const& peer, std::span<uid_t const> users, std::span<gid_t const> groups);

} // namespace holdfast
