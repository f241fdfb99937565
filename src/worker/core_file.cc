// SPDX-License-Identifier: Apache-2.0
#include "worker/core_file.h"

#include "base/proc_file.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <chrono>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::size_t longest_command = 15; // TASK_COMM_LEN without its end

/// A name may not lead out of its folder: the kernel writes "!" for "/".
std::string as_name(std::string text) {
    std::replace(text.begin(), text.end(), '/', '!');
    return text;
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

} // namespace

bool is_dumping_core(pid_t pid) {
    auto const status = read_proc_file(("/proc/" + std::to_string(pid) + "/status").c_str());
    return status && status->find("\nCoreDumping:\t1\n") != std::string::npos;
}

std::optional<std::string> core_path(std::string_view pattern, bool uses_pid, DumpedProcess const& process) {
    if (pattern.empty() || pattern.front() == '|' || pattern.front() == '@')
        return std::nullopt;
    std::string path;
    bool has_pid = false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '%' || i + 1 == pattern.size()) { // one % at the end is dropped
            if (pattern[i] != '%')
                path += pattern[i];
            continue;
        }
        switch (pattern[++i]) {
        case '%':
            path += '%';
            break;
        case 'p': // the same number in the first namespace and in its own, where we see it by one
        case 'P':
            path += std::to_string(process.pid);
            has_pid = true;
            break;
        case 's':
            path += std::to_string(process.signal);
            break;
        case 'e':
            path += as_name(process.command.substr(0, longest_command));
            break;
        case 'h':
            path += as_name(host_name());
            break;
        default:
            return std::nullopt;
        }
    }
    if (uses_pid && !has_pid)
        path += "." + std::to_string(process.pid);
    return path.starts_with('/') ? path : process.folder + "/" + path;
}

std::optional<CoreFile> find_core_file(DumpedProcess const& process) {
    auto const pattern = read_proc_file("/proc/sys/kernel/core_pattern").value_or("");
    auto const path = core_path(std::string_view{pattern}.substr(0, pattern.find('\n')),
                                read_proc_number("/proc/sys/kernel/core_uses_pid") == 1, process);
    if (!path)
        return std::nullopt;
    struct statx file {};
    if (::statx(AT_FDCWD, path->c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_BLOCKS | STATX_BTIME,
                &file) < 0 ||
        !S_ISREG(file.stx_mode))
        return std::nullopt;
    CoreFile core{file.stx_blocks * 512, std::nullopt};
    if ((file.stx_mask & STATX_BTIME) != 0) {
        auto const birth =
            std::chrono::seconds{file.stx_btime.tv_sec} + std::chrono::nanoseconds{file.stx_btime.tv_nsec};
        auto const now = std::chrono::system_clock::now().time_since_epoch();
        core.since = std::max(Duration{0}, std::chrono::duration_cast<Duration>(now - birth));
    }
    return core;
}

} // namespace holdfast
