// SPDX-License-Identifier: Apache-2.0
// What must outlive this supervisor (promise P3): given to the keeper, and taken back by the next one. Names
// are "KIND UNIT …", see KeptName. Without a keeper there is none of this. Owned by Shared; knows no unit.
#pragma once

#include "event/loop.h"
#include "store/keeper_link.h"
#include "worker/process.h"

#include <map>
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
    Keeping(EventLoop& loop, KeeperLink link, Dump dump, std::function<void(std::string)> told);
    Keeping(Keeping const&) = delete;
    Keeping& operator=(Keeping const&) = delete;

    [[nodiscard]] StartInfo const& start() const { return start_; }
    /// What was found and nobody has taken yet, by unit; what is no unit's is under "".
    [[nodiscard]] std::map<std::string, FoundThings>& found() { return found_; }
    /// That of a unit of this name.
    [[nodiscard]] FoundThings take_of(std::string_view unit);

    void put(std::vector<Keep> const& entries, std::function<void()> sent = {});
    /// As a sealed memfd, memfd_create(2), so that who takes it back finds it whole. Replaces the one before.
    void put_text(std::string const& name, std::string_view text);
    void drop(std::vector<std::string> const& names);
    /// What nobody took back is given up, but for what these units left.
    void drop_leftovers(std::set<std::string> const& units);
    void signal(std::string const& name, int number);
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
    void receive();
    void remember(ChildExit const& exit);
    void follow();

    KeeperLink link_;
    StartInfo start_;
    std::map<std::string, FoundThings> found_;
    std::unordered_map<pid_t, ExitStatus> exits_; ///< the newest most_exits
    std::vector<pid_t> in_order_;                 ///< of exits_, a ring
    std::size_t oldest_ = 0;
    std::function<void(std::string)> told_;
    EventSource source_;
    bool leaves_sockets_ = false;
};

} // namespace holdfast
