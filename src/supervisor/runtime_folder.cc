// SPDX-License-Identifier: Apache-2.0
#include "supervisor/runtime_folder.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {

namespace {

Outcome make_folders(std::string const& path, unsigned mode) {
    for (auto slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
        auto const part = path.substr(0, slash);
        if (::mkdir(part.c_str(), slash == std::string::npos ? mode : 0755) < 0 && errno != EEXIST)
            return system_error(errno, "make the folder " + part);
        if (slash == std::string::npos)
            return {};
    }
}

bool is_same_file(FdRef a, FdRef b) {
    struct stat of_a {
    }, of_b{};
    return ::fstat(a.raw(), &of_a) == 0 && ::fstat(b.raw(), &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

} // namespace

Result<UniqueFd> open_own_folder(std::string const& path, unsigned mode, std::string_view what) {
    auto const advice = "choose another folder by --runtime-dir";
    auto const named = "the " + std::string{what} + " " + path;
    if (auto made = make_folders(path, mode); !made)
        return system_error(made.error().code, made.error().doing, {}, advice);
    UniqueFd folder{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct stat seen {};
    if (!folder.is_open() || ::fstat(folder.raw(), &seen) < 0)
        return system_error(errno, "open " + named, {}, advice);
    if (seen.st_uid != ::geteuid())
        return plain_error(named + " belongs to user " + std::to_string(seen.st_uid) + ", and we are user " +
                               std::to_string(::geteuid()),
                           {}, advice);
    if ((seen.st_mode & 0022) != 0)
        return plain_error(named + " can be written by others", {},
                           "run chmod go-w on it, or choose another folder by --runtime-dir");
    return folder;
}

Result<UniqueFd> take_runtime_folder(std::string const& path, UniqueFd kept) {
    auto folder = open_own_folder(path, 0755, "runtime folder");
    if (!folder)
        return std::move(folder).error();
    // Nobody else may open it: who can open it can lock it, and keep us from starting for ever.
    UniqueFd lock{::openat(folder->raw(), "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (kept.is_open() && is_same_file(kept, lock))
        lock = std::move(kept);
    if (!lock.is_open() || ::fchmod(lock.raw(), 0600) < 0)
        return system_error(errno, "open " + path + "/lock", {}, "choose another folder by --runtime-dir");
    if (::flock(lock.raw(), LOCK_EX | LOCK_NB) < 0) {
        int const code = errno;
        char text[32] = {};
        (void)!::pread(lock.raw(), text, sizeof text - 1, 0);
        std::string holder{text};
        holder.resize(std::min(holder.size(), holder.find('\n')));
        if (code != EWOULDBLOCK)
            return system_error(code, "lock " + path + "/lock");
        return plain_error("another holdfastd" + (holder.empty() ? "" : " (pid " + holder + ")") +
                               " already uses the runtime folder " + path,
                           {}, "stop it by `holdfast shutdown`, or choose another folder by --runtime-dir");
    }
    auto const pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock.raw(), 0) < 0 || ::pwrite(lock.raw(), pid.data(), pid.size(), 0) < 0)
        return system_error(errno, "write " + path + "/lock");
    return lock;
}

} // namespace holdfast
