// SPDX-License-Identifier: Apache-2.0
// The variables of sd_listen_fds(3): LISTEN_FDS, LISTEN_FDNAMES, and the two that only the child can know,
// LISTEN_PID and LISTEN_PIDFDID. Everything is allocated before the fork; the child writes digits in place.
//
// The sequence:  parent  ListenFds variables{fds};
//                        variables.append_to(envp); then the terminating nullptr
//                child   (after fork, descriptors in place) variables.complete_in_child(envp.data());
//                        execve(path, argv, envp.data())
#pragma once

#include "handoff/fd_batch.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

/// The number of the first descriptor that a worker is handed (SD_LISTEN_FDS_START).
inline constexpr int first_handed_fd = 3;

/// Where a worker finds its hand-off socket (the convention scm_rights).
inline constexpr char handoff_variable[] = "HOLDFAST_HANDOFF";

/// Owns the strings that the child's environment points to: keep it until the exec. It may be moved, the
/// strings stay where they are. With no descriptor at all the variables are still set (LISTEN_FDS=0).
class ListenFds {
public:
    explicit ListenFds(std::vector<NamedFd> const& fds);

    /// Appends one pointer per variable; the environment must not have variables of these names already.
    void append_to(std::vector<char*>& envp);

    /// Fills in LISTEN_PID, and LISTEN_PIDFDID where the kernel gives pidfds a unique inode number
    /// (Linux 6.9) or takes that pointer out of `envp`, which ends with a nullptr. For the child only: it
    /// makes raw calls alone, and touches nothing but what it was given.
    void complete_in_child(char** envp) noexcept;

    static constexpr std::size_t longest_decimal = 21; // 2^64 - 1 has 20 digits, and the NUL

private:
    static constexpr char pid_prefix[] = "LISTEN_PID=";
    static constexpr char pidfd_id_prefix[] = "LISTEN_PIDFDID=";

    struct Block {
        std::string fds;
        std::string names;
        char pid[40];
        char pidfd_id[48];
    };
    std::unique_ptr<Block> block_;
};

/// Writes `value` in decimal and a NUL to `to`, which has room for `room` bytes (21 are always enough).
/// Returns the number of digits, or 0, with `to` untouched, when there is no room. Async-signal-safe.
std::size_t write_decimal(char* to, std::size_t room, std::uint64_t value) noexcept;

/// The number that names the calling process for ever (st_ino of its own pidfd), or 0 where pidfds have none:
/// before Linux 6.9, or when no descriptor can be had. By raw calls alone.
[[nodiscard]] std::uint64_t own_pidfd_id() noexcept;

} // namespace holdfast
