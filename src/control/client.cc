// SPDX-License-Identifier: Apache-2.0
#include "control/client.h"

#include "control/methods.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

namespace holdfast {

using nlohmann::json;

namespace {

// A reply lists what the daemon holds: ten thousand units are some ten megabytes.
constexpr std::size_t reply_limit = std::size_t{512} << 20;

constexpr char const* daemon_lost = "the daemon closed the connection before it answered";

Error lost(int code) {
    Error error = plain_error(daemon_lost);
    error.code = code;
    return error;
}

timeval to_timeval(Duration duration) {
    if (duration == forever)
        return {};
    auto const seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
    // Zero means for ever to the kernel.
    return {static_cast<time_t>(seconds.count()),
            static_cast<suseconds_t>(std::max<std::int64_t>((duration - seconds).count(), 1))};
}

std::string full_name(std::string_view method) {
    if (method.find('.') != std::string_view::npos)
        return std::string{method};
    return std::string{control_interface} + "." + std::string{method};
}

} // namespace

NoAnswer why_no_answer(Error const& error) {
    switch (error.code) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        return NoAnswer::NoDaemon;
    case EACCES:
    case EPERM:
        return NoAnswer::NotPermitted;
    case ETIMEDOUT:
        return NoAnswer::TimedOut;
    case ECONNRESET:
    case EPIPE:
        return NoAnswer::ConnectionLost;
    default:
        return NoAnswer::Other;
    }
}

Result<ControlClient> ControlClient::connect_to(std::string const& path, Duration timeout) {
    std::string const doing = "reach the daemon";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return system_error(ENAMETOOLONG, doing, path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket.is_open())
        return system_error(errno, doing, path);
    // connect(2) waits while the daemon's queue is full, as long as the send timeout says; there is nothing
    // that poll(2) could wait for.
    timeval const wait = to_timeval(timeout);
    if (::setsockopt(socket.raw(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) < 0)
        return system_error(errno, doing, path);
    int r = 0;
    do
        r = ::connect(socket.raw(), reinterpret_cast<sockaddr const*>(&address), sizeof address);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return system_error(errno == EAGAIN ? ETIMEDOUT : errno, doing, path);
    return ControlClient{std::move(socket)};
}

Outcome ControlClient::wait_for(short events, MonotonicTime deadline) {
    for (;;) {
        int timeout = -1;
        if (deadline != MonotonicTime::never()) {
            auto const left =
                std::chrono::ceil<std::chrono::milliseconds>(deadline - MonotonicTime::now()).count();
            timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX));
        }
        pollfd waited{socket_.raw(), events, 0};
        int const r = ::poll(&waited, 1, timeout);
        if (r > 0)
            return {};
        if (r == 0)
            return system_error(ETIMEDOUT, "get an answer from the daemon");
        if (errno != EINTR)
            return system_error(errno, "wait for the daemon");
    }
}

Outcome ControlClient::send_all(std::string_view message, MonotonicTime deadline) {
    while (!message.empty()) {
        if (auto ready = wait_for(POLLOUT, deadline); !ready)
            return ready;
        ssize_t const sent =
            ::send(socket_.raw(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (sent < 0)
            return lost(errno);
        message.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
}

Result<ControlAnswer> ControlClient::receive(MonotonicTime deadline) {
    std::size_t end = input_.find('\0');
    while (end == std::string::npos) {
        if (auto ready = wait_for(POLLIN, deadline); !ready)
            return std::move(ready).error();
        std::array<char, 65536> chunk; // NOLINT: filled by recv
        ssize_t const got = ::recv(socket_.raw(), chunk.data(), chunk.size(), MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return lost(ECONNRESET);
        std::size_t const before = input_.size();
        input_.append(chunk.data(), static_cast<std::size_t>(got));
        end = input_.find('\0', before);
        if (end == std::string::npos && input_.size() > reply_limit)
            return plain_error("the daemon's reply has no end");
    }
    auto answer = parse_reply(std::string_view{input_}.substr(0, end));
    input_.erase(0, end + 1);
    return answer;
}

Result<ControlAnswer> ControlClient::call(std::string_view method, json const& parameters, Duration timeout) {
    auto const deadline = MonotonicTime::now() + timeout;
    ControlCall call;
    call.method = full_name(method);
    call.parameters = parameters;
    // A daemon that refuses us may have answered and closed already: its answer says why, so read it first.
    auto const sent = send_all(encode_call(call), deadline);
    auto answer = receive(deadline);
    if (!answer && !sent)
        return sent.error();
    return answer;
}

Result<ControlAnswer> ControlClient::call_more(std::string_view method, json const& parameters,
                                               std::function<bool(json const&)> const& on_progress,
                                               Duration timeout) {
    ControlCall call;
    call.method = full_name(method);
    call.parameters = parameters;
    call.more = true;
    auto const sent = send_all(encode_call(call), MonotonicTime::now() + timeout);
    for (;;) {
        auto answer = receive(MonotonicTime::now() + timeout);
        if (!answer && !sent)
            return sent.error();
        if (!answer || !answer->continues)
            return answer;
        if (!on_progress(answer->parameters)) {
            answer->parameters = json::object();
            return answer;
        }
    }
}

void ControlClient::wait_for_end() {
    char ignored[4096];
    while (wait_for(POLLIN, MonotonicTime::never())) {
        ssize_t const got = ::recv(socket_.raw(), ignored, sizeof ignored, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return;
    }
}

} // namespace holdfast
