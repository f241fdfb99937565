// SPDX-License-Identifier: Apache-2.0
// The groups of shards of one unit's `reuse_port` sockets, held: bound, steered, looked at until a shard is
// at rest, closed then, and given up as plain listeners. The unit's custody owns it, where there is such a
// socket; it never decides who serves.
#pragma once

#include "event/aside.h"
#include "socket/shard_group.h"
#include "supervisor/mending.h"
#include "supervisor/shard_load.h"
#include "supervisor/shared.h"

#include <functional>
#include <memory>
#include <vector>

namespace holdfast {

/// A socket's addresses that are held as groups; a unix socket has no shards.
[[nodiscard]] inline bool is_sharded(SocketSpec const& socket, ListenAddress const& address) {
    return socket.reuse_port && !address.is_unix();
}
[[nodiscard]] bool is_sharded(UnitSpec const& spec);

class ShardCustody {
public:
    /// Does what opens or closes shards by itself, later, with no watch on any.
    using Change = std::function<void(std::function<void()> const& change)>;
    /// `number` is the unit's, `unit` its name.
    ShardCustody(Shared& shared, std::uint32_t number, std::string unit, Change change);
    ShardCustody(ShardCustody const&) = delete;
    ShardCustody& operator=(ShardCustody const&) = delete;
    ~ShardCustody();

    /// Binds an address with at least `slots` slots, with the shares of the others, in the mode of `how`.
    [[nodiscard]] Outcome bind(SocketSpec const& socket, ListenAddress const& address, SteeringSpec how,
                               std::uint16_t slots);
    /// One that another supervisor of ours has held.
    void adopt(ShardGroup group);
    /// Of the group that has most; 0: there is none.
    [[nodiscard]] std::uint16_t slots() const;
    /// That there are to be; 0: nobody has said so.
    [[nodiscard]] std::uint16_t wanted_slots() const { return slots_; }
    [[nodiscard]] ShardGroup const* find(ListenerIdentity const& identity) const;
    /// The shard's listener. Where its slot could not be made, another of the same bank.
    [[nodiscard]] static Listener const& listener(ShardGroup const& group, Shard shard);
    /// Where a worker that is started for this shard accepts, in every group: in another of the same bank
    /// where its slot could not be made in one of them. It stays there when that can be made.
    [[nodiscard]] Shard place_of(Shard shard) const;

    /// The last step of a bind_new(): those bound since the last call stay; or they are closed.
    void keep_fresh() { fresh_.clear(); }
    void drop_fresh();
    /// Takes out those that `is_listed` does not know, as their single listeners.
    [[nodiscard]] std::vector<Listener>
    release_unless(std::function<bool(ListenerIdentity const&)> const& is_listed);

    /// Has shards for so many slots. Where binding those that are missing fails, it is said, and tried again;
    /// their workers share the shards that there are. Those beyond are closed; what still waits in them is
    /// reset, and said.
    void hold(UnitSpecPtr spec, std::uint16_t slots);
    /// From now on new connections are shared out like this, in every group, each in its mode; and packets
    /// that name one of `named` go to it.
    void steer(Shares const& shares, std::vector<Shard> const& named = {});
    /// What steer() was told last.
    [[nodiscard]] Shares const& shares() const { return shares_; }
    [[nodiscard]] std::vector<Shard> const& named() const { return named_; }
    /// Takes over what can be changed in place (the mode of [steering] too), and what is tried again.
    void change(UnitSpecPtr const& spec);
    /// As for listeners: makes those listen again that a worker has shut down; later, where that happens
    /// again and again or does not succeed.
    void mend(UnitSpecPtr spec);

    /// Told of a shard when nothing is queued where its worker accepts and nothing will end there any more;
    /// again, until it is not watched.
    using AtRest = std::function<void(Shard)>;
    using Hosted = HostedShard;
    /// Looks at these and no others. Those that were not watched before have lost their share just now; the
    /// others keep the host that they had then.
    void watch_rest(std::vector<Hosted> const& shards, AtRest at_rest);
    /// Looks at these and no others for whether their clients are accepted; empty: at none.
    void watch_load(std::vector<Hosted> const& shards, ShardLoad::Judged judged);
    /// Where the workers of those accept from now on.
    void follow_load(std::function<Shard(Shard)> const& host_of);
    /// How many connections wait in the shard (in its host while it is watched), of all addresses; udp:
    /// bytes.
    [[nodiscard]] std::uint32_t queued_in(Shard shard) const;

    [[nodiscard]] std::vector<ShardGroup> const& groups() const { return groups_; }
    void each_listener(std::function<void(Listener&)> const& visit);
    template <class Visit>
    void each_member(Visit visit) const {
        for (auto const& group : groups_)
            for (auto const& member : group.members())
                visit(member);
    }

private:
    struct Watched {
        Hosted hosted;
        std::vector<RestWatch> watches; ///< one of each group
        [[nodiscard]] bool is_at_rest(std::vector<ShardGroup> const& groups) const;
    };
    /// What is tried again at a pace, for all groups together, as SocketCustody's mending is.
    struct Retried {
        UnitSpecPtr spec;
        MendingPace pace;
        EventSource timer;
    };
    /// As steer() was told; with the group's own shares as long as it was told nothing.
    [[nodiscard]] Steering steering_of(ShardGroup const& group, SteeringSpec how) const;
    [[nodiscard]] bool have_all_slots() const;
    void guard(ShardGroup const& group);
    void unguard(ShardGroup const& group);
    [[nodiscard]] Outcome grow(ShardGroup& group, SocketSpec const& socket, std::uint16_t slots);
    void shrink(ShardGroup& group, std::uint16_t slots);
    void grow_later(UnitSpecPtr spec, Error const& why);
    void grow_again();
    void say_held();
    [[nodiscard]] Outcome mend(ShardGroup& group);
    void mend_now();
    void mend_at(MonotonicTime time);
    /// What waits or is under way at the address of one group.
    struct Listed {
        ListenAddress address;
        std::optional<std::map<Shard, std::uint32_t>> requests;
        Result<std::vector<std::uint64_t>> handshakes; ///< where these could not be counted
    };
    void look();
    [[nodiscard]] bool may_be_at_rest() const; ///< one that is watched: nobody waits in its queue
    void judge(std::vector<Listed> const& lists, MonotonicTime looked_at);
    void look_again(Duration taken);

    Shared& shared_;
    std::uint32_t number_;
    std::string unit_;
    Change change_;
    std::vector<ShardGroup> groups_;
    std::vector<ListenerIdentity> fresh_;
    Shares shares_;
    std::vector<Shard> named_;
    std::uint16_t slots_ = 0;          ///< that hold() was told; 0: not yet
    std::unique_ptr<Retried> growing_; ///< since some could not be made, while there are fewer
    Retried mending_;
    std::vector<Watched> watched_;
    AtRest at_rest_;
    Duration pause_{};
    EventSource timer_;
    Aside listing_;                   ///< of what waits
    std::unique_ptr<ShardLoad> load_; ///< null: nothing is to be known of it
};

} // namespace holdfast
