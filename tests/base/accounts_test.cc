// SPDX-License-Identifier: Apache-2.0
#include "base/accounts.h"
#include "catch.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace holdfast {

TEST_CASE("accounts and groups are found as their files list them", "[base]") {
    auto const root = find_account("root");
    REQUIRE(root);
    CHECK(root->uid == 0);
    CHECK(root->name == "root");
    CHECK_FALSE(root->shell.empty());
    auto const by_number = find_account(uid_t{0});
    REQUIRE(by_number);
    CHECK(by_number->home == root->home);

    // NAME:PASSWORD:GID:MEMBER,MEMBER
    std::ifstream file{"/etc/group"};
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields{line};
        std::string name, password, gid, members;
        std::getline(std::getline(std::getline(std::getline(fields, name, ':'), password, ':'), gid, ':'),
                     members);
        CHECK(find_group(name) == static_cast<gid_t>(std::stoul(gid)));
        std::istringstream list{members};
        for (std::string member; std::getline(list, member, ',');) {
            auto const groups = supplementary_groups(member);
            CHECK(std::count(groups.begin(), groups.end(), static_cast<gid_t>(std::stoul(gid))) == 1);
        }
    }
}

TEST_CASE("who is in neither file is nobody", "[base]") {
    CHECK_FALSE(find_account("no-such-account-here"));
    CHECK_FALSE(find_account(uid_t{4'000'000'123}));
    CHECK_FALSE(find_group("no-such-group-here"));
    CHECK(supplementary_groups("no-such-account-here").empty());
    CHECK_FALSE(find_account("root:x")); // a name ends at the colon
}

} // namespace holdfast
