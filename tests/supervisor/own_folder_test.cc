// SPDX-License-Identifier: Apache-2.0
// The runtime folder and the log folder: ours alone.
#include "harness.h"
#include "supervisor/runtime_folder.h"

#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

TEST_CASE("nobody else may open the lock of the runtime folder", "[supervisor]") {
    // Anybody could take it by flock(2), and holdfastd never started again.
    TempFolder folder;
    auto const path = folder / "run";
    std::filesystem::create_directory(path);
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
    write_file(path + "/lock", "1\n"); // as an older version left it
    REQUIRE(::chmod((path + "/lock").c_str(), 0644) == 0);
    auto const lock = take_runtime_folder(path);
    REQUIRE(lock);
    struct stat seen {};
    REQUIRE(::stat((path + "/lock").c_str(), &seen) == 0);
    CHECK((seen.st_mode & 0777) == 0600);
    auto const second = take_runtime_folder(path);
    REQUIRE_FALSE(second);
    CHECK_THAT(to_string(second.error()),
               ContainsSubstring("another holdfastd (pid " + std::to_string(::getpid())));
}

TEST_CASE("a folder that others may write to, or that is not ours, is refused with its name",
          "[supervisor]") {
    // The log folder was taken as it was, also one that somebody else had put there.
    TempFolder folder;
    auto const path = folder / "state/log";
    REQUIRE(open_own_folder(path, 0750, "log folder"));
    REQUIRE(::chmod(path.c_str(), 0770) == 0);
    auto const shared = open_own_folder(path, 0750, "log folder");
    REQUIRE_FALSE(shared);
    CHECK_THAT(to_string(shared.error()),
               ContainsSubstring("the log folder " + path + " can be written by others"));
    if (::geteuid() != 0) {
        WARN("skipped: only root may give a folder away");
        return;
    }
    REQUIRE(::chmod(path.c_str(), 0750) == 0);
    REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
    auto const foreign = open_own_folder(path, 0750, "log folder");
    REQUIRE_FALSE(foreign);
    CHECK_THAT(to_string(foreign.error()), ContainsSubstring("belongs to user 65534"));
}
