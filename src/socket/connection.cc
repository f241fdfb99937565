// SPDX-License-Identifier: Apache-2.0
#include "socket/connection.h"

#include "base/peer.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace holdfast {

namespace {

using Kind = RemotePeer::Kind;

void take_ipv6(RemotePeer& peer, sockaddr_in6 const& from) {
    peer.port = ntohs(from.sin6_port);
    auto const* const bytes = from.sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&from.sin6_addr)) {
        peer.kind = Kind::IPv4;
        std::copy(bytes + 12, bytes + 16, peer.address.begin());
    } else {
        peer.kind = Kind::IPv6;
        std::copy(bytes, bytes + 16, peer.address.begin());
    }
}

void take_unix(RemotePeer& peer, FdRef fd, sockaddr_un const& from, socklen_t length) {
    peer.kind = Kind::Unix;
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(fd.raw(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
        peer.uid = who.uid;
        peer.gid = who.gid;
        peer.pid = who.pid;
    }
    auto const prefix = offsetof(sockaddr_un, sun_path);
    if (length <= prefix)
        return;
    std::string_view const name{from.sun_path, std::min<std::size_t>(length - prefix, sizeof from.sun_path)};
    if (name.front() != '\0')
        peer.unix_name = name.substr(0, name.find('\0'));
    else if (name.substr(1).find('\0') == std::string_view::npos) // else no variable can hold it
        peer.unix_name = "@" + std::string{name.substr(1)};
}

/// Failures of the connection that was next, not of the listener, see accept(2).
bool is_of_one_peer(int problem) {
    switch (problem) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

/// Linux keeps in the queue, and gives to accept(2), who has reset his connection meanwhile. Of TCP alone: a
/// unix peer that is gone may have left something to read.
bool has_reset(FdRef connection) {
    pollfd seen{connection.raw(), 0, 0};
    return ::poll(&seen, 1, 0) == 1 && (seen.revents & POLLHUP) != 0 && (seen.revents & POLLERR) != 0;
}

std::uint64_t number_in(std::uint8_t const* bytes, std::size_t count) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < count; ++i)
        number = number << 8 | bytes[i];
    return number;
}

void append_hex(std::string& text, std::uint64_t value, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        text += "0123456789abcdef"[value >> shift & 0xf];
}

/// Takes that many hexadecimal digits off its front.
std::optional<std::uint64_t> take_hex(std::string_view& text, std::size_t digits) {
    if (text.size() < digits)
        return std::nullopt;
    std::uint64_t value = 0;
    auto const* const end = text.data() + digits;
    if (auto const read = std::from_chars(text.data(), end, value, 16);
        read.ec != std::errc{} || read.ptr != end)
        return std::nullopt;
    text.remove_prefix(digits);
    return value;
}

} // namespace

Result<Connection> accept_connection(FdRef listener, bool non_blocking) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    UniqueFd fd{::accept4(listener.raw(), reinterpret_cast<sockaddr*>(&from), &length,
                          SOCK_CLOEXEC | (non_blocking ? SOCK_NONBLOCK : 0))};
    if (!fd.is_open())
        return system_error(is_of_one_peer(errno) ? ECONNABORTED : errno, "accept a connection");
    if (from.ss_family != AF_UNIX && has_reset(fd))
        return system_error(ECONNABORTED, "accept a connection");
    Connection connection{std::move(fd), {}};
    auto& peer = connection.peer;
    if (from.ss_family == AF_INET) {
        auto const& ipv4 = reinterpret_cast<sockaddr_in const&>(from);
        peer.kind = Kind::IPv4;
        peer.port = ntohs(ipv4.sin_port);
        std::memcpy(peer.address.data(), &ipv4.sin_addr, 4);
    } else if (from.ss_family == AF_INET6)
        take_ipv6(peer, reinterpret_cast<sockaddr_in6 const&>(from));
    else if (from.ss_family == AF_UNIX)
        take_unix(peer, connection.fd, reinterpret_cast<sockaddr_un const&>(from), length);
    return connection;
}

void reset_connection(Connection connection) {
    linger const at_once{1, 0};
    (void)::setsockopt(connection.fd.raw(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

Outcome make_non_blocking(FdRef listener, bool is_non_blocking) {
    int const flags = ::fcntl(listener.raw(), F_GETFL);
    int const wanted = is_non_blocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (flags < 0 || (wanted != flags && ::fcntl(listener.raw(), F_SETFL, wanted) < 0))
        return system_error(errno, "change how a listener waits");
    return {};
}

Source source_of(RemotePeer const& peer) {
    switch (peer.kind) {
    case Kind::Unknown:
        return {};
    case Kind::IPv4:
        return {Source::Kind::IPv4, number_in(peer.address.data(), 4)};
    case Kind::IPv6:
        return {Source::Kind::IPv6Network, number_in(peer.address.data(), 8)};
    case Kind::Unix:
        return {Source::Kind::User, peer.uid};
    }
    return {};
}

std::string address_text(RemotePeer const& peer) {
    char text[INET6_ADDRSTRLEN] = {};
    switch (peer.kind) {
    case Kind::Unknown:
        return {};
    case Kind::IPv4:
        return ::inet_ntop(AF_INET, peer.address.data(), text, sizeof text);
    case Kind::IPv6:
        return ::inet_ntop(AF_INET6, peer.address.data(), text, sizeof text);
    case Kind::Unix:
        return peer.unix_name;
    }
    return {};
}

std::string to_string(RemotePeer const& peer) {
    switch (peer.kind) {
    case Kind::Unknown:
        return "unknown";
    case Kind::IPv4:
        return address_text(peer) + ":" + std::to_string(peer.port);
    case Kind::IPv6:
        return "[" + address_text(peer) + "]:" + std::to_string(peer.port);
    case Kind::Unix:
        return "uid" + std::to_string(peer.uid) + ".pid" + std::to_string(peer.pid);
    }
    return {};
}

std::vector<std::string> variables_of(RemotePeer const& peer) {
    std::vector<std::string> variables;
    if (auto const address = address_text(peer); !address.empty())
        variables.push_back("REMOTE_ADDR=" + address);
    if (peer.kind == Kind::IPv4 || peer.kind == Kind::IPv6)
        variables.push_back("REMOTE_PORT=" + std::to_string(peer.port));
    if (peer.kind == Kind::Unix) {
        variables.push_back("REMOTE_UID=" + std::to_string(peer.uid));
        variables.push_back("REMOTE_GID=" + std::to_string(peer.gid));
        variables.push_back("REMOTE_PID=" + std::to_string(peer.pid));
    }
    return variables;
}

std::string to_word(RemotePeer const& peer) {
    std::string word;
    auto const append_address = [&](std::size_t bytes) {
        for (std::size_t i = 0; i < bytes; ++i)
            append_hex(word, peer.address[i], 2);
        append_hex(word, peer.port, 4);
    };
    switch (peer.kind) {
    case Kind::Unknown:
        return "x";
    case Kind::IPv4:
        word = "c";
        append_address(4);
        break;
    case Kind::IPv6:
        word = "c";
        append_address(16);
        break;
    case Kind::Unix:
        word = "u";
        append_hex(word, peer.uid, 8);
        append_hex(word, peer.gid, 8);
        append_hex(word, static_cast<std::uint32_t>(peer.pid), 8);
        break;
    }
    return word;
}

std::optional<RemotePeer> peer_of_word(std::string_view word) {
    constexpr std::size_t ipv4_length = 1 + 8 + 4, ipv6_length = 1 + 32 + 4, unix_length = 1 + 3 * 8;
    RemotePeer peer;
    if (word == "x")
        return peer;
    bool const is_unix = word.starts_with('u') && word.size() == unix_length;
    bool const is_ipv4 = word.starts_with('c') && word.size() == ipv4_length;
    if (!is_unix && !is_ipv4 && !(word.starts_with('c') && word.size() == ipv6_length))
        return std::nullopt;
    word.remove_prefix(1);
    bool is_good = true;
    auto const next = [&](std::size_t digits) {
        auto const value = take_hex(word, digits);
        is_good = is_good && value.has_value();
        return value.value_or(0);
    };
    if (is_unix) {
        peer.kind = Kind::Unix;
        peer.uid = static_cast<uid_t>(next(8));
        peer.gid = static_cast<gid_t>(next(8));
        peer.pid = static_cast<pid_t>(next(8));
    } else {
        peer.kind = is_ipv4 ? Kind::IPv4 : Kind::IPv6;
        for (std::size_t i = 0; i < (is_ipv4 ? 4U : 16U); ++i)
            peer.address[i] = static_cast<std::uint8_t>(next(2));
        peer.port = static_cast<std::uint16_t>(next(4));
    }
    return is_good ? std::optional{peer} : std::nullopt;
}

} // namespace holdfast
