// SPDX-License-Identifier: Apache-2.0
// What a child needs until it has executed, and where it is kept meanwhile. The child runs in our memory, not
// in a copy of it: copying is most of what a start costs, for us too, since each page that we write to
// afterwards is a fault. It goes on beside us on a stack of its own, and the kernel clears a word of the room
// when it has left our memory, by executing or by dying (CLONE_CHILD_CLEARTID, clone(2)).
//
// A child that changes its user makes this memory one that is not dumped, by the kernel's own rule, so that
// nobody else of that user may look into it (ptrace(2), prctl(2) PR_SET_DUMPABLE). We take that back when no
// child is in it any more, never before. Where fs.suid_dumpable is 1, which proc(5) calls insecure, that rule
// does not hold.
//
// What a child sets of itself is its own, with one exception: oom_score_adj is of all who share the memory,
// proc(5), and may only be written when it has executed.
#pragma once

#include "base/fd.h"
#include "handoff/listen_fds.h"
#include "worker/launch_child.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/un.h>

namespace holdfast {

class ChildStack {
public:
    [[nodiscard]] static std::optional<ChildStack> make();
    ChildStack(ChildStack&& other) noexcept;
    ChildStack& operator=(ChildStack&& other) noexcept;
    ~ChildStack();

    [[nodiscard]] void* lowest() const noexcept;
    [[nodiscard]] std::size_t size() const noexcept;

private:
    explicit ChildStack(void* memory) noexcept : memory_{memory} {}
    void* memory_; ///< the page that nobody may touch is at its beginning; null: moved from
};

/// Stays where it is, as the child points into it.
class LaunchRoom {
public:
    explicit LaunchRoom(LaunchPlan launch);
    LaunchRoom(LaunchRoom const&) = delete;
    LaunchRoom& operator=(LaunchRoom const&) = delete;

    [[nodiscard]] LaunchPlan const& plan() const noexcept { return plan_; }
    ChildPlan child;
    std::optional<ChildStack> stack;
    std::atomic<pid_t> is_used{0}; ///< cleared by the kernel

private:
    LaunchPlan plan_;
    std::vector<char const*> programs_;
    std::vector<char*> arguments_;
    std::vector<char*> environment_;
    std::optional<ListenFds> listen_fds_;
    char watchdog_pid_[40] = "WATCHDOG_PID=";
    std::vector<int> descriptors_;
    std::string journal_header_;
    sockaddr_un journal_address_{};
};

/// All rooms of this process. For the thread that makes workers alone.
class LaunchRooms {
public:
    /// Of those who live as long as the process does: a child may be in its room longer than anything else
    /// is.
    static LaunchRooms& ours();

    /// A room, with a stack if one can be had.
    LaunchRoom& prepare(LaunchPlan launch);
    /// The child that was to be in it is not, or not in our memory.
    void give_up(LaunchRoom& room) noexcept;
    /// Gives back those that their children have left.
    void sweep() noexcept;
    /// Who has changed ids for a moment puts back what PR_GET_DUMPABLE said before; at once, or when no child
    /// of another user is in our memory any more.
    void may_be_dumped(int before) noexcept;
    [[nodiscard]] std::size_t used() const noexcept { return rooms_.size(); }

private:
    std::vector<std::unique_ptr<LaunchRoom>> rooms_;
    std::vector<ChildStack> stacks_;  ///< to be used again
    std::optional<int> was_dumpable_; ///< PR_GET_DUMPABLE, while a child may have changed it
};

} // namespace holdfast
