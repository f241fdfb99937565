// SPDX-License-Identifier: Apache-2.0
#include "daemon/upwards.h"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>

namespace holdfast::daemon {

namespace {

constexpr Duration pause = std::chrono::milliseconds{50};
constexpr std::size_t most_waiting = 64; // then the oldest go: what is newer says more

} // namespace

Upwards::Upwards(EventLoop& loop) : loop_{loop} {
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

void Upwards::send_waiting() {
    while (!waiting_.empty()) {
        auto const& text = waiting_.front();
        auto const sent = ::sendto(socket_.raw(), text.data(), text.size(), MSG_NOSIGNAL,
                                   reinterpret_cast<sockaddr const*>(&address_), length_);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        waiting_.pop_front(); // said, or there is nobody to say it to
    }
    if (waiting_.empty())
        return again_.reset();
    auto const at = MonotonicTime::now() + pause;
    if (again_)
        again_.rearm(at);
    else
        again_ = loop_.at(at, [this] { send_waiting(); });
}

} // namespace holdfast::daemon
