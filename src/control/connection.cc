// SPDX-License-Identifier: Apache-2.0
#include "control/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace holdfast {

namespace {

// Per wake-up, so that one busy client does not keep the loop from the others.
constexpr std::size_t read_bytes = std::size_t{64} << 10;
constexpr int messages_at_once = 8;
constexpr int sends_at_once = 16;
// A buffer that grew beyond this is given back when it is empty.
constexpr std::size_t kept_capacity = std::size_t{16} << 10;

void empty(std::string& buffer) {
    buffer.clear();
    if (buffer.capacity() > kept_capacity)
        buffer.shrink_to_fit();
}

} // namespace

ControlConnection::ControlConnection(EventLoop& loop, UniqueFd socket, Peer peer, ControlLimits const& limits,
                                     Callbacks callbacks)
    : limits_{limits}, loop_{loop}, socket_{std::move(socket)}, peer_{std::move(peer)}, callbacks_{std::move(
                                                                                            callbacks)} {}

void ControlConnection::begin() {
    // The sources are ours and end with us, so a plain pointer is enough.
    timer_ = loop_.at(MonotonicTime::never(), [this] { on_time(); });
    events_ = EPOLLIN;
    watch_ = loop_.watch(
        socket_, events_, [this](std::uint32_t events) { on_ready(events); }, Priority::Clients);
    settle();
}

void ControlConnection::on_ready(std::uint32_t events) {
    auto const self = shared_from_this(); // drop() may take the last other owner away
    if ((events & EPOLLOUT) != 0)
        write_some();
    bool const hung_up = (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (((events & EPOLLIN) != 0 || hung_up) && !is_gone() && is_reading())
        read_some();
    take_messages();
    // Both directions are closed: what it still sent was read and done (it may have been oneway); answers
    // have nobody left to read them.
    if (hung_up && !is_gone() && !(may_go_on() && (has_message() || !input_ended_)))
        return drop();
    settle();
}

void ControlConnection::on_time() {
    auto const self = shared_from_this();
    auto const now = MonotonicTime::now();
    alarm_ = MonotonicTime::never();
    // It may have done its part while the loop was busy with others, and must not pay for that.
    if (now >= stall_deadline_)
        write_some();
    if (now >= half_deadline_ && !is_gone() && is_reading()) {
        read_some();
        take_messages();
    }
    if (now >= half_deadline_ || now >= stall_deadline_)
        return drop();
    settle();
}

void ControlConnection::read_some() {
    std::array<char, read_bytes> chunk; // NOLINT: filled by recv
    ssize_t const got = ::recv(socket_.raw(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        input_ended_ = true; // also ECONNRESET: it closed without reading our answer
        return;
    }
    std::size_t const before = input_.size();
    input_.append(chunk.data(), static_cast<std::size_t>(got));
    message_end_ = input_.find('\0', before);
}

bool ControlConnection::may_go_on() const {
    return !answering_ && !closing_ && unread_output() <= limits_.output_pause_bytes;
}

bool ControlConnection::is_too_long() const {
    std::size_t const end = has_message() ? message_end_ : input_.size();
    return end - input_taken_ > limits_.message_bytes;
}

void ControlConnection::take_messages() {
    for (int taken = 0; taken < messages_at_once && !is_gone() && may_go_on(); ++taken) {
        if (is_too_long()) {
            answering_ = true;
            return callbacks_.on_too_long(shared_from_this());
        }
        if (!has_message())
            break;
        // A copy: the connection may be dropped, and its buffer freed, while the message is worked on.
        std::string const message = input_.substr(input_taken_, message_end_ - input_taken_);
        input_taken_ = message_end_ + 1;
        message_end_ = input_.find('\0', input_taken_);
        if (!has_message()) {
            input_.erase(0, std::exchange(input_taken_, 0));
            if (input_.empty())
                empty(input_);
        }
        has_spoken_ = true;
        half_deadline_ = MonotonicTime::never();
        answering_ = true;
        callbacks_.on_message(shared_from_this(), message);
    }
}

void ControlConnection::send(std::string const& message) {
    if (is_gone() || closing_)
        return;
    if (unread_output() > limits_.output_bytes)
        return drop();
    output_ += message;
    write_some();
    settle();
}

void ControlConnection::finish(std::string const& message) {
    answering_ = false;
    when_gone_ = nullptr;
    if (message.empty())
        settle();
    else
        send(message);
}

void ControlConnection::finish_and_close(std::string const& message) {
    if (is_gone())
        return;
    answering_ = false;
    when_gone_ = nullptr;
    closing_ = true;
    input_taken_ = 0;
    message_end_ = std::string::npos;
    empty(input_);
    output_ += message;
    write_some();
    settle();
}

void ControlConnection::write_some() {
    for (int sends = 0; sends < sends_at_once && unread_output() > 0; ++sends) {
        ssize_t const sent = ::send(socket_.raw(), output_.data() + output_sent_, unread_output(),
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
            return;
        if (sent < 0)
            return drop();
        output_sent_ += static_cast<std::size_t>(sent);
        stall_deadline_ = MonotonicTime::never(); // it reads: settle() starts the time anew
    }
    if (unread_output() == 0) {
        output_sent_ = 0;
        empty(output_);
    } else if (output_sent_ > limits_.output_bytes) {
        output_.erase(0, std::exchange(output_sent_, 0)); // rarely, or a long reply is moved over and over
    }
}

// What is waited for follows from what the connection holds, in this one place.
void ControlConnection::settle() {
    if (is_gone())
        return;
    bool const is_idle = !answering_ && unread_output() == 0;
    if (is_idle && (closing_ || (input_ended_ && !has_message())))
        return drop();
    bool const reading = is_reading();
    // A socket that may be written wakes us for the messages that wait already, after everybody else's turn.
    bool const writing = unread_output() > 0 || (may_go_on() && has_message());
    std::uint32_t const wanted =
        (reading ? std::uint32_t{EPOLLIN} : 0) | (writing ? std::uint32_t{EPOLLOUT} : 0);
    if (watch_ && wanted != events_) {
        watch_.set_events(wanted);
        events_ = wanted;
    }
    settle_deadlines(reading);
}

void ControlConnection::settle_deadlines(bool reading) {
    auto const keep_or_start = [](bool runs, MonotonicTime& deadline, Duration length) {
        if (!runs)
            deadline = MonotonicTime::never();
        else if (deadline == MonotonicTime::never())
            deadline = MonotonicTime::now() + length;
    };
    keep_or_start(reading && (!has_spoken_ || input_.size() > input_taken_), half_deadline_,
                  limits_.half_message);
    keep_or_start(unread_output() > 0, stall_deadline_, limits_.stalled_output);
    auto const next = std::min(half_deadline_, stall_deadline_);
    if (timer_ && next != alarm_) {
        timer_.rearm(next);
        alarm_ = next;
    }
}

void ControlConnection::drop() {
    if (is_gone())
        return;
    auto const self = shared_from_this();
    watch_.reset();
    timer_.reset();
    socket_.reset();
    answering_ = false;
    input_taken_ = output_sent_ = 0;
    message_end_ = std::string::npos;
    empty(input_);
    empty(output_);
    callbacks_.on_gone(self);
    if (auto const told = std::exchange(when_gone_, nullptr))
        told();
}

} // namespace holdfast
