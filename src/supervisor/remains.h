// SPDX-License-Identifier: Apache-2.0
// What a generation leaves behind is ended with it: by its cgroup where workers have some, else as far as it
// was left to us as orphans. Nothing has to be remembered for that: whoever comes after us finds the same
// folders and the same marks. Owned by Shared; told by units of the end of their generations.
#pragma once

#include "base/ration.h"
#include "event/loop.h"
#include "worker/cgroup.h"
#include "worker/leftovers.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace holdfast {

class Remains {
public:
    struct Rules {
        std::function<bool(pid_t)> is_known;               ///< a worker, or a command that runs
        std::function<bool(GenerationOf const&)> is_there; ///< it has a worker
        std::function<void(std::string text)> told;        ///< of what is not as it should be
        std::string notify_path;
        pid_t keeper = 0; ///< 0: none; else orphans may have become its children
    };
    /// `tree` null: there are no cgroups.
    Remains(EventLoop& loop, std::unique_ptr<CgroupTree> tree, Rules rules);
    Remains(Remains const&) = delete;
    Remains& operator=(Remains const&) = delete;

    /// For Surroundings::cgroup_for; null, and said once, where it cannot be made.
    [[nodiscard]] std::shared_ptr<UniqueFd const> cgroup_for(std::string const& unit,
                                                             std::uint32_t generation);
    [[nodiscard]] std::string path_of(std::string const& unit, std::uint32_t generation) const;
    /// A worker was executed; `moves_itself` as in Launched.
    void check(pid_t worker, GenerationOf const& generation, bool moves_itself);
    /// A worker that was led by `leader` has ended, the last process of its generation or not.
    void worker_ended(GenerationOf const& generation, pid_t leader, bool is_last);
    /// Who lives when we start.
    struct There {
        std::vector<std::pair<pid_t, GenerationOf>> workers;
        std::vector<std::string> untouched; ///< units of which nobody knows what they have
    };
    /// Once, when all that is there is known: what else there is of ours is ended.
    void end_strangers(There const& there);
    /// There are no workers any more, and will be none. `done` when nothing is left of them either, or 5 s
    /// have passed, or it may be now.
    void finish(std::function<void()> done);

private:
    void end_cgroups(std::function<bool(std::string const& name)> const& is_one);
    void try_again_in(Duration pause);
    void try_again();
    /// Kills orphans whose generation is not there. True: there were some, and there may be more.
    bool sweep();
    /// `why`: an errno value, or another number; each is said once.
    void say_once(int why, std::string text);
    void sweep_within_reason();
    [[nodiscard]] bool is_orphan_of_the_dead(pid_t pid) const;

    EventLoop& loop_;
    std::unique_ptr<CgroupTree> tree_;
    Rules rules_;
    bool is_sure_;                ///< all workers are in their cgroups
    std::set<int> told_;          ///< what was said once
    std::set<std::string> dying_; ///< cgroups that are not empty yet
    bool is_sweep_due_ = false;
    pid_t looked_at_ = 0;     ///< where the next look begins
    unsigned looks_left_ = 0; ///< that must find nothing more
    Ration sweeping_{std::chrono::milliseconds{50}, std::chrono::seconds{1}};
    /// Leaders of sessions that may have outlived them, for those whose environment says nothing.
    std::unordered_map<pid_t, GenerationOf> dead_leaders_;
    Duration pause_{};
    EventSource again_;
    std::function<void()> done_;
    MonotonicTime done_by_ = MonotonicTime::never();
};

} // namespace holdfast
