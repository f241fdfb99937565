// SPDX-License-Identifier: Apache-2.0
#include "base/fd.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

namespace holdfast {

void UniqueFd::reset() noexcept {
    if (fd_ < 0)
        return;
    int const saved = errno;
    // close(2): on Linux the descriptor is gone whatever close returns, so EINTR and EIO are not retried.
    if (::close(fd_) < 0 && errno == EBADF) {
        std::fprintf(stderr, "holdfast: descriptor %d closed twice\n", fd_);
        std::abort();
    }
    errno = saved;
    fd_ = -1;
}

} // namespace holdfast
