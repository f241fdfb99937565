// SPDX-License-Identifier: Apache-2.0
#include "socket/path_node.h"

#include "socket/kernel_address.h"
#include "socket/sock_diag.h"

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <ctime>

#include <fcntl.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast {

namespace {

std::string_view kind_of(mode_t mode) {
    if (S_ISREG(mode))
        return "a regular file";
    if (S_ISDIR(mode))
        return "a folder";
    if (S_ISLNK(mode))
        return "a symbolic link";
    if (S_ISFIFO(mode))
        return "a FIFO";
    return "a device";
}

/// What connect(2) says of `path`, as an errno value: the only question whose answer holds across network
/// namespaces. The caller is non-blocking, so a full queue answers at once (EAGAIN).
Result<int> ask_by_connecting(std::string const& path) {
    auto const address = to_kernel({.transport = Transport::UnixStream, .host = path, .port = 0});
    if (!address)
        return address.error();
    UniqueFd const probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!probe.is_open())
        return system_error(errno, "test whether a process listens on " + path);
    return ::connect(probe.raw(), address->get(), address->length) == 0 ? 0 : errno;
}

/// Made within the last second? Then its maker may be between bind(2) and listen(2), where connect(2) is
/// refused as for a stale one.
bool is_young(PathNode const& node) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - node.made.tv_sec <= 1;
}

Error held(std::string const& path, std::string advice = {}) {
    return system_error(EADDRINUSE, "bind unix:" + path, {}, std::move(advice));
}

/// Done when the node is known to be stale (or gone); otherwise why it must stay.
Outcome ensure_stale(std::string const& path, PathNode const& node) {
    auto const answer = ask_by_connecting(path);
    if (!answer)
        return answer.error();
    switch (*answer) {
    case ENOENT:
        return {};
    case ECONNREFUSED:
        if (is_young(node) && is_node_bound(node.device, node.inode))
            return held(path);
        return {};
    case EACCES:
    case EPERM:
        return held(path, "a socket of another user is there and we may not test whether it is still in use; "
                          "remove it if it is not");
    default: // connected, EAGAIN (its queue is full), EPROTOTYPE (a datagram socket): somebody is there
        return held(path);
    }
}

std::string unused_name_beside(std::string const& path) {
    std::uint64_t random = 0;
    // 8 bytes come whole once the pool is ready, which it is before any service starts; if not, time will do.
    if (::getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = static_cast<std::uint64_t>(std::clock()) ^ static_cast<std::uint64_t>(::getpid()) << 32;
    std::array<char, 17> digits{};
    std::snprintf(digits.data(), digits.size(), "%016" PRIx64, random);
    return path + ".stale-" + digits.data();
}

} // namespace

Result<std::optional<PathNode>> look_at(std::string const& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0)
        return std::optional{PathNode{status.st_dev, status.st_ino, status.st_mode, status.st_mtim}};
    if (errno == ENOENT)
        return std::optional<PathNode>{};
    return system_error(errno, "look at " + path);
}

Outcome remove_stale(std::string const& path) {
    auto const node = look_at(path);
    if (!node)
        return node.error();
    if (!*node)
        return {};
    if (!(*node)->is_socket())
        return system_error(EEXIST, "bind unix:" + path, {},
                            std::string{kind_of((*node)->mode)} +
                                " is there: remove it, or choose another path");
    if (auto stale = ensure_stale(path, **node); !stale)
        return stale;

    // Still the same one after the question? This leaves another supervisor a microsecond; the rest is below.
    auto const again = look_at(path);
    if (!again)
        return again.error();
    if (!*again)
        return {};
    if (!(*again)->is_same_as(**node))
        return held(path);

    // Not unlink(path): another supervisor may have found the same stale node, replaced it, and be listening
    // by now. What is renamed can be looked at again, and put back with link(2), which replaces nothing.
    std::string const aside = unused_name_beside(path);
    if (::rename(path.c_str(), aside.c_str()) < 0)
        return errno == ENOENT ? Outcome{}
                               : system_error(errno, "replace the stale socket " + path, {},
                                              "its folder must be writable for holdfastd");
    auto const taken = look_at(aside);
    bool const is_the_stale_one = taken && *taken && (*taken)->is_same_as(**node);
    if (!is_the_stale_one && ::link(aside.c_str(), path.c_str()) < 0 && errno != EEXIST)
        return system_error(errno, "put back " + path, {}, "it is now " + aside);
    if (::unlink(aside.c_str()) < 0 && errno != ENOENT)
        return system_error(errno, "remove " + aside);
    return is_the_stale_one ? Outcome{} : held(path);
}

Result<std::optional<PathNode>> look_at_new(std::string const& path) {
    // remove_stale() of another supervisor may hold it aside for the few microseconds of its second look.
    for (int tries = 0;; ++tries) {
        auto node = look_at(path);
        if (!node || *node || tries == 100)
            return node;
        ::sched_yield();
    }
}

void unlink_if_same(std::string const& path, dev_t device, ino_t inode) {
    auto const node = look_at(path);
    if (node && *node && (*node)->device == device && (*node)->inode == inode)
        ::unlink(path.c_str());
}

int set_mode(std::string const& path, mode_t mode) {
    // A root's chmod(2) that follows a link which the folder's owner has put there would open any file to
    // him.
    constexpr long fchmodat2_number = 452; // Linux 6.6, on every architecture; the headers may be older
    if (::syscall(fchmodat2_number, AT_FDCWD, path.c_str(), mode, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    // ENOSYS: an older kernel; EPERM may also be a sandbox that does not know the call. The C library's own
    // way takes four calls and /proc.
    if (errno != ENOSYS && errno != EPERM)
        return errno;
    return ::fchmodat(AT_FDCWD, path.c_str(), mode, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

} // namespace holdfast
