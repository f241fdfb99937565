// SPDX-License-Identifier: Apache-2.0
// A TCP client made by hand, whose handshake stops half-way for as long as a test wants. Needs root, or a
// namespace of the test's own (in_own_network).
#pragma once

#include "base/fd.h"

#include <cstdint>
#include <string_view>

namespace holdfast::test {

/// A client at 127.0.0.9 of a server at 127.0.0.1.
class RawClient {
public:
    /// Sends the SYN and waits for the answer.
    explicit RawClient(std::uint16_t server_port);
    /// Has the server answered the SYN?
    [[nodiscard]] bool is_answered() const { return is_answered_; }
    /// Sends the ACK that ends the handshake, with data.
    void finish(std::string_view data);
    /// Has the server sent a reset since? Waits for it until `enough`.
    [[nodiscard]] bool is_reset() const;

private:
    void send(std::uint8_t flags, std::string_view data);

    UniqueFd wire_;  ///< raw
    UniqueFd place_; ///< holds our port and swallows what comes, or the kernel would reset the connection
    std::uint16_t port_ = 0;
    std::uint16_t server_port_;
    std::uint32_t sent_ = 1000;
    std::uint32_t received_ = 0;
    bool is_answered_ = false;
};

} // namespace holdfast::test
