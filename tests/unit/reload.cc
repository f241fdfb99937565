// SPDX-License-Identifier: Apache-2.0
// Units read again: what has not changed is not, and whatever has changed is seen.
#include "catch.h"
#include "support/temp_folder.h"
#include "unit/load.h"

#include <filesystem>
#include <functional>

#include <fcntl.h>
#include <sys/stat.h>

using namespace holdfast;
namespace fs = std::filesystem;

namespace {

std::string const service = "[service]\nexec_start = [\"/usr/bin/web\"]\n";
using Known = std::map<std::string, UnitSpecPtr>;

timespec later() {
    auto now = file_system_time();
    now.tv_sec += 100;
    return now;
}

/// Two folders of units, the first before the second, and a unit web in the second.
struct Folders : test::TempFolder {
    Folders() {
        fs::create_directory(at("first"));
        write("second/web.toml", service);
    }
    [[nodiscard]] std::string at(std::string const& name) const { return *this / name; }
    void write(std::string const& name, std::string const& text) const { test::write_file(at(name), text); }
    [[nodiscard]] LoadedUnits load(Known const& known, timespec now) const {
        return load_units({at("first"), at("second")}, true, known, now);
    }
    /// What is known of web: as it was loaded at that time, but for a description that is in no file.
    [[nodiscard]] Known known(timespec now) const {
        auto spec = *load({}, now).specs.at("web");
        spec.description = "remembered";
        return {{"web", std::make_shared<UnitSpec const>(spec)}};
    }
};

bool is_remembered(LoadedUnits const& loaded) {
    auto const found = loaded.specs.find("web");
    return found != loaded.specs.end() && found->second->description == "remembered";
}

} // namespace

TEST_CASE("a unit whose files have not changed is not read again", "[unit]") {
    Folders const folders;
    if (GENERATE(false, true)) {
        folders.write("first/web.toml.d/a.toml", "[unit]\nstart_at_boot = false\n");
        folders.write("second/web.toml.d/b.toml", "[unit]\ndocumentation = [\"man:web\"]\n");
    }
    auto const known = folders.known(later());
    auto const loaded = folders.load(known, later());
    CHECK(is_remembered(loaded));
    CHECK(loaded.specs.at("web") == known.at("web"));
}

TEST_CASE("whatever changes of a unit's files is seen", "[unit]") {
    struct Row {
        char const* what;
        std::function<void(Folders const&)> change;
    };
    std::string const main = "second/web.toml";
    std::string const drop_in = "second/web.toml.d/b.toml";
    for (auto const& row : std::vector<Row>{
             {"its text", [&](Folders const& in) { in.write(main, service + "workers = 1\n"); }},
             {"another file by its name",
              [&](Folders const& in) {
                  in.write("second/new", service); // says the same
                  fs::rename(in.at("second/new"), in.at(main));
              }},
             {"its time alone",
              [&](Folders const& in) {
                  timespec const times[]{{1, 0}, {1, 0}};
                  REQUIRE(::utimensat(AT_FDCWD, in.at(main).c_str(), times, 0) == 0);
              }},
             {"a link in its place",
              [&](Folders const& in) {
                  in.write("other", service);
                  fs::remove(in.at(main));
                  fs::create_symlink(in.at("other"), in.at(main));
              }},
             {"a file in an earlier folder", [&](Folders const& in) { in.write("first/web.toml", service); }},
             {"a mask", [&](Folders const& in) { fs::create_symlink("/dev/null", in.at("first/web.toml")); }},
             {"that it is gone", [&](Folders const& in) { fs::remove(in.at(main)); }},
             {"that it is broken", [&](Folders const& in) { in.write(main, "nonsense"); }},
             {"a new drop-in", [&](Folders const& in) { in.write("second/web.toml.d/c.toml", "[unit]\n"); }},
             {"a drop-in in another folder",
              [&](Folders const& in) { in.write("first/web.toml.d/a.toml", "[unit]\n"); }},
             {"a drop-in's text", [&](Folders const& in) { in.write(drop_in, "[unit]\n"); }},
             {"that a drop-in is gone", [&](Folders const& in) { fs::remove(in.at(drop_in)); }},
             {"that a drop-in is masked",
              [&](Folders const& in) {
                  fs::create_directory(in.at("first/web.toml.d"));
                  fs::create_symlink("/dev/null", in.at("first/web.toml.d/b.toml"));
              }},
             {"a drop-in that leads nowhere",
              [&](Folders const& in) { fs::create_symlink("nowhere", in.at("second/web.toml.d/c.toml")); }},
         }) {
        INFO(row.what);
        Folders const folders;
        folders.write(drop_in, "[unit]\nstart_at_boot = false\n");
        auto const known = folders.known(later());
        REQUIRE(is_remembered(folders.load(known, later())));
        row.change(folders);
        CHECK_FALSE(is_remembered(folders.load(known, later())));
    }
}

TEST_CASE("what there is to say about a unit is said each time it is loaded", "[unit]") {
    Folders const folders;
    folders.write("second/web.toml", "[service]\nexec_start = [\"/usr/bin/web server\"]\n");
    auto const first = folders.load({}, later());
    REQUIRE(first.warnings.size() == 1);
    CHECK(folders.load(first.specs, later()).warnings.size() == 1);
}

TEST_CASE("a file changed a moment ago is read each time, since it may change again and look the same",
          "[unit]") {
    Folders const folders;
    auto const now = file_system_time();
    auto const known = folders.known(now);
    CHECK_FALSE(is_remembered(folders.load(known, now)));
    CHECK_FALSE(is_remembered(folders.load(known, later()))); // what was read then proves nothing either

    // Of the same length and in the same tick: only that it was not trusted shows the change.
    auto before = folders.load({}, now).specs;
    for (std::string const program : {"/usr/bin/wob", "/usr/bin/wub", "/usr/bin/wib"}) {
        folders.write("second/web.toml", "[service]\nexec_start = [\"" + program + "\"]\n");
        before = folders.load(before, now).specs;
        CHECK(before.at("web")->service.exec_start.front() == program);
    }
}

TEST_CASE("a file that was read again and says the same leaves the spec as it is, and is trusted then",
          "[unit]") {
    Folders const folders;
    auto const first = folders.load({}, file_system_time()).specs; // too young
    CHECK(first.at("web")->source.stamp == 0);
    auto const second = folders.load(first, later()).specs;
    CHECK(second.at("web") == first.at("web"));
    CHECK(first.at("web")->source.stamp != 0);
    folders.write("second/web.toml", service + "# a word more\n");
    auto const third = folders.load(second, later()).specs;
    CHECK(third.at("web") == first.at("web"));
    CHECK(folders.load(third, later()).specs.at("web") == first.at("web"));
}
