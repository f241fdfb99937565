// SPDX-License-Identifier: Apache-2.0
// The listeners of one unit, held: bound when wanted, tried again when the world says no, changed in place,
// and given up only when nothing waits in them any more or a deadline has passed (promise P1). Hands them
// out; never accepts.
#pragma once

#include "socket/inspect.h"
#include "socket/listener.h"
#include "socket/plan.h"
#include "supervisor/poll_limit.h"
#include "supervisor/shard_custody.h"
#include "supervisor/shared.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace holdfast {

struct FailedSocket {
    std::string name;
    ListenAddress address;
    Error error;
};

/// No longer wanted, and clients may still be in it.
struct LeavingListener {
    Listener listener;
    MonotonicTime deadline; ///< it is closed then, whoever is
};

/// What an apply takes from other units for one unit.
struct Arrivals {
    std::unordered_set<ListenerIdentity, IdentityHash> coming; ///< these come as they are, and are not bound
    std::vector<Listener const*> displaced; ///< these go, and are not to be in the way of new ones
};

class SocketCustody {
public:
    /// `number` is the unit's.
    SocketCustody(Shared& shared, std::uint32_t number, UnitSpecPtr spec);
    SocketCustody(SocketCustody const&) = delete;
    SocketCustody& operator=(SocketCustody const&) = delete;
    ~SocketCustody();

    /// Binds every address of `spec` that is not held yet; what fails is kept in failed() and tried again
    /// with growing delay until all is held, then `all_held` is called from the loop. True when all is held
    /// now.
    bool hold(UnitSpecPtr spec, std::function<void()> all_held);

    /// Binds what `wanted` lists and is not held, beside those that it does not list and that are in the way:
    /// the new ones are hidden until retire_unlisted(). All or nothing, or else what can be had.
    [[nodiscard]] Result<std::vector<Listener>> bind_new(UnitSpec const& wanted, Arrivals const& arrivals,
                                                         bool all_or_nothing);
    /// Takes over a changed spec with what was bound for it, or released elsewhere, and changes in place what
    /// can be. What is no longer listed stays held, for those who still serve it, until retire_unlisted().
    void take_over(UnitSpecPtr spec, std::vector<Listener> arrived);
    /// The held one; null when there is none.
    [[nodiscard]] Listener const* find(ListenerIdentity const& identity) const;
    /// Every address that `spec` lists.
    [[nodiscard]] bool holds_all(UnitSpec const& spec) const;
    /// Another unit is to have it: it is no longer held here, and not handed out to new workers.
    [[nodiscard]] Listener release(ListenerIdentity const& identity);
    /// When it is retired, its clients go to one that another unit has bound beside it.
    void mark_replaced(ListenerIdentity const& identity);
    /// The rollout that new listeners were bound for has failed: those that take clients of what `serving`
    /// lists are closed.
    void withdraw(UnitSpec const& serving);

    /// Gives up what `spec` does not list: lets nobody new in, waits until those who wait are through or the
    /// deadline has passed, and closes. `retired` is called, from the loop, when all of that is closed. Where
    /// it is not served, that is somebody accepts from it, waiting would help nobody: it is closed at once.
    void retire_unlisted(UnitSpec const& spec, bool is_served, Duration deadline,
                         std::function<void()> retired);
    /// The same with everything: the unit is removed.
    void retire_all(bool is_served, Duration deadline, std::function<void()> retired);
    [[nodiscard]] bool is_retiring() const { return leaving_ != nullptr; }
    /// Closes everything at once, whatever waits: the supervisor ends.
    void give_up_all();
    /// Closes our descriptors, no socket: somebody else holds them. A unix path stays.
    void leave_all();

    [[nodiscard]] bool is_complete() const { return failed_.empty(); }
    [[nodiscard]] std::vector<FailedSocket> const& failed() const { return failed_; }
    [[nodiscard]] std::vector<Listener> const& held() const { return held_; }
    void each_leaving(std::function<void(LeavingListener const&)> const& visit) const;
    /// Those that `spec` lists and that are held, or still served while they are given up, in its order and
    /// under its names.
    /// Of a `reuse_port` socket a worker gets its own shard; who has no place, all that new connections go
    /// to.
    [[nodiscard]] std::vector<HeldListener> hand_out(UnitSpec const& spec,
                                                     std::optional<Shard> place = {}) const;
    /// Null where no `reuse_port` socket is held.
    [[nodiscard]] ShardCustody* shards() { return shards_.get(); }
    [[nodiscard]] ShardCustody const* shards() const { return shards_.get(); }
    /// Does what opens or closes shards, with no watch on any.
    void change_shards(std::function<void()> const& change);

    /// Before hold(): what another supervisor of ours has held; `retired` as of those that it let go.
    void adopt(UnitSpecPtr spec, std::vector<Listener> listeners, std::vector<ShardGroup> groups,
               std::vector<LeavingListener> leaving, std::function<void()> retired);
    /// All that there are: held, on their way out, and shards.
    void each_listener(std::function<void(Listener&)> const& visit);
    /// Those that clients come to: what is held, and the shards without their anchors.
    template <class Visit>
    void each_with_clients(Visit visit) const {
        for (auto const& held : held_)
            visit(held);
        if (shards_)
            shards_->each_member([&](ShardMember const& member) {
                if (member.shard) // nobody would take what came to the anchor
                    visit(member.listener);
            });
    }

    /// Told of a listener that had to be made anew: whoever shares the old one has no clients any more.
    using Renewed = std::function<void(Listener const&)>;
    /// A worker that calls shutdown(2) on its listener ends it for all who share it: makes every such one
    /// listen again. What fails is tried again by itself.
    void mend(Renewed const& renewed);
    /// The same, for what HangupWatch tells of: at once, and later where that happens again and again.
    void hear_hangup(int fd, Renewed renewed);

    /// `on_traffic` at the first sign of a client on any of them, also on those that are held later, once;
    /// unwatch() ends it.
    void watch(std::function<void()> on_traffic);
    /// The same; a listener that starts something too often (poll_limit_burst) is left alone for a while, and
    /// that is said.
    void watch_limited(std::function<void()> on_traffic);
    void unwatch();
    /// Until when a listener is left alone for that; nothing when it is not.
    [[nodiscard]] std::optional<MonotonicTime> left_alone_until(Listener const& listener) const;
    /// `on_client` whenever somebody waits in one of them, also in one that is on its way out, until
    /// unwatch(): for who accepts himself.
    void watch_each(std::function<void(Listener const&)> on_client);
    /// Nobody is told of for a while, or from now on again. What watch_each() has made stays: a full house
    /// does this for each connection, and there is nothing in it that may fail.
    void rest(bool rests);
    [[nodiscard]] bool is_watching_each() const;
    /// Accepting is left to others again, who wait as the unit says: watch_each() made all non-blocking.
    void restore_blocking();

private:
    // What most units have none of is kept apart: there are many units.
    struct Leaving {
        std::vector<LeavingListener> listeners;
        std::vector<std::function<void()>> retired;
        Duration pause{};
        EventSource timer;
    };
    struct InTheWay {
        std::vector<FdRef> fds;
        std::vector<Listener*> leaving; ///< those of them that are being retired here
        bool is_held = false;           ///< one is held here, and may be served
    };
    struct Retrying;
    struct Watching;
    /// A listener that was shut down a little while ago.
    struct Hurt {
        int fd = -1;
        MonotonicTime due = MonotonicTime::never(); ///< never: it listens again
        MendingPace pace{};
    };
    struct Mending {
        std::vector<Hurt> hurt;
        Renewed renewed;
        EventSource timer;
    };
    void try_again();
    [[nodiscard]] Outcome hold_one(SocketSpec const& socket, ListenAddress const& address);
    void end_retrying();
    /// Follows held_: a descriptor that is closed while it is watched would take another's watch with it.
    void watch_held();
    void stop_sources();
    void hear_first(int listener);
    void hear_each(int listener);
    [[nodiscard]] SocketSpec const* spec_of(int listener) const;
    void tell_changed() const;
    void make_shards();
    /// What we have closed the keeper may have held a moment longer.
    [[nodiscard]] bool may_be_free_now(Error const& error) const;
    /// Is it to be a group, and not held as something else?
    [[nodiscard]] Outcome bind_shards(UnitSpec const& spec, SocketSpec const& socket,
                                      ListenAddress const& address);
    [[nodiscard]] bool holds_shards(ListenerIdentity const& identity) const {
        return shards_ && shards_->find(identity) != nullptr;
    }

    // socket_mending.cc
    /// Tells HangupWatch of a listener, and takes it out again before its descriptor is closed.
    void guard(Listener const& listener);
    void unguard(Listener const& listener);
    void mend(Listener& listener, Renewed const& renewed);
    void mend_due();
    [[nodiscard]] Hurt& hurt_of(int fd);
    void arm_mending();

    // socket_change.cc
    [[nodiscard]] InTheWay find_in_the_way(UnitSpec const& wanted, ListenAddress const& address,
                                           Arrivals const& arrivals);
    [[nodiscard]] Result<Listener> bind(UnitSpec const& wanted, SocketSpec const& socket,
                                        ListenAddress const& address, Arrivals const& arrivals);

    void retire(std::vector<Listener> leaving, bool is_served, Duration deadline,
                std::function<void()> retired);
    void close(Listener listener);
    void look_at_leaving();
    void look_at_leaving_soon();

    Shared& shared_;
    UnitSpecPtr spec_;
    std::vector<Listener> held_;
    std::vector<FailedSocket> failed_;
    std::unique_ptr<Retrying> retrying_;
    std::unique_ptr<Watching> watching_;
    std::unique_ptr<PollLimit> polls_; ///< of a lazy unit that was started once
    std::unique_ptr<Leaving> leaving_;
    std::unique_ptr<Mending> mending_;
    std::unique_ptr<ShardCustody> shards_;
    std::uint32_t number_;
};

} // namespace holdfast
