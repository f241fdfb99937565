// SPDX-License-Identifier: Apache-2.0
// All listeners of one address of a `reuse_port = true` socket: for every slot a shard in each of two banks,
// one SO_REUSEPORT group, steered by one program. It makes them, knows which place the kernel has each at,
// steers, and closes those that a smaller pool no longer has. It never decides who serves, and never waits:
// the supervisor does, with steering.h for the weights and shard_rest.h for the waiting.
#pragma once

#include "base/result.h"
#include "socket/listener.h"
#include "socket/shard_order.h"
#include "socket/shard_rest.h"
#include "socket/steering.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace holdfast {

/// One socket of a group: a shard, or (without one) the group's anchor.
struct ShardMember {
    std::optional<Shard> shard;
    Listener listener;
};

/// What is known of the kernel (6.18; measured, or read in net/core/sock_reuseport.c and
/// net/ipv4/inet_hashtables.c), and what is made of it:
///
/// - A program's value is a place in the order in which TCP sockets listened and UDP sockets were bound. A
///   closed member's place is taken by the LAST one. So only the last shard is ever closed (the highest slot
///   goes first), and no place that the program names changes, before, during or after. A value past the end
///   would be answered by hash; none occurs. (By hash is also chosen when the kernel has no memory to look at
///   a packet: a parked shard may get a connection then.)
/// - A new member has the last place, and the program in force does not name it. The first one has its
///   program before it is bound.
/// - A lookup starts at the newest IPv4 listener of the address, and at the oldest IPv6 one. If just that one
///   is being closed, a SYN may be given to it still and is lost; its client tries again a second later
///   (measured under load: 40 in 300,000 closes, none in 150,000 when it is another one). So each group has
///   an anchor: it listens last, has no weight, is handed to nobody, and stays; after grow() a new one. The
///   shards that are closed are neither the newest nor, slot 0 being kept, the oldest. (UDP keeps its first
///   anchor: a datagram in 10,000 closes is not worth the change of places.) The program is attached to it,
///   because a worker may shut down any other.
/// - A second process of our user can join by SO_REUSEPORT as long as we hold the port (another user's
///   cannot: EADDRINUSE). It gets the last place, which no program names, so it gets nothing and moves
///   nobody. Only shards that we add while it is there would be elsewhere than we think: grow() refuses.
///
/// Adoption: the kernel's order is that of members(); it is what has to be saved, and each new member has to
/// be saved before the next, or in that order: then those that a crash closes are the last ones.
class ShardGroup {
public:
    /// Binds two banks of `slots` (at least 1) for one TCP or UDP address of `socket`, all or nothing. With
    /// port 0 the first chooses. From its first moment on everything goes to `serving`, at last equally.
    /// Errors: as bind_listener(), and as attach_program(); EADDRINUSE also where the port belongs to a group
    /// of somebody else, of our user too.
    [[nodiscard]] static Result<ShardGroup> bind(SocketSpec const& socket, ListenAddress const& address,
                                                 std::uint16_t slots, Bank serving);
    /// Takes over what an earlier process held: `members` in the order that members() had, the steering that
    /// was in force, which is put in force again, and order_ports() where it was saved: with it the order
    /// is read from the kernel instead. Errors: EINVAL where this is no whole group.
    [[nodiscard]] static Result<ShardGroup> adopt(std::vector<ShardMember> members, Steering const& steering,
                                                  std::vector<std::uint16_t> order_ports = {});

    [[nodiscard]] std::uint16_t slots() const { return slots_; }
    [[nodiscard]] ListenAddress bound() const { return members_.front().listener.bound(); }
    [[nodiscard]] bool is_tcp() const;
    /// In the kernel's order, as far as it is known (see mend()). One of them is the anchor.
    [[nodiscard]] std::vector<ShardMember> const& members() const { return members_; }
    void each_listener(std::function<void(Listener&)> const& visit) {
        for (auto& member : members_)
            visit(member.listener);
    }
    /// The listener of a shard, to be handed to its worker.
    [[nodiscard]] Listener const& listener(Shard shard) const;
    [[nodiscard]] Shares const& shares() const { return steering_.shares; }
    [[nodiscard]] Steering const& steering() const { return steering_; }
    /// To be saved for adopt(); it changes with the number of members.
    [[nodiscard]] std::vector<std::uint16_t> const& order_ports() const { return order_.client_ports(); }

    /// From now on new connections are shared out like this. One step for the kernel: each SYN sees the old
    /// program or the new one. Handshakes under way stay with their shard. On an error the old one is in
    /// force. Its shares are whole and name shards of ours. While the order is not known they go to those
    /// only whose place is certain, and are put in force by mend(), also after an EAGAIN: there is none such.
    [[nodiscard]] Outcome steer(Steering const& steering);

    /// Adds the slots up to `slots` in both banks, without a share: steer() gives them theirs. All or
    /// nothing. `socket` is what it was bound with. EAGAIN, also of shrink(): mend() it first.
    [[nodiscard]] Outcome grow(SocketSpec const& socket, std::uint16_t slots);
    /// Closes the slots from `slots` (at least 1) on, in both banks. They have no share, and the caller has
    /// seen them at rest (RestWatch) or past a deadline: what is in their queues is reset. A TCP shard is
    /// closed for everybody who has a duplicate, too, or it would stay in the group until the last of them is
    /// closed. UDP has no such call: its workers have gone before. On an error the next call goes on.
    [[nodiscard]] Outcome shrink(std::uint16_t slots);

    /// What waits, for a RestWatch: a list of the handshakes under way at the group's address, their cookies
    /// (TCP only), and then every queue. In this order a handshake that ends in between is seen twice rather
    /// than not at all. The kernel goes through all connections of the host to make that list, which takes it
    /// 10 ms where there are 50,000, open or in TIME-WAIT: not for the event loop. The queues take 1 us each.
    [[nodiscard]] static Result<std::vector<std::uint64_t>> list_handshakes(ListenAddress const& bound);
    [[nodiscard]] Result<GroupLook> look_at_queues() const; ///< without handshakes
    /// Of the one shard; 0 where it was shut down.
    [[nodiscard]] Result<std::uint32_t> queued_in(Shard shard) const;
    /// TCP: counts the requests of each shard, when it is called, by any thread, also when this is no more;
    /// instead of the list, for a few microseconds per listening socket of the namespace. Nothing where /proc
    /// does not show all of them.
    using RequestCounter = std::function<std::optional<std::map<Shard, std::uint32_t>>()>;
    [[nodiscard]] RequestCounter request_counter() const;

    /// Makes shards listen again that a worker has shut down (shutdown(2) on any duplicate ends it for all,
    /// resets its queue, and moves the kernel's last member into its place, so that traffic goes where
    /// nobody meant it to: call it as soon as poll(2) tells POLLHUP). Traffic first goes to those only whose
    /// place is certain. True if there was one, and all is as it was before. After an error, which may come
    /// when all listen again, the order is not known: the next call goes on. TCP only; for UDP there is
    /// nothing to mend.
    [[nodiscard]] Result<bool> mend(int backlog);
    /// Where one is shut down that is to be mended later: until then traffic goes as after a mend() that
    /// failed. Errors: as steer().
    [[nodiscard]] Outcome avoid_shut_down();
    /// Do all of its shards, or has a worker shut one down?
    [[nodiscard]] bool are_listening() const { return find_dead().empty(); }

    /// Sockets on the group's address that are not ours: of another process of our user, or a UDP shard that
    /// we closed and somebody still holds.
    [[nodiscard]] Result<std::uint32_t> count_strangers() const;

    /// As change_in_place() and turn_clients_away() of a listener, for every member.
    [[nodiscard]] Outcome change(SocketSpec const& socket);
    [[nodiscard]] Outcome turn_clients_away();
    /// Its members, to be given up one by one; the group is no more.
    [[nodiscard]] std::vector<Listener> release() &&;

private:
    ShardGroup() = default;
    [[nodiscard]] Outcome attach(Steering const& steering);
    [[nodiscard]] Listener const& anchor() const;
    [[nodiscard]] Listener const& any_member() const;
    [[nodiscard]] std::vector<ShardMember>::iterator find_anchor();
    [[nodiscard]] Result<bool> attach_to_certain(std::size_t dead);
    [[nodiscard]] Outcome steer_unsorted();
    [[nodiscard]] Outcome require_order() const;
    [[nodiscard]] std::vector<std::size_t> find_dead() const;
    void move_to_end(std::vector<std::size_t> const& dead);
    [[nodiscard]] bool is_uncertain(ShardMember const& member) const;
    [[nodiscard]] Outcome listen_again_from(std::size_t first, int backlog);
    [[nodiscard]] Outcome close_at(std::size_t place);
    void learn_order();
    [[nodiscard]] Outcome sort_as_kernel();
    [[nodiscard]] Outcome find_order();

    std::vector<ShardMember> members_; ///< in the kernel's order, but for those in uncertain_
    std::vector<std::optional<Shard>>
        uncertain_;            ///< members (the anchor: none) that were moved, who knows where
    bool is_unsorted_ = false; ///< one was shut down, and the kernel has not confirmed the order since
    Steering steering_;
    OrderProbe order_;
    std::uint16_t slots_ = 0;
};

} // namespace holdfast
