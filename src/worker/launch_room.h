// SPDX-License-Identifier: Apache-2.0
// What a child needs until it has executed, and where it is kept meanwhile. The child runs in our memory, not
// in a copy of it: copying is most of what a start costs, for us too, since each page that we write to
// afterwards is a fault. It goes on beside us on a stack of its own, and the kernel clears a word of the room
// when it has left our memory, by executing or by dying (CLONE_CHILD_CLEARTID, clone(2)).
//
// A child that changes its user makes this memory one that is not dumped, by the kernel's own rule, so that
// nobody else of that user may look into it (ptrace(2), prctl(2) PR_SET_DUMPABLE). We take that back when no
// such child is in it any more, never before. The word is too early for that: the kernel clears it just
// before the child leaves. The end of its status pipe comes after.
//
// A child gets a copy of the memory where sharing it would cost more than it saves: before Linux 5.16, where
// a core dump of one kills all who share; with another user where fs.suid_dumpable lets the memory be seen,
// proc(5); and in a cgroup with a limit on memory, for the kernel that runs out of it kills all who share.
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
    std::optional<ChildStack> stack; ///< none: it gets a copy of our memory
    std::atomic<pid_t> is_used{0};   ///< cleared by the kernel

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
    LaunchRooms() { stacks_.reserve(most_idle_stacks); }
    /// Of those who live as long as the process does: a child may be in its room longer than anything else
    /// is.
    static LaunchRooms& ours();

    /// A room, with a stack where the child may share our memory. `status` is our end of its status pipe.
    LaunchRoom& prepare(LaunchPlan launch, FdRef status);
    /// The child that was to be in it is not, or not in our memory.
    void give_up(LaunchRoom& room) noexcept;
    /// Gives back those that their children have left.
    void sweep() noexcept;
    /// Who has changed ids for a moment puts back what PR_GET_DUMPABLE said before; at once, or when no child
    /// of another user is in our memory any more.
    void may_be_dumped(int before) noexcept;
    [[nodiscard]] std::size_t used() const noexcept { return rooms_.size(); }

private:
    static constexpr std::size_t most_idle_stacks = 4;

    std::vector<std::unique_ptr<LaunchRoom>> rooms_;
    std::vector<ChildStack> stacks_;  ///< to be used again
    std::vector<UniqueFd> others_;    ///< status pipes of children of another user in our memory
    std::optional<int> was_dumpable_; ///< PR_GET_DUMPABLE, while there are some
};

} // namespace holdfast
