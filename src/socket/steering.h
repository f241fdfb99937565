// SPDX-License-Identifier: Apache-2.0
// The classic BPF programs that make the kernel share out new connections among the shards of a `reuse_port`
// socket: by their weights (base/shares.h), in each mode of [steering]. Pure: values in, instructions out; it
// knows no descriptor and attaches nothing (see socket/shard_group.h).
#pragma once

#include "base/shares.h"
#include "unit/spec.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <linux/filter.h>

namespace holdfast {

/// A classic BPF program for SO_ATTACH_REUSEPORT_CBPF: its value is the kernel's index of a group's member.
/// The kernel runs it with the packet's data behind the TCP or UDP header; the header before it is reached at
/// SKF_NET_OFF. A load past the end of the packet would end the program with 0, so none is made.
using SteeringProgram = std::vector<sock_filter>;

/// How the traffic of a group is steered.
struct Steering {
    Steering() = default;
    Steering(Shares by_weight, SteeringSpec mode = {}, std::vector<Shard> served = {}) // NOLINT: they are one
        : shares{std::move(by_weight)}, how{mode}, named{std::move(served)} {}
    Shares shares;
    SteeringSpec how;
    std::vector<Shard> named; ///< payload_byte: these get what names them, whatever their share is
    bool operator==(Steering const&) const = default;
};

/// How [steering] of a unit has a socket of this transport steered: a TCP connection stays with its worker
/// without a byte that says so.
[[nodiscard]] constexpr SteeringSpec steering_for(SteeringSpec unit, Transport transport) {
    if (unit.mode == SteeringMode::PayloadByte && transport != Transport::Udp)
        unit.mode = SteeringMode::Hash;
    return unit;
}

/// The same with nothing for `excluded`: see without() of shares. No shares where nobody remains.
[[nodiscard]] Steering without(Steering const& steering, std::span<Shard const> excluded);

/// A socket of a group, at its place in the kernel's order.
struct SteeredMember {
    std::optional<Shard> shard; ///< none: the anchor
    std::uint32_t weight = 0;   ///< its part of the whole
    bool is_named = false;      ///< payload_byte: what names it goes to it
};

/// The program for `members`, whose weights add up to the whole. Whatever the mode: an index of weight 0 is
/// never its value but for a packet that names it, nor is one past the end (which the kernel would answer
/// with a choice by its own hash, parked shards included). Where one alone has a weight: "ret i".
///
/// - random: index i with probability weights[i] / whole, for each new connection (or datagram) anew.
/// - hash, least_loaded: the client's address and port become a number below the whole, and so an index. A
///   client with one address meets the weights as exactly as by random, or better: its ports are spread
///   evenly (a multiplication by the golden ratio), and ports that follow each other fall apart. With the
///   same weights the same flow has the same index.
/// - cpu: each bank gets its part by random; in it the shard of slot CPU mod slots, or where that has no weight
///   another. How its weights differ does not count.
/// - payload_byte: a packet whose byte names a shard (steering_id()) that `is_named` goes there; every other
///   one, and one that is too short to have the byte, as with hash.
[[nodiscard]] SteeringProgram steering_program(SteeringSpec const& how,
                                               std::span<SteeredMember const> members);
/// By random, where only the weights count.
[[nodiscard]] SteeringProgram steering_program(std::span<std::uint32_t const> weights);

/// What a worker writes into the connection IDs that it gives, and payload_byte finds there: 1 to 2048. 0
/// names nobody, so that a client can say that it has no ID yet.
[[nodiscard]] constexpr std::uint16_t steering_id(Shard shard) {
    return static_cast<std::uint16_t>(1 + 2 * shard.slot + (shard.bank == Bank::Green ? 1 : 0));
}

/// BPF_MAXINSNS: the kernel refuses longer programs. Two instructions for each weighted member, and some to
/// begin with. It also wants the translated program, about 24 bytes for each instruction, within
/// net.core.optmem_max: some 850 instructions with the 20 KiB that were the default before Linux 6.7, ENOMEM
/// beyond.
inline constexpr std::size_t longest_program = 4096;
/// So many weighted members always fit by random.
inline constexpr std::size_t most_weighted = 2047;

} // namespace holdfast
