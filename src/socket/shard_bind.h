// SPDX-License-Identifier: Apache-2.0
// The single system calls that a group of shards is made with: a socket that is bound, then opened for
// traffic; and the program attached. What order they come in is ShardGroup's. Used within this folder.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "socket/kernel_address.h"
#include "socket/listener.h"
#include "socket/steering.h"
#include "unit/spec.h"

namespace holdfast {

/// What the sockets of one group are made from.
struct ShardRecipe {
    SocketSpec const& socket;
    ListenAddress const& address; ///< as the unit says
    KernelAddress where;          ///< with the port, once it is known
};

/// A group's first socket, bound and not yet listening, `where` completed by the port the kernel chose. It
/// has the program "ret 0" from before its bind(2), for two reasons. Whatever arrives from now on goes to
/// index 0. And the kernel lets a socket that has a program join no other group: a port that somebody else of
/// our user has bound with SO_REUSEPORT is refused (EADDRINUSE) instead of shared, and port 0 finds one that
/// is free, where two UDP groups of one user could otherwise meet (measured on Linux 6.18).
[[nodiscard]] Result<Listener> bind_first_shard(ShardRecipe& recipe);
/// Another one at the same place. A UDP socket is a member of the group from here on.
[[nodiscard]] Result<Listener> bind_next_shard(ShardRecipe const& recipe);
/// listen(2), with which a TCP socket becomes the last member of its group; and the O_NONBLOCK that the
/// workers are to see.
[[nodiscard]] Outcome open_shard(ShardRecipe const& recipe, Listener const& listener);

/// SO_ATTACH_REUSEPORT_CBPF on any one member of a group: from now on the whole group is steered by
/// `program`, in one step for all of the kernel. No right is needed. A socket that is no member (it does not
/// listen any more) would be given a group of its own, and nothing would be said. Errors: EOPNOTSUPP (MPTCP),
/// ENOPROTOOPT (the kernel has no such option), ENOMEM (net.core.optmem_max), E2BIG (longest_program).
/// Linux 4.5, socket(7).
[[nodiscard]] Outcome attach_program(FdRef member, SteeringProgram const& program, std::string const& name,
                                     ListenAddress const& address);

/// Is it a socket that listen(2) was called on, and not shut down since?
[[nodiscard]] bool is_listening(FdRef socket);

/// The address that the kernel has for a listener: "every address" may be [::] or 0.0.0.0.
[[nodiscard]] Result<KernelAddress> kernel_address_of(Listener const& listener);

} // namespace holdfast
