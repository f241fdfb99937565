// SPDX-License-Identifier: Apache-2.0
// Processes that a worker left behind, found without cgroups: they have become children of ours, and their
// environment tells whose they were (HOLDFAST_UNIT, HOLDFAST_GENERATION). A process is known by a pidfd that
// is held while /proc is read, so that its number is nobody else's.
#pragma once

#include "base/time.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast {

inline constexpr char unit_variable[] = "HOLDFAST_UNIT";
inline constexpr char generation_variable[] = "HOLDFAST_GENERATION";

struct GenerationOf {
    std::string unit;
    std::uint32_t number = 0;
    bool operator==(GenerationOf const&) const = default;
};

/// From the text of /proc/PID/environ. Nothing where it says nothing, or names a notify socket that is not
/// `notify_path`: then it is of a supervisor that was a worker itself.
[[nodiscard]] std::optional<GenerationOf> generation_in(std::string_view environment,
                                                        std::string_view notify_path);
/// The same of a process. Also of one that is another user's, where we may become that user.
[[nodiscard]] std::optional<GenerationOf> generation_of(pid_t pid, std::string_view notify_path);

/// The children of all threads of `pid`; none where the kernel does not list them (CONFIG_PROC_CHILDREN).
[[nodiscard]] std::vector<pid_t> children_of(pid_t pid);

struct Killed {
    std::size_t count = 0;
    pid_t refused = 0;        ///< one that may not be signalled (EPERM: it is another user's); 0: none
    bool may_be_more = false; ///< that was all for now
    pid_t last = 0;           ///< the last child of `parents` that was looked at; 0: all were
};
/// SIGKILL to those of the children of `parents` that `is_one` names, and to all that come of them: they are
/// stopped first, so that none has another child meanwhile. At most 1024 at once, and no more of them after
/// `until`. It begins behind `last` of the time before.
[[nodiscard]] Killed kill_children(std::vector<pid_t> const& parents,
                                   std::function<bool(pid_t)> const& is_one, MonotonicTime until,
                                   pid_t last = 0);

} // namespace holdfast
