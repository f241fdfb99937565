// SPDX-License-Identifier: Apache-2.0
#include "base/accounts.h"

#include <cstdio>
#include <memory>

#include <grp.h>
#include <pwd.h>

namespace holdfast {

namespace {

struct CloseFile {
    void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

template <class Matches>
std::optional<Account> first_account(Matches matches) {
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

} // namespace

std::optional<Account> find_account(std::string_view name) {
    return first_account([&](passwd const& entry) { return entry.pw_name == name; });
}

std::optional<Account> find_account(uid_t uid) {
    return first_account([&](passwd const& entry) { return entry.pw_uid == uid; });
}

std::optional<gid_t> find_group(std::string_view name) {
    std::optional<gid_t> found;
    each_group([&](group const& entry) {
        if (!found && entry.gr_name == name)
            found = entry.gr_gid;
    });
    return found;
}

std::vector<gid_t> supplementary_groups(std::string_view user) {
    std::vector<gid_t> groups;
    each_group([&](group const& entry) {
        for (char** member = entry.gr_mem; *member != nullptr; ++member)
            if (*member == user)
                groups.push_back(entry.gr_gid);
    });
    return groups;
}

} // namespace holdfast
