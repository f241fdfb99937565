// SPDX-License-Identifier: Apache-2.0
// The cgroups of our workers: one for each generation, beside one for the supervisor itself, in a cgroup that
// was given to us. What it is called follows from the unit's name and the generation's number, so that
// whoever comes after us finds it. Only cgroups of version 2. Decides nothing: supervisor/remains.h does.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "worker/cgroup_place.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast {

class CgroupTree {
public:
    /// The cgroup that we are in is taken, if it is given to us: by systemd (Delegate=, which it says by
    /// "user.delegate" or "trusted.delegate" of xattr(7)), as the root of a namespace (a container), or where
    /// there is no systemd, by our being able to write to it; never the root of all. We go into its leaf
    /// `supervisor`, and so does `keeper`, if that is not 0. `kept` is lock() of the one before us, if that
    /// was kept. `is_given`: somebody who knows says that it is ours. An error says in words why there will
    /// be none.
    [[nodiscard]] static Result<std::unique_ptr<CgroupTree>> open(pid_t keeper, UniqueFd kept, bool is_given);

    /// Locked by flock(2), so that no other supervisor takes the same cgroup. To be kept.
    [[nodiscard]] FdRef lock() const { return folder_; }
    /// "/system.slice/holdfast.service/web.g3"; empty where it is not there.
    [[nodiscard]] std::string path_of(std::string const& name) const;
    /// The folder, made if it is not there, and marked as ours by an extended attribute. Errors: those of
    /// mkdirat(2), cgroups(7); EEXIST: it is somebody else's, who has processes in it.
    [[nodiscard]] Result<UniqueFd> make(std::string const& name) const;
    /// Those that are called like one of a generation, whoever made them.
    [[nodiscard]] std::vector<std::string> all() const;
    /// Kills what is in it and removes it, with what a worker made below; false while something is still
    /// dying. One that is somebody else's goes only if there is nothing in it.
    [[nodiscard]] bool end(std::string const& name) const;
    /// Is there one in it, or below?
    [[nodiscard]] bool has(std::string const& name, std::function<bool(pid_t)> const& is_one) const;
    /// Out of the leaf again, which is removed: the last thing of all. Nothing happens where that may not be.
    void leave() const;

private:
    CgroupTree(CgroupPlace place, UniqueFd folder, pid_t keeper, bool is_from_killed)
        : place_{std::move(place)}, folder_{std::move(folder)}, keeper_{keeper}, is_from_killed_{
                                                                                     is_from_killed} {}

    CgroupPlace place_;
    UniqueFd folder_;
    pid_t keeper_;
    bool is_from_killed_; ///< our own leaf was killed once, perhaps
};

/// Whether /proc/PID/cgroup names the cgroup `name` or one below; true where that cannot be known.
[[nodiscard]] bool is_in_cgroup(pid_t pid, std::string const& name);

/// Whether CLONE_INTO_CGROUP is of use there: Linux 6.18 (and older ones that have its kill_seq) kills at
/// birth whose cgroup was killed another number of times than that of who makes it. Who moves there lives.
[[nodiscard]] bool may_be_born_in(FdRef folder);

/// SIGKILL to all that is in `folder` and below. By cgroup.kill (Linux 5.14), which no fork escapes, else one
/// by one, while cgroup.freeze (5.2) keeps them from forking.
void kill_cgroup(FdRef folder);
/// The second way alone.
void kill_cgroup_one_by_one(FdRef folder);

} // namespace holdfast
