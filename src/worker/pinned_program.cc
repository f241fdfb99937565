// SPDX-License-Identifier: Apache-2.0
#include "worker/pinned_program.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace holdfast {

std::optional<PinnedProgram> PinnedProgram::of(pid_t pid, std::string const& path) {
    UniqueFd file{::open(("/proc/" + std::to_string(pid) + "/exe").c_str(), O_PATH | O_CLOEXEC)};
    if (!file.is_open())
        return std::nullopt;
    PinnedProgram pinned{std::move(file), path};
    if (pinned.is_replaced())
        return std::nullopt;
    return pinned;
}

bool PinnedProgram::is_replaced() const {
    struct stat held {
    }, there{};
    if (::fstat(file_.raw(), &held) < 0)
        return false;
    // While it is held its number is given to no other file.
    return ::stat(path_.c_str(), &there) < 0 || there.st_dev != held.st_dev || there.st_ino != held.st_ino;
}

} // namespace holdfast
