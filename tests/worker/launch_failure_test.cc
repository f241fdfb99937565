// SPDX-License-Identifier: Apache-2.0
// A launch that fails tells its step, its errno, and what to do, in words.
#include "support.h"

#include <cerrno>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

struct Failing {
    char const* what;
    LaunchStage stage;
    int code;
    std::vector<std::string> words; ///< all of these are in the sentence
    std::function<void(LaunchPlan&, TempFolder const&)> change;
};

std::vector<Failing> const failing{
    {"a missing program",
     LaunchStage::Execute,
     ENOENT,
     {"cannot execute /no/such/program: No such file", "install the program"},
     [](LaunchPlan& plan, TempFolder const&) { plan.programs = {"/no/such/program"}; }},
    {"a bare name that is nowhere on the path",
     LaunchStage::Execute,
     ENOENT,
     {"cannot execute nowhere: No such file", "no such program on the PATH"},
     [](LaunchPlan& plan, TempFolder const&) {
         plan.programs = program_candidates("nowhere", "/bin:/usr/bin");
         plan.arguments = {"nowhere"};
     }},
    {"a file that may not be executed",
     LaunchStage::Execute,
     EACCES,
     {"cannot execute ", "Permission denied", "chmod +x"},
     [](LaunchPlan& plan, TempFolder const& folder) {
         write_file(folder / "app", "#!/bin/sh\n", 0644);
         plan.programs = {folder / "app"};
     }},
    {"one on the path that may not be executed, and no other",
     LaunchStage::Execute,
     EACCES,
     {"cannot execute app: Permission denied"},
     [](LaunchPlan& plan, TempFolder const& folder) {
         write_file(folder / "app", "#!/bin/sh\n", 0644);
         plan.programs = program_candidates("app", "/bin:" + folder.path() + ":/no/such/folder");
         plan.arguments = {"app"};
     }},
    {"a folder",
     LaunchStage::Execute,
     EACCES,
     {"cannot execute /usr: Permission denied"},
     [](LaunchPlan& plan, TempFolder const&) { plan.programs = {"/usr"}; }},
    {"a script whose interpreter is missing",
     LaunchStage::Execute,
     ENOENT,
     {"for a script: its interpreter"},
     [](LaunchPlan& plan, TempFolder const& folder) {
         write_file(folder / "app", "#!/no/such/interpreter\n", 0755);
         plan.programs = {folder / "app"};
     }},
    {"a file that is no program",
     LaunchStage::Execute,
     ENOEXEC,
     {"Exec format error", "must begin with #!"},
     [](LaunchPlan& plan, TempFolder const& folder) {
         write_file(folder / "app", "echo hello\n", 0755);
         plan.programs = {folder / "app"};
     }},
    {"arguments that are too long",
     LaunchStage::Execute,
     E2BIG,
     {"Argument list too long"},
     [](LaunchPlan& plan, TempFolder const&) { plan.arguments.push_back(std::string(1 << 20, 'x')); }},
    {"a working directory that is not there",
     LaunchStage::WorkingDirectory,
     ENOENT,
     {"cannot change to its working directory /no/such/folder: No such file", "`working_directory`"},
     [](LaunchPlan& plan, TempFolder const&) { plan.working_directory = "/no/such/folder"; }},
    {"a working directory that is a file",
     LaunchStage::WorkingDirectory,
     ENOTDIR,
     {"/etc/passwd: Not a directory"},
     [](LaunchPlan& plan, TempFolder const&) { plan.working_directory = "/etc/passwd"; }},
    {"a limit above what even root may have",
     LaunchStage::Limits,
     EPERM,
     {"cannot set its resource limits: Operation not permitted", "CAP_SYS_RESOURCE"},
     [](LaunchPlan& plan, TempFolder const&) {
         plan.limits = {{RLIMIT_NOFILE, RLIM_INFINITY, RLIM_INFINITY}};
     }},
    {"a soft limit above the hard one",
     LaunchStage::Limits,
     EINVAL,
     {"cannot set its resource limits: Invalid argument"},
     [](LaunchPlan& plan, TempFolder const&) {
         plan.limits = {{RLIMIT_NOFILE, 100, 50}};
     }},
    {"an output file in a folder that is not there",
     LaunchStage::Output,
     ENOENT,
     {"cannot open its output /no/such/folder/log: No such file"},
     [](LaunchPlan& plan, TempFolder const&) { plan.output.path = "/no/such/folder/log"; }},
    {"an output file that is a folder",
     LaunchStage::Output,
     EISDIR,
     {"/usr: Is a directory"},
     [](LaunchPlan& plan, TempFolder const&) { plan.output.path = "/usr"; }},
    // Opened, a link led root to any file, and a pipe that nobody reads kept the launch waiting for ever.
    {"an output file that is a link",
     LaunchStage::Output,
     ELOOP,
     {"must be a regular file"},
     [](LaunchPlan& plan, TempFolder const& folder) {
         plan.output.path = folder / "link";
         if (::symlink((folder / "elsewhere").c_str(), plan.output.path.c_str()) < 0)
             throw std::runtime_error{"symlink"};
     }},
    {"an output file that is a pipe which nobody reads",
     LaunchStage::Output,
     ENXIO,
     {"must be a regular file"},
     [](LaunchPlan& plan, TempFolder const& folder) {
         plan.output.path = folder / "pipe";
         if (::mkfifo(plan.output.path.c_str(), 0600) < 0)
             throw std::runtime_error{"mkfifo"};
     }},
    {"an output file that is a device",
     LaunchStage::Output,
     EINVAL,
     {"cannot open its output /dev/null: Invalid argument", "must be a regular file"},
     [](LaunchPlan& plan, TempFolder const&) { plan.output.path = "/dev/null"; }},
};

} // namespace

TEST_CASE("each step of a launch that fails is told with its errno and in words", "[worker]") {
    TempFolder const folder;
    Watched watched;
    for (auto const& row : failing) {
        CAPTURE(row.what);
        auto plan = shell("echo must not run", folder / "out");
        row.change(plan, folder);
        auto const pid = watched.start(plan).pid();
        REQUIRE(watched.until_over());
        REQUIRE(watched.failure);
        CHECK(to_name(watched.failure->stage) == to_name(row.stage));
        CHECK(errno_name(watched.failure->code) == errno_name(row.code));
        CHECK(watched.executions == 0);
        CHECK(watched.deaths == 0);
        CHECK(look_at_child(pid) == "no child"); // reaped
        auto const sentence = to_string(to_error(*watched.failure, plan));
        for (auto const& words : row.words)
            CHECK_THAT(sentence, ContainsSubstring(words));
    }
    CHECK(read_file(folder / "out") == "");
}

TEST_CASE("a program on the path is found behind one that may not be executed", "[worker]") {
    TempFolder const folder;
    TempFolder const other;
    Watched watched;
    write_file(folder / "app", "#!/bin/sh\necho wrong\n", 0644);
    write_file(other / "app", "#!/bin/sh\necho right\n", 0755);
    auto plan = program({"app"}, folder / "out");
    plan.programs = program_candidates("app", "/no/such/folder:" + folder.path() + "::" + other.path());
    CHECK(watched.run(plan) == "right\n");
}

TEST_CASE("an ordinary user cannot start workers as somebody else, and is told who can", "[worker]") {
    TempFolder const folder;
    auto plan = shell("echo must not run", folder / "out");
    auto const why = [&](uid_t uid, std::optional<gid_t> gid) {
        return in_child([&]() -> std::string {
            if (!become_nobody())
                return "cannot become nobody";
            plan.identity = Identity{uid, gid.value_or(::getegid()), {}, "daemon", "", ""};
            return launch_and_wait(plan);
        });
    };
    auto const user = why(1, std::nullopt);
    CHECK_THAT(user, ContainsSubstring("cannot change to its user daemon: Operation not permitted"));
    CHECK_THAT(user, ContainsSubstring("run holdfastd as root"));
    CHECK_THAT(why(1, 1), ContainsSubstring("cannot change to its group 1: Operation not permitted"));
    CHECK(read_file(folder / "out") == "");
}

TEST_CASE("too few descriptors for the listeners is a failed step, not a worker without them", "[worker]") {
    TempFolder const folder;
    auto plan = shell("echo must not run", folder / "out");
    auto const why = in_child([&]() -> std::string {
        UniqueFd const file = open_new(folder / "file");
        for (int i = 0; i < 8; ++i)
            plan.listeners.push_back({"s", file});
        rlimit const few{14, 14}; // the eight go to 3 to 10, and must be moved to 11 and above first
        if (::setrlimit(RLIMIT_NOFILE, &few) < 0)
            return "cannot set the limit";
        return launch_and_wait(plan);
    });
    CHECK_THAT(why, ContainsSubstring("cannot hand over its descriptors: Too many open files"));
    CHECK(read_file(folder / "out") == "");
}

TEST_CASE("a process that cannot be forked is an error that names the limit", "[worker]") {
    TempFolder const folder;
    auto const plan = shell("echo must not run", folder / "out");
    auto const why = in_child([&]() -> std::string {
        if (!become_nobody())
            return "cannot become nobody";
        rlimit const none{0, 0};
        if (::setrlimit(RLIMIT_NPROC, &none) < 0)
            return "cannot set the limit";
        return launch_and_wait(plan);
    });
    CHECK_THAT(why, ContainsSubstring("cannot start a process: Resource temporarily unavailable"));
    CHECK_THAT(why, ContainsSubstring("a limit on processes is reached"));
}

TEST_CASE("bare names are looked for in each folder of the path, others are taken as they are", "[worker]") {
    CHECK(program_candidates("app", "/a:/b") == std::vector<std::string>{"/a/app", "/b/app"});
    CHECK(program_candidates("app", ":/a::") == std::vector<std::string>{"/a/app"});
    CHECK(program_candidates("app", "").empty());
    CHECK(program_candidates("./app", "/a:/b") == std::vector<std::string>{"./app"});
    CHECK(program_candidates("/x/app", "/a") == std::vector<std::string>{"/x/app"});
}
