// SPDX-License-Identifier: Apache-2.0
// Looks at the queues of shards for whether those who wait are let in, for mode = "least_loaded": as long as
// anybody comes. Then it sleeps, without a wake-up, until the kernel shows the next client. ShardCustody owns
// it; what a verdict means the lifecycle core says.
#pragma once

#include "socket/shard_group.h"
#include "socket/shard_pace.h"
#include "supervisor/shared.h"

#include <functional>
#include <map>
#include <vector>

namespace holdfast {

struct HostedShard {
    Shard shard;
    Shard host; ///< from which its worker accepts, or did
};

/// Where its slot could not be made in a group, it is another of the same bank.
[[nodiscard]] inline Shard place_in(ShardGroup const& group, Shard shard) {
    return {static_cast<std::uint16_t>(shard.slot % group.slots()), shard.bank};
}

class ShardLoad {
public:
    /// Told of each shard at each look, once anything is known of it.
    using Judged = std::function<void(Shard, bool is_stuck)>;
    /// `number` is the unit's; `groups` are there as long as this.
    ShardLoad(Shared& shared, std::uint32_t number, std::vector<ShardGroup> const& groups);
    ShardLoad(ShardLoad const&) = delete;
    ShardLoad& operator=(ShardLoad const&) = delete;
    ~ShardLoad();

    /// These and no others from now on. What is known of those that were watched before stays known.
    void watch(std::vector<HostedShard> shards, Judged judged);
    /// Where the workers of the watched shards accept from now on.
    void follow(std::function<Shard(Shard)> const& host_of);
    /// The groups have other listeners: what it sleeps on is old.
    void look_soon();
    /// The groups are other ones: what is known of the shards is of those before.
    void start_anew();
    [[nodiscard]] bool is_asleep() const { return static_cast<bool>(traffic_); }

private:
    void wake();
    void sleep();
    void look();
    void see(MonotonicTime now);
    void judge(std::size_t group);
    void tell();
    [[nodiscard]] Duration next_pause(MonotonicTime now, Duration taken);

    Shared& shared_;
    std::uint32_t number_;
    std::vector<ShardGroup> const& groups_;
    std::vector<HostedShard> shards_;
    Judged judged_;
    std::map<Shard, std::vector<QueuePace>> paces_; ///< of each shard, one for each group
    std::vector<std::uint32_t> waiting_;            ///< as last seen
    MonotonicTime changed_;                         ///< when that was other than before
    unsigned quiet_looks_ = 0;                      ///< in a row, at which nobody waited
    Duration pause_{};
    EventSource timer_; ///< while it is awake
    UniqueFd epoll_;    ///< while it sleeps: of the listeners
    EventSource traffic_;
};

} // namespace holdfast
