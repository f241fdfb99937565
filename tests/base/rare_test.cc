// SPDX-License-Identifier: Apache-2.0
#include "base/rare.h"
#include "catch.h"

#include <string>

using namespace holdfast;

TEST_CASE("something rare is a value: a copy is its own, and compares by what it holds", "[base]") {
    Rare<std::string> const empty;
    Rare<std::string> first{"one"};
    auto second = first;
    CHECK(first == second);
    CHECK_FALSE(first == empty);
    *second += "!";
    CHECK(*first == "one");
    CHECK_FALSE(first == second);
    first = second;
    CHECK(first->size() == 4);
    first = first;
    CHECK(first == second);
    first = empty;
    CHECK_FALSE(first.has_value());
    CHECK(first == empty);
}

TEST_CASE("something rare can be taken out, and costs a pointer", "[base]") {
    Rare<std::string> held{"one"};
    auto const taken = std::exchange(held, std::nullopt);
    CHECK(*taken == "one");
    CHECK_FALSE(held);
    CHECK(sizeof held == sizeof(void*));
    held.emplace() += "two";
    CHECK(*held == "two");
}
