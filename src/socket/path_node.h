// SPDX-License-Identifier: Apache-2.0
// The node of a unix socket in the file system: whose it is, whether anybody still listens on it, and how a
// stale one is taken away without ever taking a live one. Used within this folder.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <optional>
#include <string>

#include <sys/stat.h>

namespace holdfast {

/// Which node a path names, without following a last symbolic link. The time of its making tells apart two
/// nodes that had the same inode number one after the other; rename(2) does not change it.
struct PathNode {
    dev_t device = 0;
    ino_t inode = 0;
    mode_t mode = 0;
    timespec made{};
    [[nodiscard]] bool is_socket() const { return S_ISSOCK(mode); }
    [[nodiscard]] bool is_same_as(PathNode const& other) const {
        return device == other.device && inode == other.inode && made.tv_sec == other.made.tv_sec &&
               made.tv_nsec == other.made.tv_nsec;
    }
};

/// The node at `path`; nothing where there is none.
[[nodiscard]] Result<std::optional<PathNode>> look_at(std::string const& path);

/// The node that bind(2) has just made at `path`; nothing where somebody removed it.
[[nodiscard]] Result<std::optional<PathNode>> look_at_new(std::string const& path);

/// Makes the way free for bind(2) on `path`, which answered EADDRINUSE: a socket that nobody listens on any
/// more is removed. Errors: EADDRINUSE (a process listens on it, or we may not find out), EEXIST (it is no
/// socket), or the errno of the step that failed.
[[nodiscard]] Outcome remove_stale(std::string const& path);

/// Removes `path` if it is still this node. Only sure while the socket that is bound to it is open: until
/// then its inode number can belong to no other.
void unlink_if_same(std::string const& path, dev_t device, ino_t inode);

/// Gives the node at `path` these permission bits; a last symbolic link is not followed. Returns an errno
/// value or 0.
[[nodiscard]] int set_mode(std::string const& path, mode_t mode);

} // namespace holdfast
