// SPDX-License-Identifier: Apache-2.0
// What ends other processes, on processes of our own.
#include "worker/cgroup.h"
#include "worker/leftovers.h"
#include "worker/support.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// A cgroup of our own beside those of the machine, gone at the end; none where there is none to be had.
class OwnCgroup {
public:
    OwnCgroup() {
        for (std::string const root : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"})
            if (::access((root + "/cgroup.procs").c_str(), W_OK) == 0) {
                path_ = root + "/holdfast-test-" + std::to_string(::getpid());
                if (::mkdir(path_.c_str(), 0755) == 0)
                    break;
                path_.clear();
            }
    }
    ~OwnCgroup() {
        if (!path_.empty())
            ::rmdir(path_.c_str());
    }
    [[nodiscard]] bool is_there() const { return !path_.empty(); }
    [[nodiscard]] std::string const& path() const { return path_; }
    [[nodiscard]] std::shared_ptr<UniqueFd const> open(std::string const& below = "") const {
        return std::make_shared<UniqueFd const>(
            ::open((path_ + below).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    [[nodiscard]] bool is_empty() const {
        std::ifstream file{path_ + "/cgroup.events"};
        std::string const text{std::istreambuf_iterator<char>{file}, {}};
        return text.find("populated 0") != std::string::npos;
    }

private:
    std::string path_;
};

} // namespace

TEST_CASE("a worker is born in its cgroup", "[worker]") {
    OwnCgroup const cgroup;
    if (!cgroup.is_there()) {
        WARN("skipped: no cgroup of version 2 can be made");
        return;
    }
    TempFolder const folder;
    auto plan = shell("cat /proc/self/cgroup", folder / "out");
    plan.cgroup = cgroup.open();
    Watched watched;
    CHECK(watched.run(plan).find("/holdfast-test-" + std::to_string(::getpid()) + "\n") != std::string::npos);
    CHECK(watched.until([&] { return cgroup.is_empty(); }));
}

TEST_CASE("a worker lives in a cgroup that was killed before", "[worker]") {
    // Linux 6.18 kills at birth whoever is born into such a one: the restart of a worker that crashed and had
    // left something behind failed.
    OwnCgroup const cgroup;
    if (!cgroup.is_there()) {
        WARN("skipped: no cgroup of version 2 can be made");
        return;
    }
    TempFolder const folder;
    auto plan = shell("cat /proc/self/cgroup; sleep 0; (echo and its children)", folder / "out");
    plan.cgroup = cgroup.open();
    kill_cgroup(*plan.cgroup);
    Watched watched;
    auto const text = watched.run(plan);
    CHECK(text.find("/holdfast-test-" + std::to_string(::getpid()) + "\n") != std::string::npos);
    CHECK(text.find("and its children") != std::string::npos);
    CHECK(watched.until([&] { return cgroup.is_empty(); }));
}

TEST_CASE("a cgroup that is gone keeps no worker from its work", "[worker]") {
    OwnCgroup const cgroup;
    if (!cgroup.is_there()) {
        WARN("skipped: no cgroup of version 2 can be made");
        return;
    }
    TempFolder const folder;
    ::mkdir((cgroup.path() + "/gone").c_str(), 0755);
    auto plan = shell("echo works", folder / "out");
    plan.cgroup = cgroup.open("/gone");
    ::rmdir((cgroup.path() + "/gone").c_str());
    Watched watched;
    CHECK(watched.run(plan) == "works\n");
}

TEST_CASE("all that is in a cgroup, and below, can be killed one by one", "[worker]") {
    OwnCgroup const cgroup;
    if (!cgroup.is_there()) {
        WARN("skipped: no cgroup of version 2 can be made");
        return;
    }
    TempFolder const folder;
    auto const below = cgroup.path() + "/below";
    // Two in a cgroup of their own making, one of them in another session.
    auto plan = shell("mkdir " + below + "; setsid sleep 1000 & (echo 0 > " + below +
                          "/cgroup.procs; setsid sleep 1000) & echo begun; sleep 1000",
                      folder / "out");
    plan.cgroup = cgroup.open();
    Watched watched;
    watched.start(plan);
    REQUIRE(watched.until([&] {
        std::ifstream file{below + "/cgroup.procs"};
        return file.peek() != std::ifstream::traits_type::eof();
    }));
    kill_cgroup_one_by_one(*plan.cgroup);
    CHECK(watched.until([&] { return cgroup.is_empty(); }));
    watched.until_over();
    ::rmdir(below.c_str());
}

TEST_CASE("a child of ours is killed with all that comes of it, and no other", "[worker]") {
    TempFolder const folder;
    Watched chosen, other;
    chosen.start(shell("setsid sh -c 'sleep 1001 & sleep 1001' & sleep 1001", folder / "out"));
    other.start(shell("sleep 1001", folder / "other"));
    auto const pid = chosen.worker->pid();
    std::vector<pid_t> all;
    REQUIRE(chosen.until([&] {
        all = {pid};
        for (std::size_t i = 0; i < all.size(); ++i)
            for (auto const child : children_of(all[i]))
                all.push_back(child);
        return all.size() >= 5;
    }));
    auto const killed = kill_children({::getpid()}, [&](pid_t child) { return child == pid; },
                                      MonotonicTime::now() + std::chrono::seconds{20});
    CHECK(killed.count == all.size());
    CHECK_FALSE(killed.may_be_more);
    CHECK(killed.refused == 0);
    CHECK(chosen.until_over());
    for (auto const one : all)
        CHECK(chosen.until([&] {
            auto const status = std::filesystem::exists("/proc/" + std::to_string(one));
            return !status || generation_of(one, "") == std::nullopt;
        }));
    CHECK(other.deaths == 0);
}

TEST_CASE("all children are listed, also when there are many", "[worker]") {
    TempFolder const folder;
    Watched many;
    many.start(
        shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1001 & done; wait",
              folder / "out"));
    CHECK(many.until([&] { return children_of(many.worker->pid()).size() == 20; }));
}

TEST_CASE("what another user runs is read as that user", "[worker]") {
    if (::geteuid() != 0) {
        WARN("skipped: only root can become another user");
        return;
    }
    TempFolder const folder;
    auto plan = shell("sleep 1001", folder / "out");
    plan.environment = {"PATH=/usr/bin:/bin", "HOLDFAST_UNIT=web", "HOLDFAST_GENERATION=4"};
    plan.identity = Identity{65534, 65534, {}, "nobody", "", ""};
    Watched watched;
    watched.start(plan);
    REQUIRE(watched.until([&] { return watched.executions == 1; }));
    CHECK(generation_of(watched.worker->pid(), "/run/n") == GenerationOf{"web", 4});
}
