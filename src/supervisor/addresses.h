// SPDX-License-Identifier: Apache-2.0
// The addresses of a unit's sockets, one by one, and by what tells a listener from any other. Looks only;
// used by the unit's custody.
#pragma once

#include "socket/listener.h"

#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace holdfast {

/// Calls `visit(SocketSpec, ListenAddress)` for every address of the unit, in order.
template <class Visit>
void each_address(UnitSpec const& spec, Visit visit) {
    for (auto const& socket : spec.sockets)
        for (auto const& address : socket.listen)
            visit(socket, address);
}

inline ListenerIdentity identity_of(Listener const& listener) {
    return {listener.name, listener.inherited.value_or(listener.wanted)};
}

using Identities = std::unordered_set<ListenerIdentity, IdentityHash>;

inline Identities identities_of(std::vector<Listener> const& listeners) {
    Identities identities;
    for (auto const& listener : listeners)
        identities.insert(identity_of(listener));
    return identities;
}

/// The sockets of a unit by the listeners that they make.
inline std::unordered_map<ListenerIdentity, SocketSpec const*, IdentityHash>
sockets_of(UnitSpec const& spec) {
    std::unordered_map<ListenerIdentity, SocketSpec const*, IdentityHash> sockets;
    each_address(spec, [&](SocketSpec const& socket, ListenAddress const& address) {
        sockets.emplace(ListenerIdentity{socket.name, address}, &socket);
    });
    return sockets;
}

} // namespace holdfast
