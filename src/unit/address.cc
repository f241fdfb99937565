// SPDX-License-Identifier: Apache-2.0
#include "unit/address.h"

#include "base/text.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include <arpa/inet.h>
#include <sys/un.h>

namespace holdfast {

namespace {

// One byte of sun_path is the NUL that ends a path, or the one that begins an abstract name.
constexpr std::size_t longest_path = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::size_t longest_zone = 15; // IFNAMSIZ - 1

// The forms of DESIGN §7 that are not built yet.
constexpr std::array later_schemes{"mptcp",          "sctp",    "udplite", "unix-dgram",
                                   "unix-seqpacket", "vsock",   "netlink", "fifo",
                                   "mqueue",         "special", "raw"};

Error refused(std::string_view text, std::string_view why, std::string advice = {}) {
    constexpr std::size_t longest_quote = 80;
    std::string shown{text.substr(0, longest_quote)};
    for (char& c : shown)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            c = '?';
    return plain_error("`" + shown + (text.size() > longest_quote ? "…` " : "` ") + std::string{why}, {},
                       std::move(advice));
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// What systemd allows in a FileDescriptorName, but for the '/', which the keeper does not.
bool is_passed_name(std::string_view name) {
    constexpr std::size_t longest = 100;
    return !name.empty() && name.size() <= longest &&
           std::ranges::all_of(name, [](char c) { return c >= ' ' && c < 0x7f && c != '/' && c != ':'; });
}

bool is_digits(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// One path, one spelling: no "//", no "/./".
std::optional<std::string> tidy_path(std::string_view path) {
    std::string tidy;
    for (auto const part : split(path, '/')) {
        if (part == "..")
            return std::nullopt;
        if (!part.empty() && part != ".")
            tidy += "/" + std::string{part};
    }
    return tidy;
}

Result<ListenAddress> parse_unix(std::string_view text, std::string_view path) {
    ListenAddress address{Transport::UnixStream, {}, 0};
    if (has_control(path))
        return refused(text, "holds a control character");
    if (path.size() < 2 || (path.front() != '/' && path.front() != '@'))
        return refused(text, "is no absolute path and no abstract name",
                       "write it as in \"unix:/run/web.sock\" or \"unix:@web\"");
    if (path.front() == '@') {
        address.host = path;
    } else {
        auto tidy = tidy_path(path);
        if (!tidy)
            return refused(text, "holds `..`", "write the path without it");
        if (path.back() == '/' || tidy->empty())
            return refused(text, "is a folder", "name a file in it");
        address.host = std::move(*tidy);
    }
    // '@' takes the place of the leading NUL.
    if (address.host.size() > longest_path + (path.front() == '@' ? 1 : 0))
        return refused(text, "is too long for a unix socket",
                       "at most " + std::to_string(longest_path) + " bytes; see unix(7)");
    return address;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    unsigned port = 0;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (!is_digits(text) || problem != std::errc{} || port > 65535)
        return std::nullopt;
    return static_cast<std::uint16_t>(port);
}

std::optional<std::string> ipv4_of(std::string const& text) {
    in_addr binary{};
    char buffer[INET_ADDRSTRLEN];
    if (::inet_pton(AF_INET, text.c_str(), &binary) != 1 ||
        !::inet_ntop(AF_INET, &binary, buffer, sizeof buffer))
        return std::nullopt;
    return buffer;
}

// With its "%zone"; whether the machine has that interface is not asked here.
std::optional<std::string> ipv6_of(std::string_view text) {
    auto const percent = text.find('%');
    auto const zone = percent == std::string_view::npos ? std::string_view{} : text.substr(percent);
    if (zone.size() == 1 || zone.size() > longest_zone + 1 ||
        zone.find_first_of("/ []%", 1) != std::string_view::npos)
        return std::nullopt;
    in6_addr binary{};
    char buffer[INET6_ADDRSTRLEN];
    std::string const bare{text.substr(0, percent)};
    if (::inet_pton(AF_INET6, bare.c_str(), &binary) != 1 ||
        !::inet_ntop(AF_INET6, &binary, buffer, sizeof buffer))
        return std::nullopt;
    return buffer + std::string{zone};
}

Result<ListenAddress> parse_inherited(std::string_view text, std::string_view rest) {
    ListenAddress address{Transport::Inherited, std::string{rest.substr(0, rest.find(':'))}, 0};
    if (!is_passed_name(address.host))
        return refused(text, "names no socket that could be passed",
                       "write the FileDescriptorName= of a .socket unit, as in \"inherit:http\"");
    if (address.host.size() == rest.size())
        return address;
    auto const number = parse_port(rest.substr(address.host.size() + 1));
    if (!number || *number < 2)
        return refused(text, "has no number from 2 on after the name",
                       "\"inherit:" + address.host + "\" is all of that name, \"inherit:" + address.host +
                           ":2\" the second one");
    address.port = *number;
    return address;
}

// Why HOST in front of a port is no address, in the words that help most.
Error bad_host(std::string_view text, std::string_view rest, std::string_view host, std::string_view port) {
    std::string const tail = ":" + std::string{port};
    if (host.empty() || host == "*")
        return refused(text, "has no address before the port",
                       "write \"" + std::string{port} + "\" alone for every address");
    if (host.find(':') != std::string_view::npos && ipv6_of(host))
        return refused(text, "is an IPv6 address without brackets",
                       "write \"[" + std::string{host} + "]" + tail + "\"");
    if (ipv6_of(rest))
        return refused(text, "is an IPv6 address without a port", "write it as in \"[::1]:80\"");
    if (host.find_first_not_of("0123456789.") == std::string_view::npos)
        return refused(text, "holds no IPv4 address",
                       "write four numbers from 0 to 255, as in \"127.0.0.1:80\"");
    if (host == "localhost")
        return refused(text, "names a host; addresses are numeric",
                       "write \"127.0.0.1" + tail + "\" or \"[::1]" + tail + "\"");
    return refused(text, "names a host; addresses are numeric", "write it as in \"127.0.0.1" + tail + "\"");
}

Result<ListenAddress> parse_inet(Transport transport, std::string_view text, std::string_view rest) {
    ListenAddress address{transport, {}, 0};
    std::string_view host, port = rest;
    bool brackets = false;
    if (!rest.empty() && rest.front() == '[') {
        auto const close = rest.find(']');
        if (close == std::string_view::npos)
            return refused(text, "has a `[` without its `]`");
        host = rest.substr(1, close - 1);
        brackets = true;
        if (rest.substr(close + 1, 1) != ":")
            return refused(text, "has no port", "write it as in \"[::1]:80\"");
        port = rest.substr(close + 2);
    } else if (auto const colon = rest.rfind(':'); colon != std::string_view::npos) {
        host = rest.substr(0, colon);
        port = rest.substr(colon + 1);
    } else if (!is_digits(rest)) {
        if (ipv4_of(std::string{rest}))
            return refused(text, "has no port", "write it as in \"" + std::string{rest} + ":80\"");
        return refused(text, "is no address",
                       "write it as in \"80\", \"127.0.0.1:80\", \"[::]:80\", \"unix:/run/web.sock\"");
    }
    auto const number = parse_port(port);
    if (!number) {
        if (!brackets && ipv6_of(rest))
            return refused(text, "has no port", "write it as in \"[" + std::string{rest} + "]:80\"");
        return refused(text, is_digits(port) ? "has a port above 65535" : "has no port number",
                       is_digits(port) ? "" : "ports are numbers from 0 to 65535; 0 lets the kernel choose");
    }
    address.port = *number;
    if (!brackets && host.empty() && port.size() == rest.size()) // the port alone
        return address;
    auto numeric = brackets ? ipv6_of(host) : ipv4_of(std::string{host});
    if (!numeric && brackets)
        return refused(text, "holds no IPv6 address between the brackets", "write it as in \"[::1]:80\"");
    if (!numeric)
        return bad_host(text, rest, host, port);
    address.host = std::move(*numeric);
    return address;
}

} // namespace

bool ListenAddress::is_ipv6() const {
    return !is_unix() && !is_inherited() && host.find(':') != std::string::npos;
}

Result<ListenAddress> parse_address(std::string_view text) {
    if (text.empty())
        return plain_error("the address is empty", {}, "write it as in \"127.0.0.1:80\"");
    if (text.find('\0') != std::string_view::npos)
        return refused(text, "holds a NUL character");
    if (text.front() == '/' || text.front() == '@')
        return parse_unix(text, text);
    auto const colon = text.find(':');
    auto const scheme = text.substr(0, colon);
    if (colon == std::string_view::npos)
        return parse_inet(Transport::Tcp, text, text);
    auto const rest = text.substr(colon + 1);
    if (scheme == "unix")
        return parse_unix(text, rest.substr(0, 3) == "///" ? rest.substr(2) : rest); // unix:///path is a URL
    if (scheme == "inherit")
        return parse_inherited(text, rest);
    for (std::string_view const later : later_schemes)
        if (scheme == later)
            return refused(text, "is not supported yet",
                           "supported: TCP, udp://, unix:/path, unix:@name and inherit:NAME");
    if (rest.substr(0, 2) != "//")
        return parse_inet(Transport::Tcp, text, text);
    if (scheme == "tcp")
        return parse_inet(Transport::Tcp, text, rest.substr(2));
    if (scheme == "udp")
        return parse_inet(Transport::Udp, text, rest.substr(2));
    std::vector<std::string_view> schemes{"tcp", "udp", "unix"};
    auto const meant = nearest(scheme, schemes);
    return refused(text, "is no kind of address",
                   meant.empty() ? "write \"80\", \"127.0.0.1:80\", \"udp://…\" or \"unix:/path\""
                                 : "did you mean `" + std::string{meant} + "`?");
}

std::string to_string(ListenAddress const& address) {
    if (address.is_unix())
        return "unix:" + address.host;
    if (address.is_inherited())
        return "inherit:" + address.host + (address.port == 0 ? "" : ":" + std::to_string(address.port));
    std::string text = address.transport == Transport::Udp ? "udp://" : "";
    if (address.is_ipv6())
        text += "[" + address.host + "]:";
    else if (!address.host.empty())
        text += address.host + ":";
    return text + std::to_string(address.port);
}

} // namespace holdfast
