// SPDX-License-Identifier: Apache-2.0
#include "store/wire.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

namespace holdfast {

namespace {

constexpr std::size_t control_size = CMSG_SPACE(most_descriptors_per_message * sizeof(int));

/// recvmsg(2) returns 0 for an empty message and at the end alike.
bool is_hung_up(FdRef socket) {
    pollfd at{socket.raw(), 0, 0};
    return ::poll(&at, 1, 0) == 1 && (at.revents & (POLLHUP | POLLERR)) != 0;
}

} // namespace

UniqueFd Message::take(std::size_t number) {
    return UniqueFd{std::exchange(fds_[number], -1)};
}

void Message::close_descriptors() {
    for (std::size_t i = 0; i < count_; ++i)
        UniqueFd{fds_[i]}.reset();
    count_ = 0;
}

Received receive_message(FdRef socket, Message& message) {
    message.close_descriptors();
    message.size_ = 0;
    alignas(cmsghdr) char control[control_size];
    iovec part{message.text_, sizeof message.text_};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t length = 0;
    do
        length = ::recvmsg(socket.raw(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // ECONNRESET comes once, where the other end closed with something unread: what it had sent is still
    // there.
    while (length < 0 && (errno == EINTR || errno == ECONNRESET));
    if (length < 0)
        return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? Received::Nothing : Received::Gone;
    for (auto* block = CMSG_FIRSTHDR(&header); block; block = CMSG_NXTHDR(&header, block)) {
        if (block->cmsg_level != SOL_SOCKET || block->cmsg_type != SCM_RIGHTS)
            continue;
        auto const count = (block->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(block) + i * sizeof(int), sizeof number);
            if (message.count_ < message.fds_.size())
                message.fds_[message.count_++] = number;
            else
                UniqueFd{number}.reset();
        }
    }
    if (length == 0 && message.count_ == 0 && is_hung_up(socket))
        return Received::Gone;
    if (length == 0 || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        message.close_descriptors();
        return Received::Cut;
    }
    message.size_ = static_cast<std::size_t>(length);
    return Received::Message;
}

int send_message(FdRef socket, std::string_view text, int const* fds, std::size_t count) {
    if (count > most_descriptors_per_message || text.size() > most_message_bytes)
        return EMSGSIZE;
    iovec part{const_cast<char*>(text.data()), text.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[control_size];
    if (count > 0) {
        std::memset(control, 0, sizeof control);
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        auto* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        std::memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
    }
    ssize_t sent = 0;
    do
        sent = ::sendmsg(socket.raw(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

bool must_wait(int error) {
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS;
}

} // namespace holdfast
