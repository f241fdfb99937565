// SPDX-License-Identifier: Apache-2.0
// What the keeper says on standard error: one line, and only what matters.
#pragma once

#include "store/fixed_text.h"

#include <poll.h>
#include <unistd.h>

namespace holdfast::keeper {

/// Nobody who does not read may stop the keeper: what cannot be written at once is not said.
template <class... Parts>
void say(Parts const&... parts) {
    FixedText<512> line;
    line << "holdfast-keeper: ";
    (line << ... << parts);
    line.truncate(line.size() < 511 ? line.size() : 511);
    line << "\n";
    pollfd at{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&at, 1, 0) == 1 && (at.revents & POLLOUT) != 0)
        (void)!::write(STDERR_FILENO, line.view().data(), line.size());
}

} // namespace holdfast::keeper
