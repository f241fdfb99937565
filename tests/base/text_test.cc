// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "base/words.h"
#include "catch.h"

#include <set>

using namespace holdfast;

TEST_CASE("the distance of two words counts inserts, deletes, replacements and swaps", "[base]") {
    CHECK(edit_distance("", "") == 0);
    CHECK(edit_distance("abc", "abc") == 0);
    CHECK(edit_distance("abc", "") == 3);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("backlog", "backlgo") == 1);
    CHECK(edit_distance("backlog", "backlo") == 1);
    CHECK(edit_distance("backlog", "baclkogg") == 2);
    CHECK(edit_distance("kitten", "sitting") == 3);
    CHECK(edit_distance("a", "abcdefgh") > 3);
    CHECK(edit_distance("abcdefgh", "ABCDEFGH", 100) == 8);
}

TEST_CASE("a misspelt word finds the one that was meant", "[base]") {
    std::vector<std::string_view> const keys{"exec_start", "exec_stop", "environment", "user", "umask"};
    CHECK(nearest("exec_strat", keys) == "exec_start");
    CHECK(nearest("enviroment", keys) == "environment");
    CHECK(nearest("usr", keys) == "user");
    CHECK(nearest("user", keys) == "user");
    CHECK(nearest("exec_startt", keys) == "exec_start");
    CHECK(nearest("completely_else", keys).empty());
    CHECK(nearest("group", keys).empty());
    CHECK(nearest("x", {}).empty());
}

TEST_CASE("the first of equally near words is taken", "[base]") {
    CHECK(nearest("exec_stap", {"exec_stop", "exec_step"}) == "exec_stop");
}

TEST_CASE("unit names are short words that no shell, path or option minds", "[base]") {
    for (auto const* name : {"web", "a", "web@blue", "web-2.example:8080", "_x", "@x", ":x", "0"})
        CHECK(is_unit_name(name));
    for (auto const* name : {"", ".web", "-web", "we b", "web/x", "w\xc3\xa4", "a\n", "a\\b", "a%b", "{web}"})
        CHECK_FALSE(is_unit_name(name));
    CHECK(is_unit_name(std::string(200, 'u')));
    CHECK_FALSE(is_unit_name(std::string(201, 'u')));
    CHECK_FALSE(is_unit_name(std::string_view("a\0b", 3)));
}

TEST_CASE("socket names can stand in a list, a path and a placeholder", "[base]") {
    for (auto const* name : {"http", "h", "-x", ".x", "a;b", "a=b", "a.b@c", "~"})
        CHECK(is_socket_name(name));
    for (auto const* name : {"", "a b", "a:b", "a{", "}a", "a,b", "a/b", "a\tb", "a\x7f", "\xc3\xa4"})
        CHECK_FALSE(is_socket_name(name));
    CHECK(is_socket_name(std::string(255, 'n')));
    CHECK_FALSE(is_socket_name(std::string(256, 'n')));
}

TEST_CASE("a text is split at every separator, and joined back", "[base]") {
    using Parts = std::vector<std::string_view>;
    CHECK(split("a:b:c", ':') == Parts{"a", "b", "c"});
    CHECK(split("", ':') == Parts{""});
    CHECK(split(":", ':') == Parts{"", ""});
    CHECK(split("a::b", ':') == Parts{"a", "", "b"});
    CHECK(join({"a", "b", "c"}, ", ") == "a, b, c");
    CHECK(join({}, ", ").empty());
    CHECK(join({"a"}, ", ") == "a");
}

TEST_CASE("empty parts are kept by a join", "[base]") {
    // A bug once: a separator was written only after something had been.
    CHECK(join({"", "a", ""}, ":") == ":a:");
    CHECK(join({"", ""}, ":") == ":");
}

// Each enum's table must name every value once, both ways.
TEMPLATE_TEST_CASE("every name of a word leads back to it, and no two are the same", "[base]", ServiceType,
                   Activation, RestartWhen, Strategy, HandoffKind) {
    std::set<std::string_view> names;
    for (auto const& row : enum_table(TestType{})) {
        CHECK(to_name(row.value) == row.name);
        CHECK(from_name<TestType>(row.name) == row.value);
        names.insert(row.name);
    }
    CHECK(names.size() == enum_table(TestType{}).size());
    CHECK(to_name(static_cast<TestType>(names.size())) == "?");
    CHECK_FALSE(from_name<TestType>("").has_value());
    CHECK_FALSE(from_name<TestType>("no such word").has_value());
}
