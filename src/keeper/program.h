// SPDX-License-Identifier: Apache-2.0
// The program that is kept: where it is, and how a process becomes it. Everything that a start needs is
// prepared before the first one.
#pragma once

#include "base/fd.h"
#include "store/protocol.h"

#include <climits>

#include <sys/resource.h>

namespace holdfast::keeper {

class Program {
public:
    /// Finds `argv[0]` along PATH where it has no slash. 0, or an errno.
    [[nodiscard]] int find(char** argv);
    [[nodiscard]] char const* path() const { return path_; }
    /// The file that is there now; not open and errno set where it cannot be read.
    [[nodiscard]] UniqueFd open() const;

    /// A child that becomes `executable`, with `socket` as HOLDFAST_KEEPER; it says "unstarted" on the socket
    /// where it cannot. fork(2): -1 and errno.
    [[nodiscard]] pid_t start_by_fork(FdRef executable, FdRef socket);
    /// Makes this process the program at `path`, which is told of `carried`; returns only with an errno.
    [[nodiscard]] int become(char const* path, char** argv, FdRef carried);

    /// The descriptor that become() told us of; not open where this is a first start. Removes the variable.
    [[nodiscard]] static UniqueFd take_carried();
    /// So many may be held, that whoever is started has some left, and we for a message that replaces them.
    [[nodiscard]] std::size_t most_descriptors() const;
    /// Once, at start: our own limit of open files becomes the hard limit; the program gets back `limits`.
    void raise_descriptor_limit();
    rlimit limits{};

private:
    [[noreturn]] void become_in_child(FdRef executable, FdRef socket) noexcept;

    char path_[PATH_MAX]{};
    char** argv_ = nullptr;
};

} // namespace holdfast::keeper
