// SPDX-License-Identifier: Apache-2.0
// Users and groups by name and by number, as /etc/passwd and /etc/group have them.
#include "support.h"
#include "worker/identity.h"

#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string refusal(Result<Identity> const& identity) {
    return identity ? "found" : to_string(identity.error());
}

} // namespace

TEST_CASE("root is found by name and by number, with its home", "[worker]") {
    for (auto const* user : {"root", "0"}) {
        auto const root = find_identity(user, "");
        REQUIRE(root);
        CHECK(root->uid == 0);
        CHECK(root->gid == 0);
        CHECK(root->user == "root");
        CHECK(root->home == "/root");
        CHECK(root->shell.starts_with("/"));
    }
    CHECK(find_uid("root").value() == 0);
    CHECK(find_gid("root").value() == 0);
}

TEST_CASE("a number that /etc/passwd does not know needs a group", "[worker]") {
    CHECK_THAT(refusal(find_identity("54321", "")), ContainsSubstring("set `group` too"));
    auto const stranger = find_identity("54321", "0");
    REQUIRE(stranger);
    CHECK(stranger->uid == 54321);
    CHECK(stranger->gid == 0);
    CHECK(stranger->user == "54321");
    CHECK(stranger->home.empty());
    CHECK(find_uid("54321").value() == 54321);
    CHECK(find_gid("54321").value() == 54321);
}

TEST_CASE("a group alone keeps the user", "[worker]") {
    auto const identity = find_identity("", "54321");
    REQUIRE(identity);
    CHECK(identity->uid == ::geteuid());
    CHECK(identity->gid == 54321);
    CHECK(identity->groups.empty());
    CHECK(identity->user.empty());
}

TEST_CASE("numbers that mean \"no change\" to the kernel are no users and no groups", "[worker]") {
    for (auto const* number : {"65535", "4294967295", "4294967296", "-1", "0x10", "1 "}) {
        CAPTURE(number);
        CHECK_THAT(refusal(find_identity(number, "0")), ContainsSubstring("there is no user"));
        CHECK_THAT(refusal(find_identity("0", number)), ContainsSubstring("there is no group"));
    }
}
