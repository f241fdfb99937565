// SPDX-License-Identifier: Apache-2.0
// When is a shard at rest, so that its last worker may go, or it may be closed? When nothing waits in its
// queue and no handshake is under way that will end in it, after it was steered away from. Pure: it judges
// looks at a ShardGroup; it reads no clock and waits for nothing. The supervisor asks.
#pragma once

#include "base/time.h"
#include "socket/steering.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace holdfast {

/// One look at a group.
struct GroupLook {
    std::map<Shard, std::uint32_t> queued; ///< tcp: connections not yet accepted; udp: bytes not yet read
    std::vector<std::uint64_t> handshakes; ///< under way on the group's address: their cookies
    /// Instead of these, tcp: of each shard, connections not yet accepted and handshakes under way.
    std::optional<std::map<Shard, std::uint32_t>> requests{};
    std::vector<Shard> shut_down; ///< by a worker: see ShardGroup::mend()
    /// What waits in the anchor, which nobody serves. Not 0 only where the kernel chose by hash: while a
    /// shard was shut down, or when it had no memory.
    std::uint32_t astray = 0;
};

/// What may still end in a shard that was steered away from.
struct Rest {
    std::uint32_t queued = 0;
    std::uint32_t handshakes = 0; ///< at most; see RestWatch
    bool is_settled = false;      ///< was there a look long enough after the steering?
    [[nodiscard]] bool is_at_rest() const { return is_settled && queued == 0 && handshakes == 0; }
};

/// Judges all shards that one call of ShardGroup::steer() took the traffic from. A shard that is given
/// traffic again, even for a moment, needs a new watch.
///
/// Best is a look that has counted the requests of each shard. Where there is none (no /proc), which listener
/// a handshake belongs to is told nowhere, and under load there are always some. But a shard gets none after
/// it was steered away from. So those seen in the first look after that are remembered, by the kernel's
/// cookie, and only they count; each either ends in a queue, or is given up by the kernel (with
/// tcp_synack_retries = 5 after 63 s). That is an upper bound: those of other shards of that moment count
/// too.
///
/// Not in any list are handshakes answered with SYN cookies. They are no shard's: the client's last packet is
/// steered anew, by the program in force then, and the cookies of a group are good for all of its members
/// (tried: it was accepted by the shard steered to, after the one that had answered was closed).
///
/// A processor that was just choosing a listener when the program was replaced may still follow the old one
/// and make a handshake (a datagram: queue it) a little later. The kernel lets nobody know when the last one
/// has finished; it is one packet's work with interrupts of its kind held off, microseconds, or as long as a
/// hypervisor keeps that processor waiting. `settling` is far above; looks before that only count.
class RestWatch {
public:
    static constexpr Duration settling = std::chrono::milliseconds{50};

    /// `steered_at`: a time read after steer() returned.
    explicit RestWatch(MonotonicTime steered_at) : steered_at_{steered_at} {}

    /// Takes in a look that began at `looked_at`.
    void see(GroupLook const& look, MonotonicTime looked_at);
    /// When the next look can tell more than the last one, if nobody accepts meanwhile.
    [[nodiscard]] MonotonicTime settled_at() const { return steered_at_ + settling; }

    [[nodiscard]] Rest rest_of(Shard shard) const;
    [[nodiscard]] bool are_at_rest(std::span<Shard const> shards) const;

private:
    MonotonicTime steered_at_;
    bool is_settled_ = false;  ///< of `handshakes_`
    bool has_counted_ = false; ///< the last look has, after it had settled
    std::map<Shard, std::uint32_t> requests_;
    std::map<Shard, std::uint32_t> queued_;
    std::set<std::uint64_t> handshakes_; ///< once settled: those that may be of the watched shards
};

} // namespace holdfast
