// SPDX-License-Identifier: Apache-2.0
// The two system calls that move frames.
#include "handoff/frames.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace holdfast {

namespace {

constexpr std::size_t control_size = CMSG_SPACE(max_frame_fds * sizeof(int));

/// Takes every descriptor out of the control data, wanted or not, so that none can be forgotten.
std::vector<UniqueFd> take_fds(msghdr& message) {
    std::vector<UniqueFd> fds;
    for (auto* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        auto const count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(part) + i * sizeof(int), sizeof number);
            fds.emplace_back(number);
        }
    }
    return fds;
}

} // namespace

Outcome send_frame(FdRef socket, std::string_view text, std::vector<FdRef> const& fds) {
    ensure(text.size() <= max_frame_size && !text.empty() && fds.size() <= max_frame_fds, "frame limits");
    iovec part{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[control_size];
    if (!fds.empty()) {
        std::memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
        auto* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        for (std::size_t i = 0; i < fds.size(); ++i) {
            int const number = fds[i].raw();
            std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &number, sizeof number);
        }
    }
    ssize_t sent = 0;
    do
        sent = ::sendmsg(socket.raw(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return system_error(errno, "send a hand-off frame");
    return {};
}

Result<ReceivedFrame> receive_frame(FdRef socket, std::size_t max_fds) {
    ensure(max_fds <= max_frame_fds, "frame limits");
    // Not initialised on purpose: the kernel fills what is used, and 64 KiB are not worth clearing each time.
    char text[max_frame_size];
    alignas(cmsghdr) char control[control_size];
    iovec part{text, sizeof text};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    // Without room for control data the kernel closes what was sent by itself, and says so with MSG_CTRUNC.
    // The length, not the aligned space: the padding of an odd count would let one more descriptor in.
    message.msg_control = max_fds == 0 ? nullptr : control;
    message.msg_controllen = max_fds == 0 ? 0 : CMSG_LEN(max_fds * sizeof(int));
    ssize_t length = 0;
    do
        length = ::recvmsg(socket.raw(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return system_error(errno, "receive a hand-off frame");
    ReceivedFrame frame{{}, take_fds(message)};
    if ((message.msg_flags & MSG_TRUNC) != 0)
        return system_error(EMSGSIZE, "receive a hand-off frame");
    if ((message.msg_flags & MSG_CTRUNC) != 0)
        return system_error(E2BIG, "receive the descriptors of a hand-off frame");
    frame.text.assign(text, static_cast<std::size_t>(length));
    return frame;
}

} // namespace holdfast
