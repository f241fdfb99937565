// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include "catch.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {

namespace {

sockaddr_storage to_sockaddr(ListenAddress const& address, socklen_t& length) {
    sockaddr_storage storage{};
    if (address.is_unix()) {
        sockaddr_un un{};
        un.sun_family = AF_UNIX;
        std::memcpy(un.sun_path, address.host.data(), address.host.size());
        if (address.is_abstract())
            un.sun_path[0] = '\0';
        length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host.size() +
                                        (address.is_abstract() ? 0 : 1));
        std::memcpy(&storage, &un, sizeof un);
    } else if (address.host.find(':') != std::string::npos) {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(address.port);
        ::inet_pton(AF_INET6, address.host.c_str(), &in.sin6_addr);
        length = sizeof in;
        std::memcpy(&storage, &in, sizeof in);
    } else {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(address.port);
        ::inet_pton(AF_INET, address.host.c_str(), &in.sin_addr);
        length = sizeof in;
        std::memcpy(&storage, &in, sizeof in);
    }
    return storage;
}

bool bring_up_loopback() {
    UniqueFd const control{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    return ::ioctl(control.raw(), SIOCSIFFLAGS, &request) == 0;
}

} // namespace

SocketSpec spec_of(ListenAddress const& address, std::string name) {
    SocketSpec spec;
    spec.name = std::move(name);
    spec.listen = {address};
    return spec;
}

ListenAddress tcp(std::string host, std::uint16_t port) {
    return {Transport::Tcp, std::move(host), port};
}
ListenAddress udp(std::string host, std::uint16_t port) {
    return {Transport::Udp, std::move(host), port};
}
ListenAddress unix_at(std::string path) {
    return {Transport::UnixStream, std::move(path), 0};
}

Listener bind_one(SocketSpec const& socket) {
    auto listener = bind_listener(socket, socket.listen.at(0));
    if (!listener)
        FAIL(to_string(listener.error()));
    return *std::move(listener);
}

Error bind_error(SocketSpec const& socket) {
    auto const before = open_descriptors();
    auto const listener = bind_listener(socket, socket.listen.at(0));
    REQUIRE_FALSE(listener);
    CHECK(open_descriptors() == before);
    CHECK(listener.error().where == socket.name);
    return listener.error();
}

UniqueFd connect_to(ListenAddress const& address, bool non_blocking) {
    socklen_t length = 0;
    auto const where = to_sockaddr(address, length);
    int const type = address.transport == Transport::Udp ? SOCK_DGRAM : SOCK_STREAM;
    UniqueFd client{::socket(where.ss_family, type | SOCK_CLOEXEC | (non_blocking ? SOCK_NONBLOCK : 0), 0)};
    REQUIRE(client.is_open());
    if (::connect(client.raw(), reinterpret_cast<sockaddr const*>(&where), length) < 0 &&
        errno != EINPROGRESS)
        client.reset();
    return client;
}

std::string name_of(FdRef socket) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (::getsockname(socket.raw(), reinterpret_cast<sockaddr*>(&storage), &length) < 0)
        return "no socket";
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (storage.ss_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &storage, sizeof in);
        return ::inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size());
    }
    if (storage.ss_family == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, &storage, sizeof in);
        return ::inet_ntop(AF_INET6, &in.sin6_addr, text.data(), text.size());
    }
    sockaddr_un un{};
    std::memcpy(&un, &storage, std::min<std::size_t>(length, sizeof un));
    if (un.sun_path[0] != '\0')
        return un.sun_path;
    return "@" + std::string{un.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1};
}

int option_of(FdRef socket, int level, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    ::getsockopt(socket.raw(), level, option, &value, &length);
    return value;
}

std::string own_command() {
    std::string command;
    std::ifstream{"/proc/self/comm"} >> command;
    return command;
}

std::string in_own_network(std::function<std::string()> const& work) {
    return in_child([&]() -> std::string {
        int const flags = ::geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET;
        if (::unshare(flags) < 0)
            return std::string{"skipped: no network namespace may be made here: "} + std::strerror(errno);
        if (!bring_up_loopback())
            return "skipped: lo cannot be brought up in a network namespace";
        return work();
    });
}

bool is_skipped(std::string const& answer) {
    if (!answer.starts_with("skipped: "))
        return false;
    WARN(answer);
    return true;
}

bool add_address(std::string const& host) {
    UniqueFd const control{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ifreq request{};
    std::strcpy(request.ifr_name, "lo:1");
    sockaddr_in in{};
    in.sin_family = AF_INET;
    ::inet_pton(AF_INET, host.c_str(), &in.sin_addr);
    std::memcpy(&request.ifr_addr, &in, sizeof in);
    return ::ioctl(control.raw(), SIOCSIFADDR, &request) == 0;
}

bool eventually(std::function<bool()> const& holds) {
    auto const deadline = MonotonicTime::now() + std::chrono::seconds{5};
    while (!holds()) {
        if (MonotonicTime::now() >= deadline)
            return false;
        ::sched_yield();
    }
    return true;
}

} // namespace holdfast::test
