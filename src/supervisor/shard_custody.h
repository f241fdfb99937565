// SPDX-License-Identifier: Apache-2.0
// The groups of shards of one unit's `reuse_port` sockets, held: bound, steered, looked at until a shard is
// at rest, closed then, and given up as plain listeners. The unit's custody owns it, where there is such a
// socket; it never decides who serves.
#pragma once

#include "socket/shard_group.h"
#include "supervisor/mending.h"
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
    /// `number` is the unit's, `unit` its name.
    ShardCustody(Shared& shared, std::uint32_t number, std::string unit);
    ShardCustody(ShardCustody const&) = delete;
    ShardCustody& operator=(ShardCustody const&) = delete;
    ~ShardCustody();

    /// Binds an address with at least `slots` slots, steered as the others are.
    [[nodiscard]] Outcome bind(SocketSpec const& socket, ListenAddress const& address, std::uint16_t slots);
    /// Of the group that has most; 0: there is none.
    [[nodiscard]] std::uint16_t slots() const;
    [[nodiscard]] ShardGroup const* find(ListenerIdentity const& identity) const;
    /// The shard's listener. Where its slot could not be made, another of the same bank.
    [[nodiscard]] static Listener const& listener(ShardGroup const& group, Shard shard);
    /// A worker is started with listener(`shard`): what is steered to this shard goes there until another one
    /// is started for it, also when its own can be made meanwhile.
    void occupy(Shard shard);

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
    /// From now on new connections are shared out like this, in every group.
    void steer(Shares const& shares);
    /// Takes over what can be changed in place.
    void change(UnitSpec const& spec);
    /// As for listeners: makes those listen again that a worker has shut down; later, where that happens
    /// again and again or does not succeed.
    void mend(UnitSpecPtr spec);

    /// Told of a shard in which nothing is queued and nothing will end any more; again, until it is not
    /// watched.
    using AtRest = std::function<void(Shard)>;
    /// Looks at these and no others. Those that were not watched before have lost their share just now.
    void watch_rest(std::vector<Shard> const& shards, AtRest at_rest);
    /// How many connections wait in the shard, of all addresses; udp: bytes.
    [[nodiscard]] std::uint32_t queued_in(Shard shard) const;

    [[nodiscard]] std::vector<ShardGroup> const& groups() const { return groups_; }
    template <class Visit>
    void each_listener(Visit visit) const {
        for (auto const& group : groups_)
            for (auto const& member : group.members())
                visit(member);
    }

private:
    struct Watched {
        Shard shard;
        std::vector<RestWatch> watches; ///< one of each group
    };
    /// A worker whose shard could not be made when it was started.
    struct Guest {
        ListenerIdentity group;
        Shard shard; ///< of the worker
        Shard host;  ///< where it accepts
    };
    [[nodiscard]] Shard place_in(ShardGroup const& group, Shard shard) const;
    [[nodiscard]] bool is_at_rest(Watched const& watched) const;
    [[nodiscard]] Shares fitted(Shares const& shares, ShardGroup const& group) const;
    void guard(ShardGroup const& group);
    void unguard(ShardGroup const& group);
    [[nodiscard]] Outcome grow(ShardGroup& group, SocketSpec const& socket, std::uint16_t slots);
    void shrink(ShardGroup& group, std::uint16_t slots);
    void grow_later(Error const& why);
    void grow_again();
    void look();

    Shared& shared_;
    std::uint32_t number_;
    std::string unit_;
    std::vector<ShardGroup> groups_;
    std::vector<ListenerIdentity> fresh_;
    std::vector<Guest> guests_;
    Shares shares_;
    std::uint16_t slots_ = 0; ///< that hold() was told; 0: not yet
    struct Growing {
        UnitSpecPtr spec;
        MendingPace pace;
        EventSource timer;
    };
    std::unique_ptr<Growing> growing_; ///< while there are fewer
    std::vector<Watched> watched_;
    AtRest at_rest_;
    Duration pause_{};
    EventSource timer_;
    /// As SocketCustody's, for all groups together.
    struct Mending {
        UnitSpecPtr spec;
        MendingPace pace;
        EventSource timer;
    };
    [[nodiscard]] Outcome mend(ShardGroup& group);
    void mend_at(MonotonicTime time);
    Mending mending_;
};

} // namespace holdfast
