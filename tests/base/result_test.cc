// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"
#include "base/scope_exit.h"
#include "catch.h"

#include <cerrno>
#include <memory>
#include <string>

using namespace holdfast;

TEST_CASE("a result is a value or an error, and says which", "[base]") {
    Result<int> const good{5};
    Result<int> const bad{plain_error("no")};
    CHECK(good.has_value());
    CHECK(static_cast<bool>(good));
    CHECK(good.value() == 5);
    CHECK(*good == 5);
    CHECK_FALSE(bad.has_value());
    CHECK(bad.error().doing == "no");
}

TEST_CASE("looking at the side of a result that is not there breaks a promise, and throws", "[base]") {
    Result<int> good{5};
    Result<int> bad{plain_error("no")};
    CHECK_THROWS_AS(bad.value(), BrokenPromise);
    CHECK_THROWS_AS(*bad, BrokenPromise);
    CHECK_THROWS_AS(good.error(), BrokenPromise);
    CHECK_THROWS_AS(Outcome{}.error(), BrokenPromise);
    CHECK_THROWS_AS(
        Result<std::string> { plain_error("no") } -> size(), BrokenPromise);
}

TEST_CASE("a result may hold what can only be moved", "[base]") {
    Result<std::unique_ptr<int>> made{std::make_unique<int>(7)};
    auto const taken = std::move(made).value();
    CHECK(*taken == 7);
    Result<std::unique_ptr<int>> other{std::make_unique<int>(8)};
    CHECK(**other == 8);
    CHECK(**std::move(other) == 8);
}

TEST_CASE("a result of a type that converts from anything keeps value and error apart", "[base]") {
    Result<bool> const no{false};
    CHECK(no.has_value());
    CHECK_FALSE(*no);
    Result<Result<int>> const nested{Result<int>{plain_error("inner")}};
    CHECK(nested.has_value());
    CHECK_FALSE(nested->has_value());
}

TEST_CASE("value_or is the value, or what is given instead", "[base]") {
    CHECK(Result<int>{5}.value_or(6) == 5);
    CHECK(Result<int>{plain_error("no")}.value_or(6) == 6);
    CHECK(Result<std::string>{plain_error("no")}.value_or("other") == "other");
}

TEST_CASE("an outcome is done, or why not", "[base]") {
    CHECK(Outcome{}.has_value());
    Outcome const failed{system_error(EACCES, "bind 0.0.0.0:80")};
    CHECK_FALSE(failed);
    CHECK(failed.error().code == EACCES);
    CHECK(Outcome{plain_error("x")}.error().doing == "x");
}

TEST_CASE("an error is one line that says where, what, why and what to do", "[base]") {
    CHECK(to_string(system_error(EACCES, "bind 0.0.0.0:80", "web", "give holdfastd CAP_NET_BIND_SERVICE")) ==
          "web: cannot bind 0.0.0.0:80: Permission denied; give holdfastd CAP_NET_BIND_SERVICE");
    CHECK(to_string(system_error(ENOENT, "open /x")) == "cannot open /x: No such file or directory");
    CHECK(to_string(plain_error("the port is zero", "web")) == "web: the port is zero");
    CHECK(to_string(plain_error("the port is zero")) == "the port is zero");
    CHECK(to_string(Error{}).empty());
}

TEST_CASE("errno values have names and texts, unknown ones too", "[base]") {
    CHECK(errno_name(ENOENT) == "ENOENT");
    CHECK(errno_text(ENOENT) == "No such file or directory");
    CHECK(errno_name(123456) == "?");
    CHECK(errno_name(-1) == "?");
    CHECK(errno_text(123456) == "unknown error");
}

TEST_CASE("a broken promise says what and where", "[base]") {
    CHECK_NOTHROW(ensure(true));
    CHECK_THROWS_WITH(ensure(false, "one worker per slot"),
                      ContainsSubstring("one worker per slot") && ContainsSubstring("result_test.cc"));
}

TEST_CASE("a scope's exit runs once, also when it is left by an exception, unless dismissed", "[base]") {
    int runs = 0;
    {
        ScopeExit const at_end{[&] { ++runs; }};
        CHECK(runs == 0);
    }
    CHECK(runs == 1);
    try {
        ScopeExit const at_end{[&] { ++runs; }};
        throw 1;
    } catch (int) {
    }
    CHECK(runs == 2);
    {
        ScopeExit at_end{[&] { ++runs; }};
        at_end.dismiss();
    }
    CHECK(runs == 2);
}
