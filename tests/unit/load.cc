// SPDX-License-Identifier: Apache-2.0
#include "unit/load.h"

#include "catch.h"
#include "support/temp_folder.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

using namespace holdfast;
namespace fs = std::filesystem;

namespace {

std::string const service = "[service]\nexec_start = [\"/usr/bin/web\"]\n";

struct Folder : test::TempFolder {
    [[nodiscard]] std::string at(std::string const& name) const { return *this / name; }
    void write(std::string const& name, std::string const& text) const { test::write_file(at(name), text); }
};

} // namespace

TEST_CASE("one bad unit does not touch the others of its folder", "[unit]") {
    Folder const folder;
    folder.write("web.toml", service);
    folder.write("bad.toml", "nonsense");
    folder.write("big.toml", std::string(1024UL * 1024 + 1, '#'));
    folder.write("a b.toml", service);
    folder.write("web@.toml", service);
    folder.write("README", "nonsense");
    folder.write(".hidden.toml", "nonsense");
    fs::create_directory(folder.at("folder.toml"));
    REQUIRE(::mkfifo(folder.at("fifo.toml").c_str(), 0600) == 0);
    fs::create_symlink("nowhere.toml", folder.at("dangling.toml"));
    fs::create_symlink("loop.toml", folder.at("loop.toml"));
    auto const loaded = load_units({folder.at("")});
    CHECK(loaded.folder_errors.empty());
    REQUIRE(loaded.specs.size() == 1);
    CHECK(loaded.specs.begin()->second->path == folder.at("") + "/web.toml");
    auto const message_of = [&](std::string const& name) { return to_string(loaded.bad.at(name)); };
    CHECK(loaded.bad.size() == 8);
    CHECK_THAT(message_of("bad"), ContainsSubstring("bad.toml:1:"));
    CHECK_THAT(message_of("big"), ContainsSubstring("larger than 1 MiB"));
    CHECK_THAT(message_of("a b"), ContainsSubstring("no name of a unit"));
    CHECK_THAT(message_of("web@"), ContainsSubstring("templates are not supported yet"));
    CHECK_THAT(message_of("folder"), ContainsSubstring("no regular file"));
    CHECK_THAT(message_of("fifo"), ContainsSubstring("no regular file"));
    CHECK_THAT(message_of("dangling"), ContainsSubstring("No such file"));
    CHECK_THAT(message_of("loop"), ContainsSubstring("symbolic links"));
}

TEST_CASE("the first folder that has a unit wins, good or bad", "[unit]") {
    Folder const folder;
    folder.write("etc/web.toml", service + "user = \"etc\"\n");
    folder.write("lib/web.toml", service + "user = \"lib\"\n");
    folder.write("lib/db.toml", service);
    folder.write("etc/db.toml", "nonsense");
    auto const loaded = load_units({folder.at("none"), folder.at("etc"), folder.at("lib")});
    REQUIRE(loaded.specs.size() == 1);
    CHECK(loaded.specs.at("web")->service.user == "etc");
    CHECK(loaded.bad.count("db") == 1);
}

TEST_CASE("a link to /dev/null masks a unit", "[unit]") {
    Folder const folder;
    folder.write("lib/web.toml", service);
    fs::create_directory(folder.at("etc"));
    fs::create_symlink("/dev/null", folder.at("etc/web.toml"));
    auto const loaded = load_units({folder.at("etc"), folder.at("lib")});
    CHECK(loaded.specs.empty());
    CHECK(loaded.bad.empty());
}

TEST_CASE("drop-ins of all folders merge in the order of their names, the first folder's of one name",
          "[unit]") {
    Folder const folder;
    folder.write("lib/web.toml", service);
    folder.write("lib/web.toml.d/20-user.toml", "service.user = \"lib\"\nservice.group = \"lib\"\n");
    folder.write("lib/web.toml.d/10-first.toml",
                 "service.user = \"first\"\nservice.working_directory = \"/first\"\n");
    folder.write("lib/web.toml.d/30-hidden.toml", "nonsense");
    folder.write("lib/web.toml.d/ignored.conf", "nonsense");
    folder.write("etc/web.toml.d/20-user.toml", "service.user = \"etc\"\n");
    fs::create_symlink("/dev/null", folder.at("etc/web.toml.d/30-hidden.toml"));
    auto const loaded = load_units({folder.at("etc"), folder.at("lib")});
    REQUIRE(loaded.specs.size() == 1);
    auto const& spec = *loaded.specs.at("web");
    CHECK(spec.service.user == "etc");
    CHECK(spec.service.group.empty());
    CHECK(spec.service.working_directory == "/first");
}

TEST_CASE("a bad drop-in is that unit's error and names its own file", "[unit]") {
    Folder const folder;
    folder.write("web.toml", service);
    folder.write("web.toml.d/a.toml", "[service]\nuser = 1.5\n");
    folder.write("db.toml", service);
    folder.write("db.toml.d", "no folder");
    auto const loaded = load_units({folder.at("")});
    CHECK(loaded.specs.empty());
    CHECK_THAT(to_string(loaded.bad.at("web")), ContainsSubstring("web.toml.d/a.toml:2:8: error: "));
    CHECK_THAT(to_string(loaded.bad.at("db")),
               ContainsSubstring("db.toml.d: error: cannot open the folder: Not a directory"));
}

TEST_CASE("a folder that cannot be read is reported, one that is missing only when it must exist", "[unit]") {
    Folder const folder;
    folder.write("file", "");
    auto const missing = folder.at("missing");
    CHECK(load_units({missing}).folder_errors.empty());
    auto const loaded = load_units({missing, folder.at("file")}, true);
    REQUIRE(loaded.folder_errors.size() == 2);
    CHECK_THAT(to_string(loaded.folder_errors[0]),
               ContainsSubstring("missing: error: cannot open the folder: No such"));
    CHECK(!loaded.folder_errors[1].suggestion.empty());
}

TEST_CASE("a file or folder without the right to read it is reported", "[unit]") {
    Folder const folder;
    folder.write("web.toml", service);
    folder.write("closed/web.toml", service);
    fs::permissions(folder.at(""), fs::perms{0755});
    fs::permissions(folder.at("web.toml"), fs::perms::none);
    fs::permissions(folder.at("closed"), fs::perms::none);
    // Root may read everything, so root does this as nobody.
    uid_t const self = ::geteuid();
    REQUIRE((self != 0 || ::seteuid(65534) == 0));
    auto const loaded = load_units({folder.at(""), folder.at("closed")});
    REQUIRE(::seteuid(self) == 0);
    REQUIRE(loaded.bad.size() == 1);
    CHECK_THAT(to_string(loaded.bad.at("web")),
               ContainsSubstring("web.toml: error: cannot read the file: Permission denied"));
    REQUIRE(loaded.folder_errors.size() == 1);
    CHECK_THAT(to_string(loaded.folder_errors),
               ContainsSubstring("closed: error: cannot open the folder: Permission denied"));
    CHECK_THAT(loaded.folder_errors[0].suggestion, ContainsSubstring("chmod"));
    fs::permissions(folder.at("closed"), fs::perms::owner_all);
}

TEST_CASE("one file is loaded with the drop-ins beside it", "[unit]") {
    Folder const folder;
    folder.write("web.toml", service);
    folder.write("web.toml.d/a.toml", "service.user = \"a\"\n");
    auto const unit = load_unit_file(folder.at("web.toml"));
    REQUIRE(unit.spec);
    CHECK(unit.spec->name == "web");
    CHECK(unit.spec->service.user == "a");
    CHECK(!load_unit_file(folder.at("none.toml")).spec);
    CHECK(!load_unit_file("").spec);
}

TEST_CASE("the folders of a user follow the base directory variables", "[unit]") {
    CHECK(system_unit_folders().front() == "/etc/holdfast/units");
    ::setenv("XDG_CONFIG_HOME", "/c", 1);
    ::setenv("XDG_RUNTIME_DIR", "relative", 1); // to be taken as not set
    ::unsetenv("XDG_DATA_HOME");
    ::setenv("HOME", "/home/a", 1);
    CHECK(user_unit_folders() == std::vector<std::string>{"/c/holdfast/units",
                                                          "/home/a/.local/share/holdfast/units",
                                                          "/usr/lib/holdfast/user-units"});
}
