// SPDX-License-Identifier: Apache-2.0
#include "socket/bind_error.h"

#include "base/proc_file.h"
#include "base/time.h"
#include "socket/inspect.h"

#include <cerrno>
#include <map>

#include <unistd.h>

namespace holdfast {

namespace {

/// Walking sock_diag and /proc is slow: tens of milliseconds on a large host. A thousand addresses in use at
/// once must not stop the loop, so the time spent on it is rationed, and what was found is good for as long
/// as a ration; without one left the advice names the command that tells.
class HolderSearch {
public:
    /// Who holds `address`; empty if nobody can be seen, or it would take too long.
    std::vector<SocketHolder> operator()(ListenAddress const& address) {
        auto const now = MonotonicTime::now();
        if (now - since_ > period) {
            since_ = now;
            spent_ = Duration{0};
            found_.clear();
        }
        auto const key = to_string(address);
        if (auto const known = found_.find(key); known != found_.end())
            return known->second;
        if (spent_ >= allowed)
            return {};
        auto const before = thread_cpu_time();
        auto holders = find_holders(address);
        spent_ += thread_cpu_time() - before;
        if (!holders.empty())
            found_.emplace(key, holders);
        return holders;
    }

private:
    static constexpr Duration period = std::chrono::seconds{10};
    static constexpr Duration allowed = std::chrono::milliseconds{200};
    MonotonicTime since_;
    Duration spent_{0};
    std::map<std::string, std::vector<SocketHolder>> found_;
};

HolderSearch& holder_search() {
    static HolderSearch search;
    return search;
}

std::string how_to_look(ListenAddress const& address) {
    switch (address.transport) {
    case Transport::Tcp:
        return "ss -ltnp 'sport = :" + std::to_string(address.port) + "'";
    case Transport::Udp:
        return "ss -lunp 'sport = :" + std::to_string(address.port) + "'";
    case Transport::UnixStream:
        return "ss -lxp";
    case Transport::Inherited:
        break;
    }
    return "ss -lp";
}

std::string in_use_advice(ListenAddress const& address) {
    auto const holders = holder_search()(address);
    if (holders.empty())
        return "see who holds it with: " + how_to_look(address);
    std::string const what = address.is_unix() ? "it" : "port " + std::to_string(address.port);
    SocketHolder const& first = holders.front();
    if (first.pid == ::getpid())
        return what + " is held by holdfastd itself: another socket has this address, or one that covers it "
                      "(\"80\" and \"[::]:80\" take both IPv6 and IPv4)";
    if (first.pid == 0)
        return what + " is held by a process of user " + std::to_string(first.uid) +
               " that we may not look into; see as root: " + how_to_look(address);
    std::string advice = what + " is held by " + first.command + " (pid " + std::to_string(first.pid) + ")";
    if (holders.size() > 1)
        advice += " and " + std::to_string(holders.size() - 1) + " more";
    return advice + ": stop it, or choose another " + (address.is_unix() ? "path" : "port");
}

std::string folder_of(std::string const& path) {
    auto const slash = path.rfind('/');
    if (slash == std::string::npos)
        return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string unix_advice(int code, ListenAddress const& address) {
    std::string const folder = folder_of(address.host);
    switch (code) {
    case ENOENT:
        return "the folder " + folder + " does not exist: create it first";
    case ENOTDIR:
        return "a part of " + folder + " is no folder";
    case EACCES:
        return "user " + std::to_string(::geteuid()) + " may not create files in " + folder;
    case EROFS:
        return folder + " is on a read-only file system";
    case EPERM:
        return "the file system of " + folder + " may have no sockets, or its rights forbid this";
    default:
        return {};
    }
}

std::string no_right_advice(ListenAddress const& address) {
    auto const start = read_proc_number("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    auto const first_free = start.value_or(1024);
    if (address.port >= first_free)
        return "a security policy of this system refuses it";
    return "ports below " + std::to_string(first_free) +
           " need a right: give holdfastd CAP_NET_BIND_SERVICE (run it as root, or AmbientCapabilities= in "
           "its "
           "systemd unit), or lower net.ipv4.ip_unprivileged_port_start to " +
           std::to_string(address.port);
}

std::string inet_advice(int code, ListenAddress const& address) {
    switch (code) {
    case EADDRNOTAVAIL:
        return "no interface has this address now; it is tried again, or set free_bind = true";
    case EACCES:
    case EPERM:
        return no_right_advice(address);
    case EINVAL:
        if (address.host.starts_with("fe80:") && address.host.find('%') == std::string::npos)
            return "a link-local address needs its interface: [" + address.host +
                   "%eth0]:" + std::to_string(address.port);
        return {};
    case EAFNOSUPPORT:
        return address.is_ipv6() ? "this kernel has IPv6 switched off" : "";
    default:
        return {};
    }
}

std::string advice_for(int code, ListenAddress const& address) {
    switch (code) {
    case EADDRINUSE:
        return in_use_advice(address);
    case EMFILE:
        return "holdfastd has no descriptor left: raise its limit (LimitNOFILE= in systemd, ulimit -n)";
    case ENFILE:
        return "the whole system has no descriptor left: raise fs.file-max";
    case ENOBUFS:
    case ENOMEM:
        return "the kernel has no memory left for sockets";
    default:
        return address.is_unix() ? unix_advice(code, address) : inet_advice(code, address);
    }
}

} // namespace

void forget_holders() {
    holder_search() = {};
}

Error explain_bind_failure(int code, std::string_view step, SocketSpec const& socket,
                           ListenAddress const& address) {
    return system_error(code, std::string{step} + " " + to_string(address), socket.name,
                        advice_for(code, address));
}

Error complete_bind_error(Error error, SocketSpec const& socket, ListenAddress const& address) {
    error.where = socket.name;
    if (error.advice.empty())
        error.advice = advice_for(error.code, address);
    return error;
}

} // namespace holdfast
