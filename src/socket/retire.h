// SPDX-License-Identifier: Apache-2.0
// The end of a listener that clients may still be knocking at: first nobody new gets in, then those who wait
// are let through, then it is closed. A listener closed while its queue holds connections resets every one of
// them. Also the mending of a listener that a worker has shut down. Never waits; the supervisor does.
#pragma once

#include "base/result.h"
#include "socket/listener.h"
#include "socket/queue_snapshot.h"

#include <cstdint>

namespace holdfast {

/// Lets no new client in, and those who wait stay. tcp: a socket filter that drops every SYN
/// (SO_ATTACH_FILTER; the client tries again a second later and is refused then), or, where that is root's
/// alone, an interface that does not exist (SO_BINDTOIFINDEX; the client is refused at once); a unix path is
/// unlinked, if it is still ours; udp: a filter that drops every datagram. An abstract unix name cannot be
/// closed to clients: EOPNOTSUPP. One that is replaced loses its clients to the other one. Not to be undone.
/// socket(7).
[[nodiscard]] Outcome turn_clients_away(Listener& listener);

/// Connections that would be lost if the listener were closed now: its accept queue, and for tcp the
/// handshakes under way on its address (sock_diag, state SYN_RECV). An empty accept queue alone proves
/// nothing. An upper bound: handshakes of a second listener on the same port count for a wildcard too. udp:
/// datagrams' bytes not yet read.
[[nodiscard]] Result<std::uint32_t> count_waiting(Listener const& listener);
/// The same for one of many, as they were when the snapshot first looked. Right for listeners that nobody new
/// gets into: who waits in them can only become fewer, or pass from a handshake, which counts, into the
/// queue.
[[nodiscard]] Result<std::uint32_t> count_waiting(Listener const& listener, QueueSnapshot& snapshot);

/// Of a stream listener: has nobody shut it down? Errors: those of getsockopt(2) and poll(2).
[[nodiscard]] Result<bool> is_listening(Listener const& listener);

/// Makes a stream listener listen again that somebody who shares it has shut down (shutdown(2) on any
/// duplicate ends it for all). True if that was necessary. A tcp socket listens again itself; a unix socket
/// cannot, so `listener.fd` is another one afterwards, to be handed out anew. On an error the fd is open,
/// listens on nothing, and the next call tries again. `backlog` is what listen(2) is given.
[[nodiscard]] Result<bool> keep_listening(Listener& listener, int backlog);

} // namespace holdfast
