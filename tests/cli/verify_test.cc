// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/verify.h"
#include "control/harness.h"

#include <fstream>

using namespace holdfast;
using namespace holdfast::cli;
using holdfast::test::TempFolder;

namespace {

void write(std::string const& path, std::string const& text) {
    std::ofstream{path} << text;
}

std::string service(std::string const& keys) {
    return "[service]\nexec_start = [\"/bin/sh\"]\n" + keys;
}

} // namespace

TEST_CASE("verify finds units by name, files by path, and everything without either", "[cli]") {
    TempFolder folder;
    write(folder / "web.toml", service(""));
    write(folder / "db.toml", "[service]\nexec_strat = [\"/bin/sh\"]\n");

    auto const named = verify_units({"web", "nix"}, {folder.path()}, true);
    CHECK(named.units.size() == 1);
    CHECK(named.units.at("web").empty());
    CHECK(named.unknown == std::vector<std::string>{"nix"});

    auto const file = verify_units({folder / "db.toml"}, {}, false);
    CHECK(file.units.size() == 1);
    CHECK(has_errors(file.units.at("db")));

    auto const all = verify_units({}, {folder.path()}, true);
    CHECK(all.units.size() == 2);
    CHECK(all.units.at("web").empty());
    CHECK(has_errors(all.units.at("db")));

    auto const missing = verify_units({folder / "nix.toml"}, {}, false);
    CHECK(has_errors(missing.units.at("nix")));
    CHECK(has_errors(verify_units({}, {folder / "no-such-folder"}, true).folders));
}

TEST_CASE("verify warns of a program, a user, a group and a folder that are not there", "[cli]") {
    TempFolder folder;
    write(folder / "plain", "no program");
    struct Row {
        std::string text;
        std::string says; ///< empty: nothing to warn of
    };
    auto const program = [](std::string const& name) {
        return "[service]\nexec_start = [\"" + name + "\"]\n";
    };
    for (auto const& row : std::vector<Row>{
             {service("user = \"root\"\ngroup = \"root\"\nworking_directory = \"/tmp\"\n"), ""},
             {service("user = \"0\"\n"), ""},
             {program("sh"), ""},
             {program("/nonexistent/app"), "`/nonexistent/app` does not exist"},
             {program("no-such-program-here"), "there is no program `no-such-program-here`"},
             {program(folder / "plain"), "is not executable"},
             {program(folder.path()), "is not a file"},
             {service("user = \"no-such-user-here\"\n"), "user: "},
             {service("group = \"no-such-group-here\"\n"), "group: "},
             {service("working_directory = \"/nonexistent\"\n"),
              "working_directory: `/nonexistent` is no folder"},
         }) {
        write(folder / "unit.toml", row.text);
        auto const verified = verify_units({folder / "unit.toml"}, {}, false);
        auto const& found = verified.units.at("unit");
        INFO(row.text << to_string(found));
        CHECK_FALSE(has_errors(found));
        CHECK(found.size() == (row.says.empty() ? 0 : 1));
        CHECK_THAT(to_string(found), ContainsSubstring(row.says));
    }
}
