// SPDX-License-Identifier: Apache-2.0
// What a pidfd (pidfd_open(2), Linux 5.3) is good for. Allocates nothing.
#pragma once

#include "base/fd.h"

#include <sys/types.h>

namespace holdfast {

/// Its process, by proc(5), fdinfo. -1: it has been reaped, or /proc is not to be read.
[[nodiscard]] pid_t pid_of(FdRef pidfd);

/// Exited, reaped or not: pidfd_open(2).
[[nodiscard]] bool has_ended(FdRef pidfd);

/// pidfd_send_signal(2), Linux 5.1: 0, or an errno; ESRCH: it has ended.
[[nodiscard]] int send_signal(FdRef pidfd, int number);

/// SIGKILL to the process group that has, or had, this process for its leader. False: this kernel cannot by a
/// pidfd; it can since Linux 6.9.
[[nodiscard]] bool kill_group_of(FdRef leader);

} // namespace holdfast
