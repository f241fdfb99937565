// SPDX-License-Identifier: Apache-2.0
// The part of listen_fds.h that the child runs, in a file of its own: it is compiled without what watches
// over memory, since that of the child is not its own.
#include "base/raw_call.h"
#include "handoff/listen_fds.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace holdfast {

namespace {

constexpr long pid_fs_magic = 0x50494446; // PID_FS_MAGIC of linux/magic.h, Linux 6.9

/// 0 if it cannot be known.
long file_system_type(int fd) noexcept {
    struct statfs fs {};
    // Only there has the C library the kernel's idea of that structure.
    if constexpr (has_raw_calls)
        return raw_call(SYS_fstatfs, fd, &fs) == 0 ? static_cast<long>(fs.f_type) : 0;
    else
        return ::fstatfs(fd, &fs) == 0 ? static_cast<long>(fs.f_type) : 0;
}

} // namespace

std::size_t write_decimal(char* to, std::size_t room, std::uint64_t value) noexcept {
    char reversed[ListenFds::longest_decimal];
    std::size_t digits = 0;
    do {
        reversed[digits++] = static_cast<char>('0' + value % 10);
        value /= 10;
    } while (value != 0);
    if (room <= digits)
        return 0;
    for (std::size_t i = 0; i < digits; ++i)
        to[i] = reversed[digits - 1 - i];
    to[digits] = '\0';
    return digits;
}

std::uint64_t own_pidfd_id() noexcept {
    std::uint64_t id = 0;
    auto const pidfd = static_cast<int>(raw_call(SYS_pidfd_open, raw_call(SYS_getpid), 0)); // close-on-exec
    if (pidfd < 0)
        return 0;
    struct statx node {};
    // Before pidfs every pidfd is the one anonymous inode, whose number names nothing.
    if (file_system_type(pidfd) == pid_fs_magic &&
        raw_call(SYS_statx, pidfd, "", AT_EMPTY_PATH, STATX_INO, &node) == 0)
        id = node.stx_ino;
    raw_call(SYS_close, pidfd);
    return id;
}

void ListenFds::complete_in_child(char** envp) noexcept {
    auto const after = [](auto& buffer, std::size_t prefix, std::uint64_t value) {
        write_decimal(buffer + prefix - 1, sizeof buffer - (prefix - 1), value);
    };
    after(block_->pid, sizeof pid_prefix, static_cast<std::uint64_t>(raw_call(SYS_getpid)));
    if (auto const id = own_pidfd_id(); id != 0) {
        after(block_->pidfd_id, sizeof pidfd_id_prefix, id);
        return;
    }
    // An empty value would be a malformed one to sd_listen_fds(), so the variable goes.
    auto** from = envp;
    for (auto** to = envp; (*to = *from) != nullptr; ++from)
        if (*to != block_->pidfd_id)
            ++to;
}

} // namespace holdfast
