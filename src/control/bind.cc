// SPDX-License-Identifier: Apache-2.0
#include "control/bind.h"

#include "base/accounts.h"
#include "base/scope_exit.h"
#include "base/text.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace holdfast {

namespace {

Outcome refuse_what_is_no_socket(std::string const& path) {
    struct stat seen {};
    if (::lstat(path.c_str(), &seen) == 0 && !S_ISSOCK(seen.st_mode))
        return system_error(EEXIST, "make the control socket", path,
                            "something that is no socket is there; remove it, or give another --runtime-dir");
    return {};
}

/// Says who is let in. False: of chmod(2).
bool open_to(std::string const& path, std::optional<gid_t> group, std::optional<mode_t> mode) {
    // An ordinary user shares his primary group with others who are none of his business.
    bool const has_group = group && ::chown(path.c_str(), static_cast<uid_t>(-1), *group) == 0;
    mode_t const usual = has_group || ::geteuid() == 0 ? 0660 : 0600;
    return ::chmod(path.c_str(), mode.value_or(usual)) == 0;
}

} // namespace

std::optional<gid_t> find_control_group(std::string const& group) {
    if (auto const number = parse_decimal<gid_t>(group))
        return number;
    return group.empty() ? std::nullopt : find_group(group);
}

Result<BoundControlSocket> bind_control_socket(std::string const& path, std::string const& group,
                                               std::optional<mode_t> mode) {
    std::string const temporary = path + ".new";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (temporary.size() >= sizeof address.sun_path)
        return system_error(ENAMETOOLONG, "make the control socket", path, "give a shorter --runtime-dir");
    std::memcpy(address.sun_path, temporary.c_str(), temporary.size() + 1);
    if (auto fine = refuse_what_is_no_socket(path); !fine)
        return std::move(fine).error();

    BoundControlSocket bound;
    bound.path = path;
    bound.group = find_control_group(group);
    bound.fd = UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!bound.fd.is_open())
        return system_error(errno, "make the control socket", path);
    if (::unlink(temporary.c_str()) < 0 && errno != ENOENT)
        return system_error(errno, "remove " + temporary);
    if (::bind(bound.fd.raw(), reinterpret_cast<sockaddr const*>(&address), sizeof address) < 0)
        return system_error(errno, "bind the control socket", path);
    ScopeExit undo{[&] { ::unlink(temporary.c_str()); }};

    if (!open_to(temporary, bound.group, mode))
        return system_error(errno, "set the mode of the control socket", path);
    struct stat made {};
    if (::stat(temporary.c_str(), &made) < 0)
        return system_error(errno, "look at the control socket", path);
    bound.device = made.st_dev;
    bound.inode = made.st_ino;
    if (::listen(bound.fd.raw(), SOMAXCONN) < 0)
        return system_error(errno, "listen on the control socket", path);
    if (::rename(temporary.c_str(), path.c_str()) < 0)
        return system_error(errno, "put the control socket into place", path);
    undo.dismiss();
    return bound;
}

std::optional<BoundControlSocket> adopt_control_socket(std::string const& path, std::string const& group,
                                                       std::optional<mode_t> mode, UniqueFd fd) {
    struct stat seen {};
    if (::lstat(path.c_str(), &seen) < 0 || !S_ISSOCK(seen.st_mode))
        return std::nullopt;
    BoundControlSocket bound;
    bound.fd = std::move(fd);
    bound.path = path;
    bound.group = find_control_group(group);
    (void)open_to(path, bound.group, mode); // where it cannot be, it stays as it was made
    bound.device = seen.st_dev;
    bound.inode = seen.st_ino;
    return bound;
}

void give_up_control_socket(BoundControlSocket& bound) noexcept {
    struct stat seen {};
    if (bound.fd.is_open() && ::lstat(bound.path.c_str(), &seen) == 0 && seen.st_dev == bound.device &&
        seen.st_ino == bound.inode)
        ::unlink(bound.path.c_str());
    bound.fd.reset();
}

} // namespace holdfast
