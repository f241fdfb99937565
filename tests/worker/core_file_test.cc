// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "worker/core_file.h"

#include <unistd.h>

using namespace holdfast;

namespace {

DumpedProcess process() {
    return {4711, 11, "a-program-with-a-long-name", "/srv/web"};
}

} // namespace

TEST_CASE("a core's file is named as core(5) says", "[worker]") {
    CHECK(core_path("core", false, process()) == "/srv/web/core");
    CHECK(core_path("core", true, process()) == "/srv/web/core.4711");
    CHECK(core_path("core.%p", true, process()) == "/srv/web/core.4711");
    CHECK(core_path("cores/%s%%", false, process()) == "/srv/web/cores/11%");
    CHECK(core_path("/var/crash/%e.%P", false, process()) == "/var/crash/a-program-with-.4711");
    CHECK(core_path("/cores/end%", false, process()) == "/cores/end");
    auto odd = process();
    odd.command = "a/b";
    CHECK(core_path("/%e", false, odd) == "/a!b");
}

TEST_CASE("a core that goes to a program, or whose name is not known, has no file", "[worker]") {
    CHECK(!core_path("|/usr/lib/systemd/systemd-coredump %P", false, process()));
    CHECK(!core_path("@/run/coredump.socket", false, process()));
    CHECK(!core_path("core.%t", false, process()));
    CHECK(!core_path("", true, process()));
}

TEST_CASE("who lives, and who does not, dumps no core", "[worker]") {
    CHECK(!is_dumping_core(::getpid()));
    CHECK(!is_dumping_core(0));
}
