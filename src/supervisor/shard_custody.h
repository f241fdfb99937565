// SPDX-License-Identifier: Apache-2.0
// The groups of shards of one unit's `reuse_port` sockets, held: bound, steered, looked at until a shard is
// at rest, and given up as plain listeners. The unit's custody owns it, where there is such a socket; it
// never decides who serves.
#pragma once

#include "socket/shard_group.h"
#include "supervisor/shared.h"

#include <functional>
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
    [[nodiscard]] ShardGroup const* find(ListenerIdentity const& identity) const;
    /// The shard's listener. Where its slot could not be made, another of the same bank.
    [[nodiscard]] static Listener const& listener(ShardGroup const& group, Shard shard);

    /// The last step of a bind_new(): those bound since the last call stay; or they are closed.
    void keep_fresh() { fresh_.clear(); }
    void drop_fresh();
    /// Takes out those that `is_listed` does not know, as their single listeners.
    [[nodiscard]] std::vector<Listener>
    release_unless(std::function<bool(ListenerIdentity const&)> const& is_listed);

    /// Makes room for so many slots; what fails is said, and its workers share the shards that there are.
    void grow(UnitSpec const& spec, std::uint16_t slots);
    /// From now on new connections are shared out like this, in every group.
    void steer(Shares const& shares);
    /// Takes over what can be changed in place.
    void change(UnitSpec const& spec);
    /// As for listeners: makes those listen again that a worker has shut down.
    void mend(UnitSpec const& spec);

    /// `rested` from the loop, once: with 0 when nothing will end in the shard any more, or has a share again
    /// (others serve it); at the deadline with how many still wait in it. True: it is so already, and
    /// `rested` is not called.
    [[nodiscard]] bool is_at_rest_or(Shard shard, MonotonicTime deadline,
                                     std::function<void(std::uint32_t)> rested);

    [[nodiscard]] std::vector<ShardGroup> const& groups() const { return groups_; }
    template <class Visit>
    void each_listener(Visit visit) const {
        for (auto const& group : groups_)
            for (auto const& member : group.members())
                visit(member);
    }

private:
    struct Waiting {
        Shard shard;
        MonotonicTime deadline;
        std::function<void(std::uint32_t)> rested;
        std::vector<RestWatch> watches; ///< one of each group
    };
    [[nodiscard]] static Shares fitted(Shares const& shares, ShardGroup const& group);
    void guard(ShardGroup const& group);
    void unguard(ShardGroup const& group);
    void look();

    Shared& shared_;
    std::uint32_t number_;
    std::string unit_;
    std::vector<ShardGroup> groups_;
    std::vector<ListenerIdentity> fresh_;
    Shares shares_;
    std::map<Shard, MonotonicTime> steered_away_; ///< when it lost its share; until it is seen at rest
    std::vector<Waiting> waiting_;
    Duration pause_{};
    EventSource timer_;
};

} // namespace holdfast
