// SPDX-License-Identifier: Apache-2.0
// One client of the control socket, as bytes: cuts what arrives into messages, sends what is given to it, and
// keeps both within ControlLimits. Knows nothing of JSON or methods. One request at a time: while one is
// unanswered nothing is read, so pipelined requests are answered in order and a flood stays in the client's
// own socket buffer. Used by ControlServer and ControlReply only.
#pragma once

#include "base/peer.h"
#include "control/limits.h"
#include "event/loop.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast {

class ControlConnection : public std::enable_shared_from_this<ControlConnection> {
public:
    /// `on_message` gets each message without its NUL, and must see to it that finish() is called for it, now
    /// or later; likewise `on_too_long`, instead of a message past the limit. `on_gone` is called once, when
    /// the connection has ended.
    struct Callbacks {
        std::function<void(std::shared_ptr<ControlConnection> const&, std::string_view)> on_message;
        std::function<void(std::shared_ptr<ControlConnection> const&)> on_too_long;
        std::function<void(std::shared_ptr<ControlConnection> const&)> on_gone;
    };

    ControlConnection(EventLoop& loop, UniqueFd socket, Peer peer, ControlLimits const& limits,
                      Callbacks callbacks);
    /// Begins to listen to it; needs the shared_ptr to exist.
    void begin();

    /// Sends one message of several. A client whose unread output is past the limit is dropped instead.
    void send(std::string const& message);
    /// The message under way is answered: sends `message` (unless empty), then goes on to the next.
    void finish(std::string const& message);
    /// As finish(), but nothing is read any more, and the connection ends when `message` is sent.
    void finish_and_close(std::string const& message);
    /// Ends it now.
    void drop();
    /// Calls `told` if the connection ends before the message under way is answered.
    void when_gone(std::function<void()> told) { when_gone_ = std::move(told); }

    [[nodiscard]] bool is_gone() const { return !socket_.is_open(); }
    [[nodiscard]] Peer const& peer() const { return peer_; }

private:
    void on_ready(std::uint32_t events);
    void on_time();
    void read_some();
    void write_some();
    void take_messages();
    void settle();
    void settle_deadlines(bool reading);
    /// Nothing stands in the way of looking at the next request.
    [[nodiscard]] bool may_go_on() const;
    [[nodiscard]] bool is_reading() const { return may_go_on() && !has_message() && !input_ended_; }
    [[nodiscard]] bool is_too_long() const;
    [[nodiscard]] bool has_message() const { return message_end_ != std::string::npos; }
    [[nodiscard]] std::size_t unread_output() const { return output_.size() - output_sent_; }

    ControlLimits limits_;
    EventLoop& loop_;
    UniqueFd socket_;
    Peer peer_;
    Callbacks callbacks_;
    std::function<void()> when_gone_;
    EventSource watch_;
    EventSource timer_;
    std::uint32_t events_ = 0;
    MonotonicTime alarm_ = MonotonicTime::never();

    std::string input_;
    std::size_t input_taken_ = 0;                 ///< bytes of input_ that were handed on
    std::size_t message_end_ = std::string::npos; ///< of the first whole message after input_taken_
    std::string output_;
    std::size_t output_sent_ = 0;
    bool answering_ = false;   ///< a message is with on_message, its finish() is to come
    bool input_ended_ = false; ///< the client will send no more (it may still read)
    bool closing_ = false;     ///< ends when the output is out
    bool has_spoken_ = false;  ///< a whole message came
    MonotonicTime half_deadline_ = MonotonicTime::never();
    MonotonicTime stall_deadline_ = MonotonicTime::never();
};

} // namespace holdfast
