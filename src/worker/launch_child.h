// SPDX-License-Identifier: Apache-2.0
// What a new process does until it executes its program. It may share our memory, and the thread-local
// variables of the thread that made it (CLONE_VM): so it reads what was prepared for it, writes only there
// and on its own stack, and calls nothing but the kernel.
#pragma once

#include "worker/launch.h"

#include <csignal>
#include <span>
#include <string_view>

#include <sys/un.h>

namespace holdfast {

class ListenFds;

inline constexpr int last_signal = _NSIG - 1;

/// A LaunchPlan in the only shapes that the child may touch: plain arrays, made before it is. They live until
/// it has executed.
struct ChildPlan {
    LaunchPlan const* plan = nullptr;
    char const* const* programs = nullptr; ///< ends with a null pointer
    char* const* arguments = nullptr;
    char** environment = nullptr;
    ListenFds* listen_fds = nullptr; ///< null: they are not announced
    std::span<char> watchdog_pid;    ///< where its decimal goes; empty: it is not announced
    std::span<int> descriptors;
    int pinned = -1;
    int connection = -1;                  ///< that becomes 0 and 1; less than 0: none
    int null = -1;                        ///< /dev/null; less than 0: it opens its own
    sockaddr_un const* journal = nullptr; ///< null: no journal
    std::string_view journal_header;
    std::span<int const> ignored;      ///< signals that it would not start with as they should be
    bool has_default_handlers = false; ///< the kernel has reset the others
    int status = -1;
    int gate = -1;     ///< to read from; less than 0: none
    int gate_end = -1; ///< ours to write to, inherited
    int cgroup = -1;   ///< its folder, to go to; less than 0: it is there, or has none
};

/// With all signals blocked, as it is made.
[[noreturn]] void run_child(ChildPlan& child) noexcept;

} // namespace holdfast
