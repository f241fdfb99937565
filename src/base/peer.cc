// SPDX-License-Identifier: Apache-2.0
#include "base/peer.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

namespace holdfast {

namespace {

// The kernel says ERANGE and the length it needs; the groups of a socket do not change afterwards, so two
// tries are enough. What it will not tell costs the peer rights, never gives it any.
std::vector<gid_t> read_groups(FdRef socket) {
    std::vector<gid_t> groups(32);
    for (int attempt = 0; attempt < 2; ++attempt) {
        auto length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        bool const done = ::getsockopt(socket.raw(), SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length) == 0;
        if (!done && errno != ERANGE)
            break;
        groups.resize(length / sizeof(gid_t));
        if (done)
            return groups;
    }
    return {};
}

} // namespace

Result<Peer> read_peer(FdRef socket) {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(socket.raw(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        return system_error(errno, "read the credentials of a peer");
    // A socket that is not a connected unix socket has no peer: uid and gid are -1 then.
    if (credentials.uid == static_cast<uid_t>(-1))
        return system_error(ENOTCONN, "read the credentials of a peer");
    return Peer{credentials.uid, credentials.gid, credentials.pid, read_groups(socket)};
}

bool is_allowed(Peer const& peer, std::span<uid_t const> users, std::span<gid_t const> groups) {
    auto const has_group = [&](gid_t gid) {
        return std::find(groups.begin(), groups.end(), gid) != groups.end();
    };
    return std::find(users.begin(), users.end(), peer.uid) != users.end() || has_group(peer.gid) ||
           std::any_of(peer.groups.begin(), peer.groups.end(), has_group);
}

} // namespace holdfast
