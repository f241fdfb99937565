// SPDX-License-Identifier: Apache-2.0
// What must outlive this supervisor (promise P3): given to the keeper, and taken back by the next one. Names
// are "KIND UNIT …", see KeptName. Without a keeper there is none of this. Owned by Shared; knows no unit.
#pragma once

#include "event/loop.h"
#include "store/keeper_link.h"
#include "supervisor/event_log.h"
#include "worker/process.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace holdfast {

/// "worker web 12 3 0": what it is, whose, and what tells it from others of that kind. A unit with a long
/// name is called by its beginning and a hash.
[[nodiscard]] std::string kept_name(std::string_view kind, std::string_view unit,
                                    std::initializer_list<std::uint64_t> numbers = {});

/// The numbers at the end of such a name; what is none is passed over.
[[nodiscard]] std::vector<std::uint32_t> numbers_in(std::string_view name);

/// What the unit is called there.
[[nodiscard]] std::string unit_in_names(std::string_view unit);

/// What was kept of one unit, by name.
using FoundThings = std::map<std::string, HeldFd>;
/// Is it what is left of a unit when its supervisor has ended in order, or nothing?
[[nodiscard]] bool are_sockets_alone(FoundThings const& things);
/// Takes one out; nothing where it is not there.
[[nodiscard]] std::optional<HeldFd> take(FoundThings& things, std::string const& name);
/// The text of a memfd that put_text() made; nothing where it cannot be read or is longer than 64 MiB.
[[nodiscard]] std::optional<std::string> text_of(FdRef memfd);

class Keeping {
public:
    /// Takes over what `dump` found. `told` is what goes wrong, for the log.
    /// Those of its descriptors that are not open any more were somebody else's to take.
    Keeping(EventLoop& loop, KeeperLink link, Dump dump, std::function<void(Weight, std::string)> told);
    Keeping(Keeping const&) = delete;
    Keeping& operator=(Keeping const&) = delete;

    [[nodiscard]] StartInfo const& start() const { return start_; }
    /// Its process, if it is our parent, else 0.
    [[nodiscard]] pid_t keeper() const { return link_.keeper(); }
    /// What was found and nobody has taken yet, by unit; what is no unit's is under "".
    [[nodiscard]] std::map<std::string, FoundThings>& found() { return found_; }
    /// That of a unit of this name.
    [[nodiscard]] FoundThings take_of(std::string_view unit);

    void put(std::vector<Keep> const& entries, std::function<void()> sent = {});
    /// What is there as long as we are.
    void put_lasting(std::vector<Keep> entries);
    /// The same of a text, as put_text(); one of the same name takes its place.
    void put_lasting_text(std::string const& name, std::string text);
    /// As a sealed memfd, memfd_create(2), so that who takes it back finds it whole. Replaces the one before.
    /// False where none can be made: the one before stays, and that is a loss.
    /// `with`: other entries, in the same message as far as they fit.
    [[nodiscard]] bool put_text(std::string const& name, std::string_view text, std::vector<Keep> with = {});
    void drop(std::vector<std::string> const& names);
    /// The same of what nothing takes the place of and whose names are not used again: at once, also while
    /// something is lost. A flood of them held back would fill the keeper, and that would be the next loss.
    void drop_for_good(std::vector<std::string> const& names);
    /// True where the keeper may have held, until now, what is no longer to be held. Waits for it, up to
    /// 100 ms.
    [[nodiscard]] bool has_let_go();
    /// Something could not be saved, or was refused: `put_again` is to put all there is, again and again
    /// until nothing is lost.
    void on_loss(std::function<void()> put_again) { put_again_ = std::move(put_again); }
    /// The keeper is there, and nothing is lost.
    [[nodiscard]] bool is_whole() const { return source_ && !losing_; }
    /// What nobody took back is given up, but for what these units left.
    void drop_leftovers(std::set<std::string> const& units);
    /// False where it may not know of the process (is_whole()).
    [[nodiscard]] bool signal(std::string const& name, int number);
    void tell_ready();
    void tell_stopping();
    void tell_alive(Duration within);
    /// We end and may come back: where sockets outlive the keeper too, what is dropped of them from now on
    /// stays.
    void leave_sockets(bool leaves) { leaves_sockets_ = leaves && start_.stored; }
    [[nodiscard]] bool leaves_sockets() const { return leaves_sockets_; }
    [[nodiscard]] Outcome prepare_upgrade();
    /// How a process ended that the keeper has reaped.
    [[nodiscard]] std::optional<ExitStatus> exit_of(pid_t pid);
    /// A process of this number lives: what is known of one that had it before is nothing about it.
    void forget_exit(pid_t pid) { exits_.erase(pid); }

private:
    /// What is lost is put again after a while, that grows.
    struct Losing {
        Duration pause;
        bool is_new = true; ///< something was lost since it was put last
        EventSource timer;
    };
    void lose(std::string const& what);
    void look_at_losses();
    void receive();
    void remember(ChildExit const& exit);
    void follow();

    EventLoop& loop_;
    KeeperLink link_;
    StartInfo start_;
    std::map<std::string, FoundThings> found_;
    struct KnownExit {
        ExitStatus status;
        std::size_t place; ///< in in_order_
    };
    std::unordered_map<pid_t, KnownExit> exits_; ///< the newest most_exits
    std::vector<pid_t> in_order_;                ///< a ring
    std::size_t oldest_ = 0;
    std::function<void(Weight, std::string)> told_;
    std::vector<Keep> lasting_;
    std::map<std::string, std::string> lasting_texts_;
    std::function<void()> put_again_;
    std::unique_ptr<Losing> losing_;
    std::set<std::string> held_back_; ///< that are to be dropped when nothing is lost any more
    EventSource source_;
    EventSource flushing_;
    bool leaves_sockets_ = false;
    bool has_dropped_ = false; ///< since has_let_go() was asked last
};

} // namespace holdfast
