// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "cli/path_watch.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace holdfast;
using namespace holdfast::cli;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// A folder of its own, a loop, and what the watch told.
struct Scene {
    fs::path folder;
    std::unique_ptr<EventLoop> loop;
    std::vector<std::string> told;
    int blind = 0; ///< how often it was said that something is not seen
    std::unique_ptr<PathWatch> watch;

    Scene() {
        std::string pattern = (fs::temp_directory_path() / "holdfast-watch-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        auto made = EventLoop::create();
        REQUIRE(made);
        loop = std::move(made).value();
        watch = std::make_unique<PathWatch>(
            *loop, [this](std::string const& path) { told.push_back(path); },
            [this](Error const&) { ++blind; });
    }
    ~Scene() {
        watch.reset();
        fs::remove_all(folder);
    }
    void write(std::string const& name) { std::ofstream{folder / name} << "x"; }
    /// True if something is told before nothing has come for far longer than a change needs to settle.
    bool hears() {
        auto const before = told.size();
        while (told.size() == before && loop->run_once(5 * PathWatch::settle_time)) {
        }
        return told.size() > before;
    }
};

} // namespace

TEST_CASE("many writes of a watched file are told once, when they have settled", "[cli]") {
    Scene scene;
    scene.write("app");
    REQUIRE(scene.watch->add((scene.folder / "app").string()));
    for (int i = 0; i < 20; ++i)
        scene.write("app");
    CHECK(scene.hears());
    CHECK_FALSE(scene.hears());
    CHECK(scene.told == std::vector<std::string>{(scene.folder / "app").string()});
}

TEST_CASE("a watched file that is replaced by rename is still watched", "[cli]") {
    Scene scene;
    scene.write("app");
    REQUIRE(scene.watch->add((scene.folder / "app").string()));
    for (int round = 0; round < 2; ++round) {
        scene.write("app.new");
        fs::rename(scene.folder / "app.new", scene.folder / "app");
        CHECK(scene.hears());
    }
}

TEST_CASE("the neighbours of a watched file are not told", "[cli]") {
    Scene scene;
    scene.write("app");
    REQUIRE(scene.watch->add((scene.folder / "app").string()));
    scene.write("other");
    CHECK_FALSE(scene.hears());
}

TEST_CASE("a watched folder tells of new folders below it and what is in them, but not of hidden files",
          "[cli]") {
    Scene scene;
    REQUIRE(scene.watch->add(scene.folder.string()));
    fs::create_directory(scene.folder / "deep");
    CHECK(scene.hears());
    scene.write("deep/file");
    CHECK(scene.hears());
    scene.write(".hidden");
    scene.write("backup~");
    CHECK_FALSE(scene.hears());
}

TEST_CASE("a path that does not exist cannot be watched", "[cli]") {
    Scene scene;
    auto const added = scene.watch->add((scene.folder / "nothing").string());
    REQUIRE_FALSE(added);
    CHECK(added.error().code == ENOENT);
}

TEST_CASE("folders that come and go do not use up the places of those that stay", "[cli]") {
    // The watches of removed folders were kept: after a thousand of them no new folder was seen, in silence.
    Scene scene;
    REQUIRE(scene.watch->add(scene.folder.string()));
    for (std::size_t i = 0; i < PathWatch::most_folders + 10; ++i) {
        auto const folder = scene.folder / ("build" + std::to_string(i));
        fs::create_directory(folder);
        while (scene.loop->run_once(0ms)) {
        }
        fs::remove(folder);
        while (scene.loop->run_once(0ms)) {
        }
    }
    CHECK(scene.hears());
    CHECK(scene.blind == 0);
    fs::create_directory(scene.folder / "last");
    CHECK(scene.hears());
    scene.write("last/file");
    CHECK(scene.hears());
}

TEST_CASE("past the limit of folders it is said once that new ones are not seen", "[cli]") {
    Scene scene;
    for (std::size_t i = 1; i < PathWatch::most_folders; ++i)
        fs::create_directory(scene.folder / std::to_string(i));
    REQUIRE(scene.watch->add(scene.folder.string()));
    fs::create_directory(scene.folder / "more");
    CHECK(scene.hears());
    fs::create_directory(scene.folder / "and more");
    CHECK(scene.hears());
    CHECK(scene.blind == 1);
}
