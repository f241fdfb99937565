// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/log_tail.h"
#include "support/temp_folder.h"

#include <fstream>

#include <nlohmann/json.hpp>

using namespace holdfast::cli;
using namespace holdfast::test;
using nlohmann::json;

namespace {

json unit_with(std::string const& path) {
    return {{"name", "web"}, {"output", "file"}, {"log", path}};
}

} // namespace

TEST_CASE("the last lines of a log file are read, the oldest first", "[cli]") {
    TempFolder const folder;
    auto const path = folder.path() + "/web.log";
    std::ofstream{path} << "one\ntwo\nthree\nfour, not ended";
    auto const tail = read_log_tail(unit_with(path), 3);
    CHECK(tail.lines == std::vector<std::string>{"two", "three", "four, not ended"});
    CHECK(tail.where == path);
    CHECK(tail.problem.empty());
}

TEST_CASE("of a large log file only the end is read, and long lines are cut", "[cli]") {
    TempFolder const folder;
    auto const path = folder.path() + "/web.log";
    {
        std::ofstream file{path};
        for (int line = 0; line < 100000; ++line)
            file << "line " << line << "\n";
        file << std::string(2000, 'x') << "\n";
    }
    auto const tail = read_log_tail(unit_with(path), 2);
    REQUIRE(tail.lines.size() == 2);
    CHECK(tail.lines[0] == "line 99999");
    CHECK(tail.lines[1] == std::string(500, 'x'));
    for (auto const& line : read_log_tail(unit_with(path), 100000).lines)
        CHECK((line.starts_with("line ") || line.starts_with("x")));
}

TEST_CASE("of a line longer than what is read the end is shown", "[cli]") {
    TempFolder const folder;
    auto const path = folder.path() + "/web.log";
    std::ofstream{path} << "begin" << std::string(100000, 'x') << "end\n";
    auto const tail = read_log_tail(unit_with(path), 2);
    REQUIRE(tail.lines.size() == 1);
    CHECK(tail.lines[0].size() == 500);
    CHECK(tail.lines[0].starts_with("...xxx"));
    CHECK(tail.lines[0].ends_with("xxxend"));
}

TEST_CASE("what is no regular file is not read", "[cli]") {
    TempFolder const folder;
    CHECK(read_log_tail(unit_with(folder.path()), 5).problem == "not a regular file");
    CHECK(read_log_tail(unit_with("/dev/zero"), 5).problem == "not a regular file");
}

TEST_CASE("a log that cannot be read, or is nowhere, is no failure", "[cli]") {
    auto const gone = read_log_tail(unit_with("/nonexistent/web.log"), 5);
    CHECK(gone.lines.empty());
    CHECK(gone.problem == "No such file or directory");
    CHECK(read_log_tail({{"name", "web"}, {"log", nullptr}, {"output", "through"}}, 5).where.empty());
    CHECK(read_log_tail({{"name", "web"}, {"log", nullptr}, {"output", "journal"}}, 5).where ==
          "journalctl -t web");
}
