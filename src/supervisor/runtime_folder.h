// SPDX-License-Identifier: Apache-2.0
// The runtime folder, ours alone: made if need be, checked, and locked for as long as this process lives.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <string>

namespace holdfast {

/// Makes the folder (mode 0755, and its parents) where it is missing, refuses one that somebody else could
/// have put there (not ours, or writable for others), and takes its lock. The lock is the descriptor
/// returned: flock(2). Errors name the process that holds it already.
[[nodiscard]] Result<UniqueFd> take_runtime_folder(std::string const& path);

/// Makes a folder and its parents; fine if it is there.
[[nodiscard]] Outcome make_folders(std::string const& path, unsigned mode);

} // namespace holdfast
