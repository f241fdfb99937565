// SPDX-License-Identifier: Apache-2.0
// What /proc and the disk say of a core dump: is one being written, and what did the last one cost? For those
// who may not hear of it from the kernel (core_dump_watch.h). Looks only.
#pragma once

#include "base/time.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace holdfast {

/// Does the process write its core at this moment? /proc/PID/status, CoreDumping (Linux 4.15); false where
/// that cannot be read.
[[nodiscard]] bool is_dumping_core(pid_t pid);

/// A process that has dumped core, as core(5) names its file after it.
struct DumpedProcess {
    pid_t pid = 0;
    int signal = 0;
    std::string command; ///< its program's file name
    std::string folder;  ///< where it ran
};

/// The file that kernel.core_pattern makes of it. Nothing where cores go to a program or a socket, or the
/// pattern has what is not known here: %p, %P, %s, %e, %h and %% are. `uses_pid`: kernel.core_uses_pid.
[[nodiscard]] std::optional<std::string> core_path(std::string_view pattern, bool uses_pid,
                                                   DumpedProcess const& process);

struct CoreFile {
    std::uint64_t bytes = 0;       ///< on the disk; a core is full of holes
    std::optional<Duration> since; ///< its writing began so long ago, where the file system knows
};
/// The core that it has just written. The kernel makes a new file for each, so that the file's birth is the
/// beginning of the dump.
[[nodiscard]] std::optional<CoreFile> find_core_file(DumpedProcess const& process);

} // namespace holdfast
