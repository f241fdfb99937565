// SPDX-License-Identifier: Apache-2.0
// Where holdfast lives when nobody says otherwise. The daemon and the command must find the same folder, so
// the rule stands here, once. Reads the environment and the effective user; makes nothing.
#pragma once

#include "base/enum_names.h"
#include "base/result.h"

#include <string>

namespace holdfast {

/// For whom a supervisor runs: the machine (as root, as PID 1), or one user.
enum class RunMode { System, User };
constexpr auto enum_table(RunMode) {
    return std::array{EnumName{RunMode::System, "system"}, EnumName{RunMode::User, "user"}};
}

/// Root means the machine, anybody else himself (the effective user decides).
[[nodiscard]] RunMode default_mode();

/// RUNTIME_DIR. system: /run/holdfast. user: $XDG_RUNTIME_DIR/holdfast; without that variable
/// /run/user/UID/holdfast where /run/user/UID exists and is ours; else an error that says to give
/// --runtime-dir (a guessable name under /tmp would let another user be the daemon).
[[nodiscard]] Result<std::string> runtime_folder(RunMode mode);

/// RUNTIME_DIR/control.sock, where holdfastd listens for the command.
[[nodiscard]] std::string control_socket_path(std::string const& runtime_folder);

} // namespace holdfast
