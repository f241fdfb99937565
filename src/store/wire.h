// SPDX-License-Identifier: Apache-2.0
// The two system calls that move the messages of protocol.h. Neither waits, neither allocates; who receives
// owns every descriptor that came, so that none can be forgotten.
#pragma once

#include "base/fd.h"
#include "store/protocol.h"

#include <array>
#include <cstddef>
#include <string_view>

namespace holdfast {

enum class Received {
    Message,
    Cut,     ///< it was empty or too long, or not all descriptors could be had (EMFILE): all of it is closed
    Nothing, ///< none is there
    Gone,    ///< the other end is closed
};

/// A received message; it may be used again. What is not taken is closed with it, and before the next.
class Message {
public:
    constexpr Message() = default;
    Message(Message const&) = delete;
    Message& operator=(Message const&) = delete;
    ~Message() { close_descriptors(); }

    [[nodiscard]] std::string_view text() const { return {text_, size_}; }
    [[nodiscard]] std::size_t descriptors() const { return count_; }
    /// The caller owns it now; each can be taken once.
    [[nodiscard]] UniqueFd take(std::size_t number);
    void close_descriptors();

private:
    friend Received receive_message(FdRef socket, Message& message);
    char text_[most_message_bytes]{};
    std::size_t size_ = 0;
    std::array<int, most_descriptors_per_message> fds_{};
    std::size_t count_ = 0;
};

/// recvmsg(2); descriptors come close-on-exec.
[[nodiscard]] Received receive_message(FdRef socket, Message& message);

/// sendmsg(2) with MSG_NOSIGNAL. 0, or an errno: see must_wait(); EPIPE, ECONNRESET: the other end is gone.
[[nodiscard]] int send_message(FdRef socket, std::string_view text, int const* fds = nullptr,
                               std::size_t count = 0);

/// Is it an error of send_message() that passes when the other end reads? ETOOMANYREFS is that of too many
/// descriptors on their way, see unix(7).
[[nodiscard]] bool must_wait(int error);

} // namespace holdfast
