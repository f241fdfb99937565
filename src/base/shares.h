// SPDX-License-Identifier: Apache-2.0
// How new connections are shared out among the shards of a `reuse_port` socket: which shards there are, and
// what weight each has. Values only; the lifecycle core says what is wanted, socket/steering.h makes the
// kernel do it.
#pragma once

#include "base/enum_names.h"

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace holdfast {

/// Generation g serves from bank g mod 2.
enum class Bank { Blue, Green };
constexpr auto enum_table(Bank) {
    return std::array{EnumName{Bank::Blue, "blue"}, EnumName{Bank::Green, "green"}};
}
[[nodiscard]] constexpr Bank bank_of(std::uint64_t generation) {
    return generation % 2 == 0 ? Bank::Blue : Bank::Green;
}
[[nodiscard]] constexpr Bank other(Bank bank) {
    return bank == Bank::Blue ? Bank::Green : Bank::Blue;
}

/// One shard: the listener of a slot in a bank. Ordered by slot first.
struct Shard {
    std::uint16_t slot = 0;
    Bank bank = Bank::Blue;
    auto operator<=>(Shard const&) const = default;
};

/// The weight of all new connections together. A power of two, so that a random number cut to its bits is
/// exact; one share of it is 0.0015 %.
inline constexpr std::uint32_t whole = 65536;

/// The weight of each shard that gets new connections. A shard that is not in it gets none; nor may there be
/// a weight of 0. Together they are the `whole`.
using Shares = std::map<Shard, std::uint32_t>;

/// Is it a complete sharing out: at least one shard, no weight of 0, the sum exactly the whole?
[[nodiscard]] bool is_whole(Shares const& shares);

/// The shards of slots 0 to `slots` - 1 in `bank`.
[[nodiscard]] std::vector<Shard> shards_of(Bank bank, std::uint16_t slots);

/// All to `shards` (at least one, at most `whole`, each once), equally; what does not divide goes to the
/// first ones, one each.
[[nodiscard]] Shares share_equally(std::span<Shard const> shards);

/// `percent` (0 to 100) of all to `canary` and the rest to `stable`, equally within each; the nearest
/// multiple of 1/65536. 0 leaves the canary nothing and 100 the stable ones; else a side that is to get
/// anything has at least one shard, and each of its shards at least 1/65536.
[[nodiscard]] Shares share_with_canary(std::span<Shard const> stable, std::span<Shard const> canary,
                                       double percent);

/// `shares` with nothing for `excluded`: what one of them had goes to the others of its bank, as they are
/// weighted, so that a canary's part stays what it is; where its bank has no other, to all that remain.
/// Empty where nobody remains: then there is nothing to steer to, and the caller leaves things as they are.
/// (A shard that is lent, its descriptor given to another worker to accept from, keeps its weight and is not
/// to be excluded.)
[[nodiscard]] Shares without(Shares const& shares, std::span<Shard const> excluded);

} // namespace holdfast
