// SPDX-License-Identifier: Apache-2.0
#include "handoff/listen_fds.h"

#include <cstring>

namespace holdfast {

ListenFds::ListenFds(std::vector<NamedFd> const& fds) : block_{std::make_unique<Block>()} {
    block_->fds = "LISTEN_FDS=" + std::to_string(fds.size());
    block_->names = "LISTEN_FDNAMES=";
    for (std::size_t i = 0; i < fds.size(); ++i)
        block_->names += (i == 0 ? "" : ":") + fds[i].name;
    static_assert(sizeof pid_prefix + longest_decimal <= sizeof block_->pid);
    static_assert(sizeof pidfd_id_prefix + longest_decimal <= sizeof block_->pidfd_id);
    std::memcpy(block_->pid, pid_prefix, sizeof pid_prefix);
    std::memcpy(block_->pidfd_id, pidfd_id_prefix, sizeof pidfd_id_prefix);
}

void ListenFds::append_to(std::vector<char*>& envp) {
    envp.push_back(block_->fds.data());
    envp.push_back(block_->names.data());
    envp.push_back(block_->pid);
    envp.push_back(block_->pidfd_id);
}

} // namespace holdfast
