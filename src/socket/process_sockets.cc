// SPDX-License-Identifier: Apache-2.0
#include "socket/process_sockets.h"

#include "base/text.h"

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

#include <dirent.h>
#include <unistd.h>

namespace holdfast {

namespace {

struct CloseFolder {
    void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

/// The inode number in the target "socket:[123]" of a link in /proc/PID/fd.
std::uint32_t socket_of(std::string_view target) {
    constexpr std::string_view start = "socket:[";
    if (!target.starts_with(start) || !target.ends_with(']'))
        return no_socket;
    target.remove_prefix(start.size());
    target.remove_suffix(1);
    return parse_decimal<std::uint32_t>(target).value_or(no_socket);
}

} // namespace

Outcome see_descriptors(pid_t pid, std::function<bool(std::uint32_t inode)> const& see) {
    auto const path = "/proc/" + std::to_string(pid) + "/fd";
    auto const refused = [&path](int why) { return system_error(why, "look at " + path); };
    Folder const folder{::opendir(path.c_str())};
    if (!folder)
        return refused(errno);
    while (dirent const* entry = ::readdir(folder.get())) {
        if (entry->d_name[0] == '.')
            continue;
        std::array<char, 64> target{};
        ssize_t const length =
            ::readlinkat(::dirfd(folder.get()), entry->d_name, target.data(), target.size());
        // Who may open the folder (CAP_DAC_READ_SEARCH) may not read the links for that; what is closed
        // meanwhile is gone (ENOENT).
        if (length < 0 && errno != ENOENT)
            return refused(errno);
        if (length >= 0 && !see(socket_of({target.data(), static_cast<std::size_t>(length)})))
            break;
    }
    return {};
}

Outcome see_processes(std::function<bool(pid_t)> const& see) {
    Folder const proc{::opendir("/proc")};
    if (!proc)
        return system_error(errno, "look at /proc");
    while (dirent const* entry = ::readdir(proc.get()))
        if (auto const pid = parse_decimal<pid_t>(entry->d_name).value_or(0); pid > 0 && !see(pid))
            break;
    return {};
}

} // namespace holdfast
