// SPDX-License-Identifier: Apache-2.0
// The sockets of a unit as lines of text, and back: what is to be known of them besides their descriptors.
// One field list writes and reads it. Values; keeping and adopting them is UnitMemory's.
#pragma once

#include "socket/adoption.h"
#include "socket/shard_group.h"
#include "supervisor/keeping.h"
#include "supervisor/socket_custody.h"

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

[[nodiscard]] std::string to_lines(SocketCustody const& sockets);

struct AdoptedSockets {
    std::vector<Listener> listeners;
    std::vector<ShardGroup> groups;
    std::vector<LeavingListener> leaving;
    std::vector<std::string> problems; ///< one line each
};
/// What `lines` tell of, with its descriptors out of `found`. `steering`: how the groups are to be steered;
/// without shares: by those that they had when the lines were saved. A socket that cannot be adopted is told
/// and left.
[[nodiscard]] AdoptedSockets adopt_sockets(std::string_view lines, std::string_view unit, FoundThings& found,
                                           Steering const& steering);
/// Without lines: what `spec` lists is found by what the kernel says of the descriptors: type and address.
[[nodiscard]] AdoptedSockets adopt_by_address(UnitSpecPtr const& spec, FoundThings& found);
/// One that `as` gives to `spec`, with all that the kernel knows of it.
[[nodiscard]] Listener to_listener(UniqueFd fd, FoundSocket const& found, AdoptionPlan::Adopt const& as,
                                   UnitSpec const& spec);

} // namespace holdfast
