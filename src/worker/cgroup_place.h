// SPDX-License-Identifier: Apache-2.0
// Where we are among the cgroups of version 2, from what /proc says, and what the folder of a generation is
// called. Text in, text out; cgroup.h does the rest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// A cgroup as it is reached through one mount.
struct CgroupPlace {
    std::string folder; ///< "/sys/fs/cgroup/system.slice/holdfast.service"
    std::string path;   ///< as /proc/PID/cgroup has it: "/system.slice/holdfast.service"
    bool operator==(CgroupPlace const&) const = default;
};

/// The places of a process, from its /proc/PID/mountinfo and /proc/PID/cgroup, see cgroups(7) and proc(5):
/// what was mounted last comes first. None where it is in no cgroup of version 2, or in none that is visible
/// here.
[[nodiscard]] std::vector<CgroupPlace> find_cgroups(std::string_view mountinfo, std::string_view cgroup);

/// The leaf of the supervisor itself: version 2 has no processes in a cgroup that shares out resources to
/// those below.
inline constexpr std::string_view supervisor_cgroup = "supervisor";

/// The one that `place` is in; of the uppermost, itself.
[[nodiscard]] CgroupPlace parent_of(CgroupPlace const& place);

/// "web.g3". The unit's name in it has no '.', so that it is like no file of the kernel's (cgroup.procs,
/// cpu.max), and of a name that is too long for a folder the end is a hash.
[[nodiscard]] std::string generation_cgroup(std::string_view unit, std::uint32_t generation);
[[nodiscard]] bool is_generation_cgroup(std::string_view name);
/// Of one of any generation of that unit.
[[nodiscard]] bool is_cgroup_of(std::string_view name, std::string_view unit);
/// Does the text of a /proc/PID/cgroup name the cgroup `name` of a generation, or one below?
[[nodiscard]] bool is_path_in(std::string_view cgroup, std::string_view name);

} // namespace holdfast
