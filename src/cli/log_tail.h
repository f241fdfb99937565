// SPDX-License-Identifier: Apache-2.0
// The last lines that a unit's workers wrote, read by the command itself: from the journal, or from the file
// that the daemon names. The daemon never reads them; so it is never kept waiting by a journal.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace holdfast::cli {

struct LogTail {
    std::vector<std::string> lines; ///< the oldest first
    std::string where;              ///< how to see more; empty: there is nothing to be seen here
    std::string problem;            ///< why there are none
};

/// `unit`: as the daemon's Status answers it. At most `most` lines, each of at most 500 bytes.
[[nodiscard]] LogTail read_log_tail(nlohmann::json const& unit, std::size_t most);

} // namespace holdfast::cli
