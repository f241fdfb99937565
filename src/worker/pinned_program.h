// SPDX-License-Identifier: Apache-2.0
// The very file that a worker executes, held by a descriptor, so that its generation can be started again
// after the file at that path was replaced or removed. Used by the supervisor, one for each generation.
#pragma once

#include "base/fd.h"

#include <optional>
#include <string>

#include <sys/types.h>

namespace holdfast {

class PinnedProgram {
public:
    /// Of a process that has executed `path` (its argv[0] resolved). Nothing where /proc/PID/exe, proc(5), is
    /// another file: a script, whose interpreter runs; or one that was replaced in this moment. Nothing
    /// either where it may not be looked at. Does not block on anything but the file systems of the path.
    [[nodiscard]] static std::optional<PinnedProgram> of(pid_t pid, std::string const& path);

    /// One that another supervisor of ours has pinned.
    PinnedProgram(UniqueFd file, std::string path) : file_{std::move(file)}, path_{std::move(path)} {}

    /// Is there another file at its path now, or none?
    [[nodiscard]] bool is_replaced() const;
    /// O_PATH, for execveat(2) with AT_EMPTY_PATH (Linux 3.19).
    [[nodiscard]] FdRef file() const { return file_; }
    [[nodiscard]] std::string const& path() const { return path_; }

private:
    UniqueFd file_;
    std::string path_;
};

} // namespace holdfast
