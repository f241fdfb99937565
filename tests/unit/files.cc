// SPDX-License-Identifier: Apache-2.0
// Every file of tests/units: good ones must read back as they were written, bad ones must say what is in the
// file of the same name that ends in .expected. After a wanted change of a message run
//     HOLDFAST_UPDATE_EXPECTED=1 test_unit "[files]"
// which writes those files anew, and fails when it changed any, so that no such run passes for a test; then
// read the difference before it is committed.
#include "catch.h"
#include "unit/daemon_spec.h"
#include "unit/parse.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

using namespace holdfast;
namespace fs = std::filesystem;

namespace {

std::string content_of(fs::path const& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
}

std::vector<fs::path> units_in(char const* folder) {
    std::vector<fs::path> paths;
    for (auto const& entry : fs::directory_iterator{fs::path{HOLDFAST_SOURCE_DIR} / "tests/units" / folder})
        if (entry.path().extension() == ".toml")
            paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

ParsedUnit parse_file(fs::path const& path) {
    return parse_unit(path.stem().string(), UnitText{path.filename().string(), content_of(path)});
}

/// What is said of a bad file is what stands beside it; HOLDFAST_UPDATE_EXPECTED writes that anew.
void check_expected(fs::path const& path, std::vector<Diagnostic> const& diagnostics) {
    CHECK(has_errors(diagnostics));
    auto const shown = to_string(diagnostics);
    auto const expected_path = fs::path{path}.replace_extension(".expected");
    if (std::getenv("HOLDFAST_UPDATE_EXPECTED") != nullptr && content_of(expected_path) != shown) {
        std::ofstream{expected_path, std::ios::binary} << shown;
        FAIL_CHECK("written anew");
    } else {
        CHECK(shown == content_of(expected_path));
    }
}

ParsedDaemon parse_daemon(fs::path const& path) {
    return parse_daemon_file({path.filename().string(), content_of(path)});
}

} // namespace

TEST_CASE("every good unit file reads, and reads back from what to_toml makes of it", "[unit][files]") {
    auto const paths = units_in("good");
    REQUIRE(paths.size() >= 8);
    for (auto const& path : paths) {
        INFO(path.filename().string());
        auto const unit = parse_file(path);
        CHECK(to_string(unit.diagnostics).empty());
        REQUIRE(unit.spec);
        auto const text = to_toml(*unit.spec);
        auto const again = parse_unit(unit.spec->name, UnitText{unit.spec->path, text});
        INFO(text);
        CHECK(to_string(again.diagnostics).empty());
        REQUIRE(again.spec);
        CHECK(*again.spec == *unit.spec);
        CHECK(to_toml(*again.spec) == text);
    }
}

TEST_CASE("every bad unit file is refused with the expected diagnostics", "[unit][files]") {
    auto const paths = units_in("bad");
    REQUIRE(paths.size() >= 45);
    for (auto const& path : paths) {
        INFO(path.filename().string());
        auto const unit = parse_file(path);
        CHECK(!unit.spec);
        check_expected(path, unit.diagnostics);
    }
}

TEST_CASE("every good holdfast.toml reads, and every bad one is refused with the expected diagnostics",
          "[unit][files]") {
    auto const good = units_in("daemon/good"), bad = units_in("daemon/bad");
    REQUIRE(good.size() >= 3);
    REQUIRE(bad.size() >= 5);
    for (auto const& path : good) {
        INFO(path.filename().string());
        CHECK(to_string(parse_daemon(path).diagnostics).empty());
    }
    for (auto const& path : bad) {
        INFO(path.filename().string());
        check_expected(path, parse_daemon(path).diagnostics);
    }
}

TEST_CASE("no expected diagnostics are left over from a unit file that is gone", "[unit][files]") {
    for (auto const& entry : fs::directory_iterator{fs::path{HOLDFAST_SOURCE_DIR} / "tests/units/bad"}) {
        INFO(entry.path().string());
        CHECK(fs::exists(fs::path{entry.path()}.replace_extension(".toml")));
    }
}
