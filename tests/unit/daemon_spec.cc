// SPDX-License-Identifier: Apache-2.0
#include "unit/daemon_spec.h"

#include "catch.h"
#include "support/temp_folder.h"

using namespace holdfast;
using namespace holdfast::test;

TEST_CASE("holdfast.toml is read by its own table, with all defaults without it", "[unit]") {
    CHECK(parse_daemon_file({"holdfast.toml", ""}).spec == DaemonSpec{});
    auto const parsed =
        parse_daemon_file({"holdfast.toml", "[daemon]\nlog_level = \"debug\"\nunit_dirs = \"/a\"\n"
                                            "[control]\nmode = \"0666\"\ngroup = 33\n"
                                            "[limits]\nmax_connections = 7\n"});
    CHECK(parsed.diagnostics.empty());
    CHECK(parsed.spec.log_level == LogLevel::Debug);
    CHECK(parsed.spec.unit_dirs == std::vector<std::string>{"/a"});
    CHECK(parsed.spec.mode == 0666);
    CHECK(parsed.spec.group == "33");
    CHECK(parsed.spec.max_connections == 7);
}

TEST_CASE("beside an error in holdfast.toml the rest is read all the same", "[unit]") {
    auto const parsed = parse_daemon_file(
        {"holdfast.toml", "[limits]\nmax_connections = 0\n[daemon]\nlog_level = \"debug\"\n"});
    CHECK(has_errors(parsed.diagnostics));
    CHECK(parsed.spec.log_level == LogLevel::Debug);
    CHECK(parsed.spec.max_connections == DaemonSpec{}.max_connections);
}

TEST_CASE("what another holdfast.toml changes is named, and whether it takes an upgrade", "[unit]") {
    DaemonSpec wanted;
    CHECK(changes_between({}, wanted).empty());
    wanted.log_level = LogLevel::Warning;
    wanted.group = "web";
    auto const changes = changes_between({}, wanted);
    REQUIRE(changes.size() == 2);
    CHECK(changes[0].key == "daemon.log_level");
    CHECK(changes[0].words == "\"info\" -> \"warning\"");
    CHECK(changes[0].is_taken_over);
    CHECK(changes[1].key == "control.group");
    CHECK_FALSE(changes[1].is_taken_over);
}

TEST_CASE("a holdfast.toml that is not there is an error only where it was named", "[unit]") {
    TempFolder const folder;
    CHECK(load_daemon_file(folder / "holdfast.toml", false).diagnostics.empty());
    CHECK(has_errors(load_daemon_file(folder / "holdfast.toml", true).diagnostics));
    write_file(folder / "holdfast.toml", "[daemon]\nlog_level = \"debug\"\n");
    CHECK(load_daemon_file(folder / "holdfast.toml", false).spec.log_level == LogLevel::Debug);
    CHECK(has_errors(load_daemon_file(folder.path(), false).diagnostics));
    CHECK(load_daemon_file(folder / "holdfast.toml/holdfast.toml", false).diagnostics.empty());
}
