// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "worker/cgroup_place.h"
#include "worker/leftovers.h"

using namespace holdfast;

namespace {

constexpr char const* pure_v2 =
    "24 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw\n"
    "29 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 "
    "rw,nsdelegate,memory_recursiveprot\n";
constexpr char const* hybrid =
    "33 24 0:29 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,size=4096k\n"
    "34 33 0:30 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
    "35 33 0:31 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd\n";
constexpr char const* only_v1 =
    "35 33 0:31 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory\n";

CgroupPlace place_of(std::string_view mountinfo, std::string_view cgroup) {
    auto const places = find_cgroups(mountinfo, cgroup);
    return places.empty() ? CgroupPlace{"none", "none"} : places.front();
}

} // namespace

TEST_CASE("a service of systemd is in the cgroup of its unit", "[worker]") {
    CHECK(place_of(pure_v2, "0::/system.slice/holdfast.service\n") ==
          CgroupPlace{"/sys/fs/cgroup/system.slice/holdfast.service", "/system.slice/holdfast.service"});
}

TEST_CASE("the root of all cgroups, and of a namespace, is the mount itself", "[worker]") {
    CHECK(place_of(pure_v2, "0::/\n") == CgroupPlace{"/sys/fs/cgroup", "/"});
}

TEST_CASE("in the hybrid layout the cgroup of version 2 is beside those of version 1", "[worker]") {
    CHECK(place_of(hybrid, "5:memory:/a\n1:name=systemd:/b\n0::/user.slice/x.scope\n") ==
          CgroupPlace{"/sys/fs/cgroup/unified/user.slice/x.scope", "/user.slice/x.scope"});
}

TEST_CASE("with version 1 alone there is no place", "[worker]") {
    CHECK(find_cgroups(only_v1, "5:memory:/a\n1:name=systemd:/b\n").empty());
    CHECK(find_cgroups(only_v1, "5:memory:/a\n0::/b\n").empty());
    CHECK(find_cgroups("", "").empty());
}

TEST_CASE("a container that sees a part of the hierarchy finds itself below its root", "[worker]") {
    constexpr char const* mounted =
        "41 30 0:26 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n";
    CHECK(place_of(mounted, "0::/docker/abc\n") == CgroupPlace{"/sys/fs/cgroup", "/docker/abc"});
    CHECK(place_of(mounted, "0::/docker/abc/init\n") ==
          CgroupPlace{"/sys/fs/cgroup/init", "/docker/abc/init"});
    CHECK(find_cgroups(mounted, "0::/docker/abcdef\n").empty());
    CHECK(find_cgroups(mounted, "0::/\n").empty());
}

TEST_CASE("a cgroup outside of the namespace, or one that was removed, is no place", "[worker]") {
    CHECK(find_cgroups(pure_v2, "0::/../other\n").empty());
    CHECK(find_cgroups(pure_v2, "0::/gone (deleted)\n").empty());
}

TEST_CASE("what was mounted last is looked at first, and a name is read without its escapes", "[worker]") {
    auto const twice = std::string{pure_v2} + "50 30 0:26 / /my\\040cgroups rw - cgroup2 cgroup2 rw\n";
    auto const places = find_cgroups(twice, "0::/a\n");
    REQUIRE(places.size() == 2);
    CHECK(places[0].folder == "/my cgroups/a");
    CHECK(places[1].folder == "/sys/fs/cgroup/a");
}

TEST_CASE("lines that are cut short are passed over", "[worker]") {
    CHECK(find_cgroups("1 2 0:1 / /x rw - cgroup2\n29 24 0:26 / /x\n-\n - cgroup2 a\n", "0::/\n").size() ==
          1);
    CHECK(find_cgroups(pure_v2, "0::\n0:").empty());
}

TEST_CASE("the cgroup above a leaf is found up to the root", "[worker]") {
    CHECK(parent_of({"/sys/fs/cgroup/a/supervisor", "/a/supervisor"}) ==
          CgroupPlace{"/sys/fs/cgroup/a", "/a"});
    CHECK(parent_of({"/sys/fs/cgroup/supervisor", "/supervisor"}) == CgroupPlace{"/sys/fs/cgroup", "/"});
    CHECK(parent_of({"/sys/fs/cgroup", "/"}) == CgroupPlace{"/sys/fs/cgroup", "/"});
}

TEST_CASE("the cgroup of a generation is named by its unit and number", "[worker]") {
    CHECK(generation_cgroup("web", 3) == "web.g3");
    CHECK(generation_cgroup("web@blue:1-x_Y", 12) == "web@blue:1-x_Y.g12");
}

TEST_CASE("no unit's name makes the cgroup look like a file of the kernel or another generation",
          "[worker]") {
    CHECK(generation_cgroup("cgroup.procs", 1) == "cgroup\\x2eprocs.g1");
    CHECK(generation_cgroup("web.g1", 2) == "web\\x2eg1.g2");
    CHECK(generation_cgroup("web.g1", 2) != generation_cgroup("web", 12));
}

TEST_CASE("a name that is too long for a folder is cut, and still its own", "[worker]") {
    auto const dots = std::string(199, '.');
    auto const one = generation_cgroup("a" + dots, 4294967295U);
    CHECK(one.size() <= 255);
    CHECK(is_generation_cgroup(one));
    CHECK(one != generation_cgroup("b" + dots, 4294967295U));
    CHECK(one != generation_cgroup("a" + dots.substr(1), 4294967295U));
}

TEST_CASE("only cgroups of generations are taken for such", "[worker]") {
    for (auto const* const name : {"web.g1", "a\\x2eb.g23", "web@x.g4294967295"})
        CHECK(is_generation_cgroup(name));
    for (auto const* const name : {"supervisor", ".control", "web.g", "web.gx", "web.g1x", "a.b.g1", ".g1",
                                   "init.scope", "web.service", ""})
        CHECK_FALSE(is_generation_cgroup(name));
}

TEST_CASE("a process is in a cgroup or below it, and not in one that is called similarly", "[worker]") {
    CHECK(is_path_in("1:cpu:/\n0::/system.slice/holdfast.service/web.g1\n", "web.g1"));
    CHECK(is_path_in("0::/web.g1/a/b\n", "web.g1"));
    CHECK_FALSE(is_path_in("0::/web.g12\n", "web.g1"));
    CHECK_FALSE(is_path_in("0::/my-web.g1\n", "web.g1"));
    CHECK_FALSE(is_path_in("1:cpu:/web.g1\n0::/\n", "web.g1"));
    CHECK_FALSE(is_path_in("1:cpu:/web.g1\n", "web.g1"));
    CHECK_FALSE(is_path_in("", "web.g1"));
}

TEST_CASE("a process is of the generation that its environment names", "[worker]") {
    using namespace std::string_view_literals;
    auto const environment = "A=1\0HOLDFAST_UNIT=web\0NOTIFY_SOCKET=/run/n\0HOLDFAST_GENERATION=7\0"sv;
    CHECK(generation_in(environment, "/run/n") == GenerationOf{"web", 7});
    CHECK(generation_in("HOLDFAST_UNIT=web\0HOLDFAST_GENERATION=7"sv, "/run/n") == GenerationOf{"web", 7});
    // Of a supervisor that is itself a worker.
    CHECK_FALSE(generation_in(environment, "/run/other"));
}

TEST_CASE("an environment that says less, or something else, names no generation", "[worker]") {
    using namespace std::string_view_literals;
    for (auto const text :
         {""sv, "\0\0"sv, "HOLDFAST_UNIT=web\0"sv, "HOLDFAST_GENERATION=1\0"sv,
          "HOLDFAST_UNIT=web\0HOLDFAST_GENERATION=\0"sv, "HOLDFAST_UNIT=web\0HOLDFAST_GENERATION=1x\0"sv,
          "HOLDFAST_UNIT=a/b\0HOLDFAST_GENERATION=1\0"sv,
          "HOLDFAST_UNIT=web\0HOLDFAST_GENERATION=99999999999\0"sv})
        CHECK_FALSE(generation_in(text, "/run/n"));
}
