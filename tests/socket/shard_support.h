// SPDX-License-Identifier: Apache-2.0
// What the tests of shards share: groups, and clients that tell which shard they ended in.
#pragma once

#include "socket/shard_group.h"
#include "support.h"

#include <map>

namespace holdfast::test {

[[nodiscard]] constexpr Shard blue(std::uint16_t slot) {
    return {slot, Bank::Blue};
}
[[nodiscard]] constexpr Shard green(std::uint16_t slot) {
    return {slot, Bank::Green};
}
[[nodiscard]] Shares all_to(Shard shard);

/// A failure fails the test. The listeners are non-blocking.
[[nodiscard]] ShardGroup bind_group(ListenAddress const& address, std::uint16_t slots,
                                    Bank serving = Bank::Blue);
[[nodiscard]] SocketSpec shard_spec(ListenAddress const& address);
/// Where a client reaches the group.
[[nodiscard]] ListenAddress target_of(ShardGroup const& group);
[[nodiscard]] GroupLook look_at(ShardGroup const& group);
/// The same with the requests of each shard counted.
[[nodiscard]] GroupLook count_at(ShardGroup const& group);
/// "ok", or the error's text.
[[nodiscard]] std::string told(Outcome const& outcome);

/// A connection (or datagram) that waits in a shard: takes it. Closed if there is none.
[[nodiscard]] UniqueFd take_from(ShardGroup const& group, Shard shard);
/// Where `count` new clients ended, all of which are taken. A client that ends in no shard (in the anchor, or
/// nowhere) fails the test.
[[nodiscard]] std::map<Shard, int> hits(ShardGroup const& group, int count);
/// Is each shard of the group where the program believes it is?
[[nodiscard]] bool leads_to_each(ShardGroup& group);

} // namespace holdfast::test
