// SPDX-License-Identifier: Apache-2.0
// The three kinds of probe. A connection that is closed before it was accepted stays in the listener's queue;
// the worker will accept it and find it at its end, as with any client that has gone.
#include "worker/probe.h"

#include "worker/command.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace holdfast {

namespace {

constexpr std::size_t longest_answer = 4096; ///< of which the first line counts
constexpr Duration first_look = std::chrono::milliseconds{1};
constexpr Duration longest_pause = std::chrono::milliseconds{50};

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

Result<UniqueFd> connect_to(std::uint16_t port) {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd.is_open())
        return system_error(errno, "make a socket for its probe");
    auto const address = loopback(port);
    if (::connect(fd.raw(), reinterpret_cast<sockaddr const*>(&address), sizeof address) < 0 &&
        errno != EINPROGRESS)
        return system_error(errno, "connect to its listener for probes");
    return fd;
}

/// Of a socket that became writable: 0 when it is connected.
int problem_of(FdRef socket) {
    int problem = 0;
    socklen_t length = sizeof problem;
    return ::getsockopt(socket.raw(), SOL_SOCKET, SO_ERROR, &problem, &length) < 0 ? errno : problem;
}

class ConnectedProbe : public Probe {
protected:
    ConnectedProbe(UniqueFd socket, Ended ended) : ended_{std::move(ended)}, socket_{std::move(socket)} {}

    /// The last that a probe does: it may be destroyed then.
    void end(ProbeEnd how) {
        source_.reset();
        auto const ended = std::move(ended_);
        ended(std::move(how));
    }
    [[nodiscard]] FdRef socket() const { return socket_; }
    [[nodiscard]] Outcome watch(EventLoop& loop, std::function<void(std::uint32_t)> on_ready) {
        auto source = loop.try_watch(socket_, EPOLLOUT, std::move(on_ready), Priority::Clients);
        if (!source)
            return std::move(source).error();
        source_ = std::move(source).value();
        return {};
    }
    void watch_for(std::uint32_t events) { source_.set_events(events); }

private:
    Ended ended_;
    UniqueFd socket_;
    EventSource source_;
};

class HttpProbe final : public ConnectedProbe {
public:
    HttpProbe(UniqueFd socket, std::string path, Ended ended)
        : ConnectedProbe{std::move(socket), std::move(ended)}, path_{std::move(path)} {}
    [[nodiscard]] Outcome begin(EventLoop& loop) {
        return watch(loop, [this](std::uint32_t) { is_asked_ ? read() : ask(); });
    }

private:
    void fail(std::string const& how, bool is_own = false) { end({"GET " + path_ + how, is_own}); }

    void ask() {
        if (int const problem = problem_of(socket()); problem != 0)
            return fail(std::string{": "} + std::strerror(problem));
        auto const text = "GET " + path_ +
                          " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: holdfast\r\nAccept: */*\r\n"
                          "Connection: close\r\n\r\n";
        // The buffer of a new connection is empty, and larger than any path of a unit file.
        if (::send(socket().raw(), text.data(), text.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(text.size()))
            return fail(": it cannot be asked");
        is_asked_ = true;
        watch_for(EPOLLIN);
    }
    void read() {
        char block[longest_answer];
        auto const size = ::recv(socket().raw(), block, longest_answer - answer_.size(), 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        answer_.append(block, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        auto const status = read_http_status(answer_, size <= 0 || answer_.size() == longest_answer);
        if (!status)
            return;
        if (answer_.empty())
            return fail(": the connection was closed without an answer");
        if (*status == 0)
            return fail(": the answer is not HTTP", true);
        if (*status < 200 || *status > 399)
            return fail(" answered " + std::to_string(*status), true);
        end({});
    }

    std::string path_;
    std::string answer_;
    bool is_asked_ = false;
};

/// To be connected proves nothing: the kernel does that. The queue of the listener is empty when the worker
/// has accepted the connection. No event tells that, so it is looked at again until the deadline.
class TcpProbe final : public ConnectedProbe {
public:
    TcpProbe(EventLoop& loop, UniqueFd socket, FdRef listener, Ended ended)
        : ConnectedProbe{std::move(socket), std::move(ended)}, listener_{listener},
          looking_{loop.at(MonotonicTime::never(), [this] { look(); })} {}
    [[nodiscard]] Outcome begin(EventLoop& loop) {
        return watch(loop, [this](std::uint32_t events) {
            if ((events & EPOLLOUT) == 0 || std::exchange(is_connected_, true))
                return end({}); // it has sent something, or hung up: it had accepted
            if (int const problem = problem_of(socket()); problem != 0)
                return end({std::string{"connecting failed: "} + std::strerror(problem), false});
            watch_for(EPOLLIN | EPOLLRDHUP);
            look();
        });
    }

private:
    void look() {
        tcp_info info{};
        socklen_t length = sizeof info;
        // Of a listening socket tcpi_unacked is the length of its queue.
        if (::getsockopt(listener_.raw(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
            info.tcpi_unacked == 0) {
            looking_.reset();
            return end({});
        }
        looking_.rearm(MonotonicTime::now() + pause_);
        pause_ = std::min(pause_ * 2, longest_pause);
    }

    FdRef listener_;
    Duration pause_ = first_look;
    bool is_connected_ = false;
    EventSource looking_;
};

class CommandProbe final : public Probe {
public:
    [[nodiscard]] Outcome begin(EventLoop& loop, LaunchPlan plan, std::unordered_set<pid_t>& children,
                                Ended ended) {
        auto command =
            Command::run(loop, std::move(plan), children, [ended = std::move(ended)](std::string why) {
                ended({std::move(why), false});
            });
        if (!command)
            return std::move(command).error();
        command_ = std::move(command).value();
        return {};
    }

private:
    std::unique_ptr<Command> command_;
};

} // namespace

Result<PrivateListener> open_private_listener(bool non_blocking) {
    auto const* const doing = "make a listener for probes";
    UniqueFd fd{
        ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (non_blocking ? SOCK_NONBLOCK : 0), IPPROTO_TCP)};
    if (!fd.is_open())
        return system_error(errno, doing);
    auto const address = loopback(0);
    if (::bind(fd.raw(), reinterpret_cast<sockaddr const*>(&address), sizeof address) < 0 ||
        ::listen(fd.raw(), health_backlog) < 0)
        return system_error(errno, doing);
    return take_private_listener(std::move(fd));
}

PrivateListener take_private_listener(UniqueFd fd) {
    auto address = loopback(0);
    socklen_t length = sizeof address;
    if (::getsockname(fd.raw(), reinterpret_cast<sockaddr*>(&address), &length) < 0)
        address.sin_port = 0;
    return {std::move(fd), ntohs(address.sin_port)};
}

std::optional<int> read_http_status(std::string_view answer, bool is_all) {
    constexpr std::string_view shape = "HTTP/1.x 200";
    if (answer.size() <= shape.size() && answer.find('\n') == std::string_view::npos && !is_all)
        return std::nullopt;
    auto const is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (answer.size() < shape.size() || !answer.starts_with("HTTP/1.") || !is_digit(answer[7]) ||
        answer[8] != ' ' || !std::all_of(answer.begin() + 9, answer.begin() + 12, is_digit))
        return 0;
    if (answer.size() > shape.size() && std::strchr(" \r\n", answer[12]) == nullptr)
        return 0;
    return (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + (answer[11] - '0');
}

Result<std::unique_ptr<Probe>> probe_http(EventLoop& loop, std::uint16_t port, std::string const& path,
                                          Probe::Ended ended) {
    auto socket = connect_to(port);
    if (!socket)
        return std::move(socket).error();
    auto probe = std::make_unique<HttpProbe>(std::move(socket).value(), path, std::move(ended));
    if (auto const begun = probe->begin(loop); !begun)
        return begun.error();
    return std::unique_ptr<Probe>{std::move(probe)};
}

Result<std::unique_ptr<Probe>> probe_tcp(EventLoop& loop, std::uint16_t port, FdRef listener,
                                         Probe::Ended ended) {
    auto socket = connect_to(port);
    if (!socket)
        return std::move(socket).error();
    auto probe = std::make_unique<TcpProbe>(loop, std::move(socket).value(), listener, std::move(ended));
    if (auto const begun = probe->begin(loop); !begun)
        return begun.error();
    return std::unique_ptr<Probe>{std::move(probe)};
}

Result<std::unique_ptr<Probe>> probe_by_command(EventLoop& loop, LaunchPlan const& plan,
                                                std::unordered_set<pid_t>& children, Probe::Ended ended) {
    auto probe = std::make_unique<CommandProbe>();
    if (auto const begun = probe->begin(loop, plan, children, std::move(ended)); !begun)
        return begun.error();
    return std::unique_ptr<Probe>{std::move(probe)};
}

} // namespace holdfast
