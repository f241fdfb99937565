// SPDX-License-Identifier: Apache-2.0
#include "worker/identity.h"

#include "base/text.h"

#include <charconv>
#include <cstdio>
#include <memory>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace holdfast {

namespace {

struct CloseFile {
    void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

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

struct Account {
    std::string name, home, shell;
    uid_t uid = 0;
    gid_t gid = 0;
};

template <class Matches>
std::optional<Account> find_account(Matches matches) {
    File const file{std::fopen("/etc/passwd", "re")};
    if (!file)
        return std::nullopt;
    while (passwd const* entry = ::fgetpwent(file.get()))
        if (matches(*entry))
            return Account{entry->pw_name, entry->pw_dir, entry->pw_shell, entry->pw_uid, entry->pw_gid};
    return std::nullopt;
}

template <class Visit>
void each_group(Visit visit) {
    File const file{std::fopen("/etc/group", "re")};
    if (!file)
        return;
    while (group const* entry = ::fgetgrent(file.get()))
        visit(*entry);
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
    std::optional<gid_t> found;
    each_group([&](group const& entry) {
        if (entry.gr_name == group_name)
            found = entry.gr_gid;
    });
    if (!found)
        return no_such("group", group_name);
    return *found;
}

Result<uid_t> find_uid(std::string const& user) {
    if (auto const number = to_number(user))
        return uid_t{*number};
    auto const account = find_account([&](passwd const& entry) { return entry.pw_name == user; });
    if (!account)
        return no_such("user", user);
    return account->uid;
}

Result<Identity> find_identity(std::string const& user, std::string const& group_name) {
    Identity identity{::geteuid(), ::getegid(), {}, {}, {}, {}};
    if (!user.empty()) {
        auto const number = to_number(user);
        auto const account = find_account(
            [&](passwd const& entry) { return number ? entry.pw_uid == *number : entry.pw_name == user; });
        if (!account && !number)
            return no_such("user", user);
        if (account) {
            identity = {account->uid, account->gid, {}, account->name, account->home, account->shell};
            each_group([&](group const& entry) {
                for (char** member = entry.gr_mem; *member != nullptr; ++member)
                    if (*member == account->name)
                        identity.groups.push_back(entry.gr_gid);
            });
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
