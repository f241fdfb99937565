// SPDX-License-Identifier: Apache-2.0
// What the tests of hand-off need of the kernel: a pair of sockets, descriptors that can be told apart, and
// how many this process has open.
#pragma once

#include "base/fd.h"

#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace holdfast::test {

/// Two connected seqpacket sockets that block, so that what must not wait would be seen to.
inline std::pair<UniqueFd, UniqueFd> seqpacket_pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        throw std::runtime_error{"socketpair"};
    return {UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

inline UniqueFd some_fd() {
    UniqueFd fd{::memfd_create("test", MFD_CLOEXEC)};
    if (!fd.is_open())
        throw std::runtime_error{"memfd_create"};
    return fd;
}

/// What a descriptor refers to, whatever its number.
inline ino_t identity(FdRef fd) {
    struct stat node {};
    if (::fstat(fd.raw(), &node) < 0)
        throw std::runtime_error{"fstat"};
    return node.st_ino;
}

inline bool is_close_on_exec(FdRef fd) {
    return (::fcntl(fd.raw(), F_GETFD) & FD_CLOEXEC) != 0;
}

} // namespace holdfast::test
