// SPDX-License-Identifier: Apache-2.0
// A failed launch in the operator's words: what could not be done, and what to do about it.
#include "worker/launch.h"

#include <cerrno>

namespace holdfast {

namespace {

std::string advice_on_users(int code) {
    return code == EPERM ? "only root may change users: run holdfastd as root, or remove `user` and `group`"
                         : "";
}

} // namespace

Error to_error(LaunchFailure failure, LaunchPlan const& plan) {
    std::string doing{to_name(failure.stage)};
    std::string advice;
    std::string const setting = plan.setting;
    switch (failure.stage) {
    case LaunchStage::Execute:
        doing += " " + (plan.programs.size() == 1 ? plan.programs.front() : plan.arguments.front());
        if (failure.code == ENOENT)
            advice =
                plan.programs.size() == 1
                    ? "correct `" + setting + "`, or install the program (for a script: its interpreter)"
                    : "there is no such program on the PATH; give its absolute path in `" + setting + "`";
        else if (failure.code == EACCES)
            advice = "make it executable (chmod +x), and its folders accessible to the service's user";
        else if (failure.code == ENOEXEC)
            advice = "it is no program of this machine; a script must begin with #!";
        else if (failure.code == ECANCELED) // not execve(2)'s: WorkerProcess says it of a death before that
            advice = "its process was killed before that, by somebody or for want of memory";
        break;
    case LaunchStage::WorkingDirectory:
        doing += " " + plan.working_directory;
        advice = "create it, or correct `working_directory`";
        break;
    case LaunchStage::Output:
        if (plan.output.kind == Output::Kind::File)
            doing += " " + plan.output.path;
        if (failure.code == ELOOP || failure.code == EINVAL || failure.code == ENXIO)
            advice = "a log must be a regular file, not a link, a pipe or a device: remove what is there";
        break;
    case LaunchStage::Groups:
        advice = advice_on_users(failure.code);
        break;
    case LaunchStage::Group:
        doing += plan.identity ? " " + std::to_string(plan.identity->gid) : "";
        advice = advice_on_users(failure.code);
        break;
    case LaunchStage::User:
        doing += plan.identity ? " " + plan.identity->user : "";
        advice = advice_on_users(failure.code);
        break;
    case LaunchStage::Limits:
        if (failure.code == EPERM)
            advice = "the hard limit is lower than `limits` asks for, and raising it needs CAP_SYS_RESOURCE";
        break;
    case LaunchStage::Watch:
        if (failure.code == ENOSPC)
            advice = "raise fs.epoll.max_user_watches (sysctl)";
        break;
    case LaunchStage::Session:
    case LaunchStage::Signals:
    case LaunchStage::Input:
    case LaunchStage::Descriptors:
    case LaunchStage::Gate:
        break;
    }
    return system_error(failure.code, std::move(doing), {}, std::move(advice));
}

} // namespace holdfast
