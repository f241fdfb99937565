// SPDX-License-Identifier: Apache-2.0
#include "daemon/upwards.h"

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::daemon {

namespace {

constexpr Duration pause = std::chrono::milliseconds{50};
constexpr std::size_t most_waiting = 64; // then the oldest go: what is newer says more

constexpr Duration pause_of_stopping = std::chrono::seconds{10};
constexpr char still_stopping[] = "EXTEND_TIMEOUT_USEC=30000000";

std::optional<std::int64_t> number_in(char const* variable) {
    char const* const text = std::getenv(variable);
    if (text == nullptr)
        return std::nullopt;
    std::int64_t number = 0;
    char const* const end = text + std::strlen(text);
    auto const [rest, problem] = std::from_chars(text, end, number);
    if (problem != std::errc{} || rest != end || number <= 0)
        return std::nullopt;
    return number;
}

/// What our supervisor wants; nothing where it wants none from us.
std::optional<Duration> watchdog_period() {
    if (auto const whose = number_in("WATCHDOG_PID"); whose && *whose != ::getpid())
        return std::nullopt;
    auto const period = number_in("WATCHDOG_USEC");
    if (!period)
        return std::nullopt;
    return Duration{*period};
}

} // namespace

Upwards::Upwards(EventLoop& loop, As as) : loop_{loop}, as_{as} {
    char const* const path = std::getenv("NOTIFY_SOCKET");
    auto const size = path == nullptr ? 0 : std::strlen(path);
    if (size < 2 || size >= sizeof address_.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, path, size);
    if (path[0] == '@')
        address_.sun_path[0] = '\0';
    length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
    socket_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

void Upwards::say(std::string text) {
    if (!socket_.is_open())
        return;
    waiting_.push_back(std::move(text));
    if (waiting_.size() > most_waiting)
        waiting_.pop_front();
    send_waiting();
}

void Upwards::feed_watchdog(std::function<void(Duration)> alive) {
    alive_ = std::move(alive);
    if (auto const period = watchdog_period(); period && socket_.is_open())
        ping(*period);
}

/// The keeper misses it first, and the next holdfastd has a quarter of the time left to come up in.
void Upwards::ping(Duration period) {
    say("WATCHDOG=1");
    alive_(period * 3 / 4);
    auto const at = MonotonicTime::now() + period / 2;
    if (watchdog_)
        watchdog_.rearm(at);
    else
        watchdog_ = loop_.at(at, [this, period] { ping(period); });
}

void Upwards::say_stopping() {
    say("STOPPING=1\nSTATUS=Stopping all units");
    if (!stopping_ && socket_.is_open())
        say_still_stopping();
}

void Upwards::say_still_stopping() {
    say(still_stopping);
    auto const at = MonotonicTime::now() + pause_of_stopping;
    if (stopping_)
        stopping_.rearm(at);
    else
        stopping_ = loop_.at(at, [this] { say_still_stopping(); });
}

/// False: it must wait.
bool Upwards::send(std::string const& text) {
    iovec what{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_name = &address_;
    message.msg_namelen = length_;
    message.msg_iov = &what;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))]{};
    if (as_ == As::Parent) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        auto* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_CREDENTIALS;
        header->cmsg_len = CMSG_LEN(sizeof(ucred));
        ucred const speaker{::getppid(), ::getuid(), ::getgid()};
        std::memcpy(CMSG_DATA(header), &speaker, sizeof speaker);
    }
    while (::sendmsg(socket_.raw(), &message, MSG_NOSIGNAL) < 0) {
        if (errno == EAGAIN)
            return false;
        if (errno == EPERM && as_ == As::Parent) { // only who has CAP_SYS_ADMIN may
            as_ = As::Itself;
            return send(text);
        }
        if (errno != EINTR)
            break; // there is nobody to say it to
    }
    return true;
}

void Upwards::send_waiting() {
    while (!waiting_.empty() && send(waiting_.front()))
        waiting_.pop_front();
    if (waiting_.empty())
        return again_.reset();
    auto const at = MonotonicTime::now() + pause;
    if (again_)
        again_.rearm(at);
    else
        again_ = loop_.at(at, [this] { send_waiting(); });
}

} // namespace holdfast::daemon
