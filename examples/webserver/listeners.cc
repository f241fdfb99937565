// SPDX-License-Identifier: Apache-2.0
#include "listeners.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace webserver {

namespace {

constexpr int first_listen_fd = 3; // SD_LISTEN_FDS_START

bool listens(int fd) {
    int type = 0;
    int accepts = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
        return false;
    size = sizeof accepts;
    return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 && accepts != 0;
}

void add_if_listening(int fd, std::vector<int>& listeners) {
    if (!listens(fd)) {
        std::fprintf(stderr, "webserver: descriptor %d is no listening stream socket, passed over\n", fd);
        return;
    }
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    listeners.push_back(fd);
}

} // namespace

std::vector<int> inherited_listeners() {
    std::vector<int> listeners;
    char const* const pid = std::getenv("LISTEN_PID");
    char const* const count = std::getenv("LISTEN_FDS");
    if (pid != nullptr && count != nullptr && std::strtol(pid, nullptr, 10) == ::getpid())
        for (int i = 0; i < std::atoi(count); ++i)
            add_if_listening(first_listen_fd + i, listeners);
    // "127.0.0.1:8080=4;unix/socket/path=5"
    if (char const* const ports = std::getenv("SERVER_STARTER_PORT"); ports != nullptr && listeners.empty()) {
        std::string_view rest{ports};
        while (!rest.empty()) {
            auto const one = rest.substr(0, rest.find(';'));
            rest.remove_prefix(std::min(rest.size(), one.size() + 1));
            if (auto const equals = one.rfind('='); equals != std::string_view::npos)
                add_if_listening(std::atoi(std::string{one.substr(equals + 1)}.c_str()), listeners);
        }
    }
    return listeners;
}

int bind_own(std::string const& address, unsigned port) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(static_cast<std::uint16_t>(port));
    if (::inet_pton(AF_INET, address.c_str(), &where.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int const on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t size = sizeof where;
    auto* const any = reinterpret_cast<sockaddr*>(&where);
    if (::bind(fd, any, size) < 0 || ::listen(fd, 4096) < 0 || ::getsockname(fd, any, &size) < 0) {
        int const saved = errno;
        ::close(fd);
        errno = saved;
        return -1;
    }
    std::printf("listening on %s:%d\n", address.c_str(), ntohs(where.sin_port));
    std::fflush(stdout);
    return fd;
}

bool is_non_blocking(int listener) {
    return (::fcntl(listener, F_GETFL) & O_NONBLOCK) != 0;
}

void set_non_blocking(int listener) {
    ::fcntl(listener, F_SETFL, ::fcntl(listener, F_GETFL) | O_NONBLOCK);
}

void notify(std::string const& message) {
    char const* const path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    if (path == nullptr || path[0] == '\0' || std::strlen(path) >= sizeof where.sun_path)
        return;
    std::memcpy(where.sun_path, path, std::strlen(path));
    if (path[0] == '@') // an abstract name: a NUL byte in the address
        where.sun_path[0] = '\0';
    int const fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    auto const size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    if (::sendto(fd, message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&where),
                 size) < 0)
        std::fprintf(stderr, "webserver: cannot notify %s: %s\n", path, std::strerror(errno));
    ::close(fd);
}

} // namespace webserver
