// SPDX-License-Identifier: Apache-2.0
// Which sockets processes have open, by /proc (proc(5)). Looks only, and never waits: the links in
// /proc/PID/fd are read, not followed. A walk over all processes, or over many descriptors, takes its time:
// who asks says when it is enough. Used within this folder.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>

#include <sys/types.h>

namespace holdfast {

inline constexpr std::uint32_t no_socket = 0;
/// Calls `see` for each descriptor of `pid`, with the inode number of its socket, or `no_socket`, until it
/// says false. Errors: EACCES (its descriptors may not be looked at: ptrace(2), PTRACE_MODE_READ_FSCREDS),
/// ENOENT (there is no such process, or we may not see it).
[[nodiscard]] Outcome see_descriptors(pid_t pid, std::function<bool(std::uint32_t inode)> const& see);

/// Calls `see` for each process until it says false.
[[nodiscard]] Outcome see_processes(std::function<bool(pid_t)> const& see);

} // namespace holdfast
