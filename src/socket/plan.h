// SPDX-License-Identifier: Apache-2.0
// Which listeners to keep, change, bind and give up when a unit's sockets change: a pure plan, computed
// before the first system call. Listeners are matched by identity (address and transport), never by position
// or name.
#pragma once

#include "base/enum_names.h"
#include "socket/listener.h"
#include "unit/spec.h"

#include <string>
#include <vector>

namespace holdfast {

enum class ListenerAction { Keep, Change, Add, Remove };
constexpr auto enum_table(ListenerAction) {
    return std::array{EnumName{ListenerAction::Keep, "keep"}, EnumName{ListenerAction::Change, "change"},
                      EnumName{ListenerAction::Add, "add"}, EnumName{ListenerAction::Remove, "remove"}};
}

/// A listener of a unit.
struct ListenerPlace {
    std::string unit;
    ListenAddress address;
    bool operator==(ListenerPlace const&) const = default;
};

/// One listener of the old or the new sockets.
struct ListenerStep {
    ListenerAction action{};
    ListenAddress address;
    std::string name;             ///< the new one; of a removed listener the old one
    std::vector<std::string> why; ///< what differs: "backlog 128 -> 4096", "name http -> web"
    /// A difference that a bound socket cannot take over (free_bind, non_blocking: clearing or setting that
    /// flag would hit the workers that share it). It is kept as it is and takes effect when it is bound next;
    /// said in the plan.
    std::vector<std::string> deferred;
    /// Of an added one: the unit that it comes from, queue and all; of a removed one: the unit that it goes
    /// to.
    std::string other_unit;
    /// Of an added one: those that go and are in its way. Both listen until the new one is served.
    std::vector<ListenerPlace> displaced;
};

/// Is a listener at one of these in the way of binding the other? Where that depends on the system
/// (net.ipv6.bindv6only) it is.
[[nodiscard]] bool may_collide(ListenAddress const& one, ListenAddress const& other);

/// What a listener that was bound so does not have of `wanted` until it is bound anew: "free_bind false ->
/// true". A setting that means nothing for the transport does not count.
[[nodiscard]] std::vector<std::string> deferred_settings(BoundWith bound, SocketSpec const& wanted,
                                                         Transport transport);

/// In the order of the new sockets, removals last.
[[nodiscard]] std::vector<ListenerStep> plan_listeners(std::vector<SocketSpec> const& now,
                                                       std::vector<SocketSpec> const& wanted);

} // namespace holdfast
