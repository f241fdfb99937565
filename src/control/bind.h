// SPDX-License-Identifier: Apache-2.0
// The control socket's place in the file system: made with its mode and group before anybody can find it.
// Used by ControlServer only.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <optional>
#include <string>

#include <sys/types.h>

namespace holdfast {

struct BoundControlSocket {
    UniqueFd fd;
    std::string path;
    std::optional<gid_t> group; ///< the control group, where it exists
    dev_t device = 0;           ///< identity of the node, so that only our own is unlinked
    ino_t inode = 0;
};

/// By its name or number; nothing where there is no such group, or none is named.
[[nodiscard]] std::optional<gid_t> find_control_group(std::string const& group);

/// See ControlServer::open().
[[nodiscard]] Result<BoundControlSocket>
bind_control_socket(std::string const& path, std::string const& group, std::optional<mode_t> mode);
/// One that another daemon of ours has bound to `path`, with the group and mode that are wanted now; nothing
/// where no socket is there any more.
[[nodiscard]] std::optional<BoundControlSocket> adopt_control_socket(std::string const& path,
                                                                     std::string const& group,
                                                                     std::optional<mode_t> mode, UniqueFd fd);
/// Unlinks the path if it is still our node, and closes.
void give_up_control_socket(BoundControlSocket& bound) noexcept;

} // namespace holdfast
