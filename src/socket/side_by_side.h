// SPDX-License-Identifier: Apache-2.0
// Two of our own listeners whose addresses are in each other's way, "80" and "0.0.0.0:80": how one takes the
// other's place without a client being refused. Both listen for a while; the new one is shown when somebody
// serves it, and then the old one gets no client any more. Called by the units' custody.
#pragma once

#include "socket/listener.h"

#include <climits>

namespace holdfast {

/// An interface that cannot exist. A listener that is bound to it (SO_BINDTOIFINDEX, Linux 5.7) is passed
/// over by the kernel, which gives the client to the next best one; connections and handshakes that it has
/// stay.
inline constexpr int no_interface = INT_MAX;

/// Binds like bind_listener() where `others` of ours, which are to be given up for the new one, are in the
/// way; whoever else is in the way still is. SO_REUSEPORT on both makes that possible, and is taken back at
/// once, so that no other process can join. `is_hidden`: no client gets to it until reveal(), where that
/// could be taken back (CAP_NET_RAW), else it is shown from the first. Internet sockets only.
[[nodiscard]] Result<Listener> bind_beside(SocketSpec const& socket, ListenAddress const& address,
                                           std::vector<FdRef> const& others, bool is_hidden);

/// Lets clients come to a listener that was hidden. Once others serve it: reveal it first, then divert the
/// old.
[[nodiscard]] Outcome reveal(Listener& listener);

/// No further client comes to `listener`, whose address another one of ours has too; those who are in stay.
[[nodiscard]] Outcome divert(Listener const& listener);

} // namespace holdfast
