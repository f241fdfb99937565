// SPDX-License-Identifier: Apache-2.0
// What a worker's libholdfast makes of any frame that comes with some descriptors: all of them end up in the
// set or closed, and none but those that the frame names are in the set. The first byte says how many come.
#include "client/internal.h"
#include "fuzz.h"

#include <cstring>

#include <sys/socket.h>
#include <unistd.h>

namespace {

void send_with_fds(int socket, std::uint8_t const* data, std::size_t size, std::size_t count) {
    iovec part{const_cast<std::uint8_t*>(data), size};
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        auto* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (std::size_t i = 0; i < count; ++i)
            std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &socket, sizeof socket);
    }
    must(::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0, "the frame can be sent");
}

int next_free_fd() {
    int const fd = ::dup(STDIN_FILENO);
    ::close(fd);
    return fd;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size < 2 || size > HOLDFAST_FRAME_SIZE + 100)
        return 0;
    std::size_t const count = data[0] % 5U;
    int ends[2];
    must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "a socket pair can be had");
    int const free_before = next_free_fd();
    send_with_fds(ends[0], data + 1, size - 1, count);
    auto* set = holdfast_new_set();
    int const result = holdfast_take_push(ends[1], set);
    must(result != 0, "the frame was there");
    must(holdfast_count(set) <= count, "the set has no more than came");
    for (std::size_t i = 0; i < holdfast_count(set); ++i)
        must(holdfast_fd(set, i) >= 0 && std::strlen(holdfast_name(set, i)) > 0,
             "what is in the set has a name");
    holdfast_free(set);
    must(next_free_fd() == free_before, "no descriptor is left open");
    ::close(ends[0]);
    ::close(ends[1]);
    return 0;
}
