// SPDX-License-Identifier: Apache-2.0
#include "base/folders.h"

#include <cstdlib>

#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {

RunMode default_mode() {
    return ::geteuid() == 0 ? RunMode::System : RunMode::User;
}

Result<std::string> runtime_folder(RunMode mode) {
    if (mode == RunMode::System)
        return std::string{"/run/holdfast"};
    // The base directory specification: a relative value is to be taken as not set.
    if (char const* given = ::secure_getenv("XDG_RUNTIME_DIR"); given != nullptr && given[0] == '/')
        return std::string{given} + "/holdfast";
    std::string const standard = "/run/user/" + std::to_string(::geteuid());
    struct stat seen {};
    if (::stat(standard.c_str(), &seen) == 0 && S_ISDIR(seen.st_mode) && seen.st_uid == ::geteuid())
        return standard + "/holdfast";
    return plain_error("no folder for the control socket: XDG_RUNTIME_DIR is not set and " + standard +
                           " is not there",
                       {}, "give --runtime-dir DIR");
}

std::string control_socket_path(std::string const& runtime_folder) {
    return runtime_folder + "/control.sock";
}

} // namespace holdfast
