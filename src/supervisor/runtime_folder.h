// SPDX-License-Identifier: Apache-2.0
// The runtime folder, ours alone: made if need be, checked, and locked for as long as this process lives.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <string>
#include <string_view>

namespace holdfast {

/// Makes the folder (mode 0755, and its parents) where it is missing, refuses one that somebody else could
/// have put there (not ours, or writable for others), and takes its lock. The lock is the descriptor
/// returned: flock(2). Errors name the process that holds it already.
/// `kept`: the lock that the holdfastd before us had, which the keeper has held since; another file there by
/// now is none.
[[nodiscard]] Result<UniqueFd> take_runtime_folder(std::string const& path, UniqueFd kept = {});

/// Makes the folder and its parents where they are missing, and opens it; refused when it is not ours or can
/// be written by others. `what` it is, in words: "log folder".
[[nodiscard]] Result<UniqueFd> open_own_folder(std::string const& path, unsigned mode, std::string_view what);

} // namespace holdfast
