// SPDX-License-Identifier: Apache-2.0
// The users and groups of this machine, from /etc/passwd and /etc/group alone (passwd(5), group(5)): who asks
// may not wait for a directory service, and getpwnam(3) would load its client into us for good.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast {

struct Account {
    std::string name, home, shell;
    uid_t uid = 0;
    gid_t gid = 0; ///< its primary group
};

/// Nothing where there is no such account, or the file cannot be read.
[[nodiscard]] std::optional<Account> find_account(std::string_view name);
[[nodiscard]] std::optional<Account> find_account(uid_t uid);
[[nodiscard]] std::optional<gid_t> find_group(std::string_view name);
/// The groups that list the user as a member.
[[nodiscard]] std::vector<gid_t> supplementary_groups(std::string_view user);

} // namespace holdfast
