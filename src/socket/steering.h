// SPDX-License-Identifier: Apache-2.0
// The classic BPF program that makes the kernel share out new connections among the shards of a `reuse_port`
// socket by their weights (base/shares.h). Pure: values in, values out; it knows no descriptor and attaches
// nothing (see socket/shard_group.h).
#pragma once

#include "base/shares.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <linux/filter.h>

namespace holdfast {

/// A classic BPF program for SO_ATTACH_REUSEPORT_CBPF: its value is the kernel's index of a group's member.
/// The other modes of `[steering]` (hash, cpu, payload_byte, …) are other functions with this result.
using SteeringProgram = std::vector<sock_filter>;

/// The program that chooses index i with probability weights[i] / whole, for each new connection (or
/// datagram) anew. An index of weight 0 is never its value, nor is one past the end (which the kernel would
/// answer with a choice by hash, parked shards included). The weights add up to the whole; at most
/// `most_weighted` of them are not 0. One such: "ret i".
[[nodiscard]] SteeringProgram steering_program(std::span<std::uint32_t const> weights);

/// What BPF_MAXINSNS (4096) allows: two instructions for each weighted member and two to begin with. The
/// kernel also wants the translated program, about 24 bytes for each, within net.core.optmem_max: some 850
/// members with the 20 KiB that were the default before Linux 6.7, ENOMEM beyond.
inline constexpr std::size_t most_weighted = 2047;

} // namespace holdfast
