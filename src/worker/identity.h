// SPDX-License-Identifier: Apache-2.0
// Which user and groups a worker runs as. Names are looked up in /etc/passwd and /etc/group alone: the event
// loop may not wait for a directory service. A user that only such a service knows is given by number.
#pragma once

#include "base/result.h"

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast {

struct Identity {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups; ///< supplementary ones
    std::string user;          ///< name where there is one, else the number
    std::string home;          ///< empty where unknown
    std::string shell;
};

/// What `user` and `group` (names or numbers; either may be empty, not both) stand for. Supplementary groups
/// are those of the user in /etc/group. Errors: no such user or group; no group given for a number that
/// /etc/passwd does not know.
[[nodiscard]] Result<Identity> find_identity(std::string const& user, std::string const& group);

/// The uid of a name or number, the gid of a name or number.
[[nodiscard]] Result<uid_t> find_uid(std::string const& user);
[[nodiscard]] Result<gid_t> find_gid(std::string const& group);

} // namespace holdfast
