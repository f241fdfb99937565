// SPDX-License-Identifier: Apache-2.0
#include "worker/notify_socket.h"

#include "base/scope_exit.h"
#include "base/utf8.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::size_t longest_status = 256;
constexpr unsigned messages_per_turn = 64;
constexpr Duration pause_after_full_turn = std::chrono::milliseconds{1};
constexpr int receive_buffer = 8 * 1024 * 1024;

template <class Number>
std::optional<Number> to_number(std::string_view text) {
    Number number{};
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || end != text.data() + text.size() || text.empty())
        return std::nullopt;
    return number;
}

/// Microseconds. Beyond a year it is a mistake, and would be "never".
std::optional<Duration> to_duration(std::string_view usec) {
    constexpr Duration longest = std::chrono::hours{24 * 365};
    auto const number = to_number<std::uint64_t>(usec);
    if (!number)
        return std::nullopt;
    return *number > static_cast<std::uint64_t>(longest.count())
               ? longest
               : Duration{static_cast<Duration::rep>(*number)};
}

/// Shown on terminals and in JSON: anything but printable ASCII and well-formed UTF-8 becomes '?'.
std::string cleaned(std::string_view text) {
    std::string clean;
    while (!text.empty() && clean.size() < longest_status) {
        auto const length = utf8_length(text);
        bool const is_good = length != 0 && !is_control(text.substr(0, length));
        if (is_good && clean.size() + length > longest_status)
            break;
        clean += is_good ? text.substr(0, length) : "?";
        text.remove_prefix(is_good ? length : 1);
    }
    return clean;
}

std::vector<UniqueFd> take_descriptors(msghdr& message) {
    std::vector<UniqueFd> descriptors;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        auto const count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            descriptors.emplace_back(fd);
        }
    }
    return descriptors;
}

/// Of a message that has one of these fields.
void read_store_field(StoreWish& wish, std::string_view key, std::string_view value) {
    if (key == "FDSTORE")
        wish.stores |= value == "1";
    else if (key == "FDSTOREREMOVE")
        wish.removes |= value == "1";
    else if (key == "FDPOLL")
        wish.is_watched &= value != "0";
    else if (key == "FDNAME") {
        wish.is_name_bad = !is_store_name(value);
        wish.name = wish.is_name_bad ? "" : value;
    }
}

std::optional<NotifySender> sender_of(msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS)
            continue;
        ucred credentials{};
        std::memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
        return NotifySender{credentials.pid, credentials.uid};
    }
    return std::nullopt;
}

} // namespace

bool is_store_name(std::string_view name) {
    return name.size() <= 255 &&
           std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~' && c != ':'; });
}

std::optional<NotifyMessage> parse_notify(std::string_view text) {
    if (text.size() > longest_notify_message || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    NotifyMessage message;
    StoreWish store;
    bool is_barrier = false;
    // Without a list of the lines: a ping of a watchdog, which comes all the time, allocates nothing.
    while (!text.empty()) {
        auto const line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        auto const equals = line.find('=');
        if (equals == std::string_view::npos)
            continue;
        auto const key = line.substr(0, equals);
        auto const value = line.substr(equals + 1);
        if (key == "READY")
            message.ready |= value == "1";
        else if (key == "STOPPING")
            message.stopping |= value == "1";
        else if (key == "RELOADING")
            message.reloading |= value == "1";
        else if (key == "MONOTONIC_USEC") {
            if (auto const usec = to_number<Duration::rep>(value); usec && *usec >= 0)
                message.sent_at = MonotonicTime{Duration{*usec}};
        } else if (key == "STATUS")
            message.status = cleaned(value);
        else if (key == "MAINPID") {
            if (auto const pid = to_number<pid_t>(value); pid && *pid > 1)
                message.main_pid = pid;
        } else if (key == "EXTEND_TIMEOUT_USEC") {
            if (auto const by = to_duration(value))
                message.extend_timeout = by;
        } else if (key == "WATCHDOG") {
            message.ping |= value == "1";
            message.trigger |= value == "trigger";
        } else if (key == "WATCHDOG_USEC") {
            if (auto const period = to_duration(value))
                message.watchdog = period;
        } else if (key == "ERRNO") {
            if (auto const code = to_number<int>(value); code && *code > 0 && *code < 4096)
                message.error = code;
        } else if (key.starts_with("FD")) {
            read_store_field(store, key, value);
        } else if (key == "BARRIER") {
            is_barrier |= value == "1"; // the descriptor is that of the barrier
        }
    }
    if ((store.stores || store.removes) && !is_barrier)
        message.store = std::move(store);
    return message;
}

Result<std::unique_ptr<NotifySocket>> NotifySocket::open(EventLoop& loop, std::string path, IsKnown is_known,
                                                         Heard heard) {
    auto const doing = [&] { return "listen for workers on " + path; };
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return system_error(ENAMETOOLONG, doing(), {}, "use a shorter runtime folder");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

    UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd.is_open())
        return system_error(errno, doing());
    ::unlink(path.c_str()); // ours: the caller holds the lock of the runtime folder
    if (::bind(fd.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        return system_error(errno, doing());
    if (::chmod(path.c_str(), 0777) < 0)
        return system_error(errno, doing());
    int const on = 1;
    if (::setsockopt(fd.raw(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
        return system_error(errno, doing());
    // A thousand workers may speak at once. The forced form needs CAP_NET_ADMIN; the plain one is capped by
    // rmem_max.
    if (::setsockopt(fd.raw(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) < 0)
        (void)::setsockopt(fd.raw(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);

    std::unique_ptr<NotifySocket> socket{
        new NotifySocket{path, std::move(is_known), std::move(heard), std::move(fd)}};
    if (auto done = socket->watch(loop); !done)
        return system_error(done.error().code, doing());
    return socket;
}

Result<std::unique_ptr<NotifySocket>> NotifySocket::adopt(EventLoop& loop, std::string path, UniqueFd fd,
                                                          IsKnown is_known, Heard heard) {
    std::unique_ptr<NotifySocket> socket{
        new NotifySocket{path, std::move(is_known), std::move(heard), std::move(fd)}};
    if (auto done = socket->watch(loop); !done)
        return system_error(done.error().code, "listen for workers on " + path);
    return socket;
}

Outcome NotifySocket::watch(EventLoop& loop) {
    auto source = loop.try_watch(
        fd_, EPOLLIN, [this](std::uint32_t) { take_turn(); }, Priority::Messages);
    if (!source)
        return std::move(source).error();
    source_ = std::move(source).value();
    pause_ = loop.at(MonotonicTime::never(), [this] { source_.set_events(EPOLLIN); });
    return {};
}

NotifySocket::~NotifySocket() {
    ::unlink(path_.c_str());
}

/// Messages go before timers and clients, and anybody may send them: who has more than a turn's worth waits a
/// moment (in the kernel's queue, where nothing is lost), or he could keep all others from theirs.
void NotifySocket::take_turn() {
    if (drain(messages_per_turn) < messages_per_turn)
        return;
    pause_.rearm(MonotonicTime::now() + pause_after_full_turn);
    source_.set_events(0);
}

unsigned NotifySocket::drain(unsigned most) {
    unsigned count = 0;
    while (count < most && receive_one())
        ++count;
    return count;
}

bool NotifySocket::receive_one() {
    char text[longest_notify_message];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(253 * sizeof(int))];
    iovec vector{text, sizeof text};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    int const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    auto const size = ::recvmsg(fd_.raw(), &message, flags | (takes_after_hearing_ ? MSG_PEEK : 0));
    if (size < 0)
        return errno == EINTR; // EAGAIN: read all; anything else leaves the message to the next round
    auto descriptors = take_descriptors(message);
    ScopeExit const take{[&] {
        if (takes_after_hearing_) // nobody else reads here, so it is the same one; its descriptors are here
            (void)!::recv(fd_.raw(), text, sizeof text, MSG_DONTWAIT);
    }};
    auto const sender = sender_of(message);
    if ((message.msg_flags & MSG_TRUNC) != 0 || !sender || sender->pid <= 0 || !is_known_(*sender))
        return true;
    auto parsed = parse_notify({text, static_cast<std::size_t>(size)});
    if (!parsed)
        return true;
    if (parsed->store && parsed->store->stores) {
        parsed->descriptors = std::move(descriptors);
        parsed->store->lacks_descriptors = (message.msg_flags & MSG_CTRUNC) != 0;
    }
    descriptors.clear();
    heard_(*sender, *parsed);
    return true;
}

} // namespace holdfast
