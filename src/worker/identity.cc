// SPDX-License-Identifier: Apache-2.0
#include "worker/identity.h"

#include "base/accounts.h"

#include <charconv>
#include <cstdint>

#include <unistd.h>

namespace holdfast {

namespace {

std::optional<std::uint32_t> to_number(std::string const& text) {
    std::uint32_t number = 0;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    // 65535 and 2^32-1 are "no id" to some system calls; see setresuid(2) and systemd's users-and-groups
    // rules.
    if (problem != std::errc{} || end != text.data() + text.size() || number == UINT32_MAX ||
        number == UINT16_MAX)
        return std::nullopt;
    return number;
}

Error no_such(char const* what, std::string const& name) {
    return plain_error(std::string{"there is no "} + what + " '" + name + "'", {},
                       std::string{"create it, correct the name, or give a number (names are looked up in "} +
                           (what[0] == 'u' ? "/etc/passwd" : "/etc/group") + ")");
}

} // namespace

Result<gid_t> find_gid(std::string const& group_name) {
    if (auto const number = to_number(group_name))
        return gid_t{*number};
    auto const found = find_group(group_name);
    if (!found)
        return no_such("group", group_name);
    return *found;
}

Result<uid_t> find_uid(std::string const& user) {
    if (auto const number = to_number(user))
        return uid_t{*number};
    auto const account = find_account(user);
    if (!account)
        return no_such("user", user);
    return account->uid;
}

Result<Identity> find_identity(std::string const& user, std::string const& group_name) {
    Identity identity{::geteuid(), ::getegid(), {}, {}, {}, {}};
    if (!user.empty()) {
        auto const number = to_number(user);
        auto const account = number ? find_account(uid_t{*number}) : find_account(user);
        if (!account && !number)
            return no_such("user", user);
        if (account) {
            identity = {account->uid,  account->gid,  supplementary_groups(account->name),
                        account->name, account->home, account->shell};
        } else {
            if (group_name.empty())
                return plain_error("user " + user + " is not in /etc/passwd, so its group is unknown", {},
                                   "set `group` too");
            identity.uid = *number;
            identity.user = user;
        }
    }
    if (!group_name.empty()) {
        auto gid = find_gid(group_name);
        if (!gid)
            return std::move(gid).error();
        identity.gid = *gid;
    }
    return identity;
}

} // namespace holdfast
