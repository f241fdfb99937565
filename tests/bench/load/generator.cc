// SPDX-License-Identifier: Apache-2.0
#include "load/generator.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace holdfast::load {

namespace {

constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;
constexpr std::int64_t full_queue_pause = 1'000'000; // ns between two tries of a unix connect
constexpr unsigned launch_batch = 32;                // requests started before answers are looked at again
constexpr std::size_t spare_descriptors = 64;

std::int64_t monotonic() {
    timespec ts{};
    ::clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * nanoseconds_per_second + ts.tv_nsec;
}

std::int64_t to_ns(Duration duration) {
    return std::chrono::nanoseconds{duration}.count();
}

std::size_t raise_descriptor_limit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return std::max<std::size_t>(limit.rlim_cur, 2 * spare_descriptors) - spare_descriptors;
}

Failure failure_of(int error) {
    if (error == ECONNREFUSED || error == ENOENT)
        return Failure::Refused;
    if (error == ECONNRESET || error == EPIPE || error == ECONNABORTED)
        return Failure::Reset;
    return error == ETIMEDOUT ? Failure::Timeout : Failure::Other;
}

} // namespace

Generator::Generator(Plan const& plan, unsigned index)
    : plan_{plan}, rate_{plan.rate / plan.threads}, epoll_{::epoll_create1(EPOLL_CLOEXEC)}, thread_{index} {
    ensure(epoll_.is_open(), "epoll_create1");
    auto const seconds = static_cast<double>(plan.duration.count()) / 1e6;
    total_ = static_cast<std::uint64_t>(rate_ * seconds);
    most_open_ = raise_descriptor_limit() / plan.threads;
    if (plan.keep_alive)
        most_open_ = std::min<std::size_t>(most_open_, std::max(1U, plan.connections / plan.threads));
    request_ = "GET " + plan.path +
               " HTTP/1.1\r\nHost: " + (plan.target.is_unix() ? "localhost" : plan.target.text) + "\r\n" +
               (plan.keep_alive ? "" : "Connection: close\r\n") + "\r\n";
}

Tally Generator::run() {
    ::prctl(PR_SET_TIMERSLACK, 1); // the default of 50 us is the whole gap between two requests at 20,000/s
    clock_start_ = monotonic();
    // The threads take turns within one gap.
    first_due_ = static_cast<Nanoseconds>(1e9 / rate_ * thread_ / plan_.threads);
    while (!has_ended()) {
        launch_due();
        expire();
        retry_connects();
        serve_waiting();
        wait_and_handle();
    }
    return std::move(tally_);
}

Generator::Nanoseconds Generator::now() const {
    return monotonic() - clock_start_;
}

Generator::Nanoseconds Generator::due_time(std::uint64_t request) const {
    return first_due_ + static_cast<Nanoseconds>(static_cast<double>(request) * 1e9 / rate_);
}

bool Generator::has_ended() const {
    return launched_ == total_ && tally_.ok + tally_.failed() == tally_.sent;
}

void Generator::launch_due() {
    for (unsigned i = 0; i < launch_batch && launched_ < total_; ++i) {
        auto const scheduled = due_time(launched_);
        auto const lag = now() - scheduled;
        if (lag < 0)
            return;
        ++launched_;
        ++tally_.sent;
        auto const lag_us = static_cast<std::uint64_t>(lag / 1000);
        tally_.lag.record(lag_us);
        tally_.late += lag_us > Tally::late_after;
        start(scheduled);
    }
}

void Generator::start(Nanoseconds scheduled) {
    if (!idle_.empty()) {
        auto const slot = idle_.front();
        idle_.pop_front();
        begin_request(slot, scheduled);
    } else if (open_ < most_open_) {
        open(scheduled, false);
    } else {
        ++tally_.waited;
        waiting_.push_back(scheduled);
    }
}

void Generator::serve_waiting() {
    while (!waiting_.empty() && (!idle_.empty() || open_ < most_open_)) {
        auto const scheduled = waiting_.front();
        waiting_.pop_front();
        start(scheduled);
    }
}

void Generator::expire() {
    auto const time = now();
    while (!deadlines_.empty() && deadlines_.front().at <= time) {
        auto const deadline = deadlines_.front();
        deadlines_.pop_front();
        auto const& c = connections_[deadline.slot];
        if (c.serial == deadline.serial && (c.state == State::Connecting || c.state == State::Waiting))
            fail(deadline.slot, Failure::Timeout, ETIMEDOUT);
    }
    while (!waiting_.empty() && waiting_.front() + to_ns(plan_.timeout) <= time) {
        waiting_.pop_front();
        ++tally_.failures[static_cast<std::size_t>(Failure::Timeout)];
    }
}

void Generator::wait_and_handle() {
    Nanoseconds next = launched_ < total_ ? due_time(launched_) : now() + nanoseconds_per_second;
    if (!deadlines_.empty())
        next = std::min(next, deadlines_.front().at);
    if (!full_queue_.empty())
        next = std::min(next, full_queue_.front().at);
    if (!waiting_.empty())
        next = std::min(next, waiting_.front() + to_ns(plan_.timeout));
    if (has_ended())
        return;
    auto const left = std::max<Nanoseconds>(0, next - now());
    timespec const timeout{left / nanoseconds_per_second, left % nanoseconds_per_second};
    epoll_event events[128];
    int const count = ::epoll_pwait2(epoll_.raw(), events, std::size(events), &timeout, nullptr);
    ensure(count >= 0 || errno == EINTR, "epoll_pwait2");
    for (int i = 0; i < count; ++i) {
        auto const slot = static_cast<std::size_t>(events[i].data.u64 & 0xffffffff);
        if (connections_[slot].fd.raw() == static_cast<int>(events[i].data.u64 >> 32))
            on_event(slot, events[i].events);
        serve_waiting();
    }
}

// ---- connections
// --------------------------------------------------------------------------------------------

void Generator::open(Nanoseconds scheduled, bool is_retry) {
    if (free_.empty()) {
        free_.push_back(connections_.size());
        connections_.emplace_back().response.keep_body(plan_.keep_answers);
    }
    auto const slot = free_.back();
    free_.pop_back();
    ++open_;
    ++tally_.connects;
    auto& c = connections_[slot];
    int const protocol = 0;
    c.fd = UniqueFd{
        ::socket(plan_.target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)};
    int const error = c.fd.is_open() ? bind_source(c.fd.raw()) : errno;
    c.is_retry = is_retry;
    c.answered = 0;
    c.watched = false;
    c.scheduled = scheduled;
    c.sent = 0;
    c.state = State::Connecting;
    ++c.serial;
    c.response.reset();
    deadlines_.push_back({scheduled + to_ns(plan_.timeout), slot, c.serial});
    if (error != 0)
        return fail(slot, Failure::Other, error);
    connect(slot);
}

// A connection leaves its pair of addresses and ports in TIME_WAIT for a minute, whichever end closes first.
// One source address has 28,000 ports, which 20,000 connections a second would use up before two seconds have
// passed; so they come from many addresses of 127.0.0.0/8. The port is chosen by connect(), not by bind():
// bind would want one that is free towards every destination (IP_BIND_ADDRESS_NO_PORT, ip(7)).
int Generator::bind_source(int fd) {
    if (!plan_.target.is_loopback4() || plan_.source_addresses == 0)
        return 0;
    int const on = 1;
    sockaddr_in source{};
    source.sin_family = AF_INET;
    auto const host = (127U << 24) | (64U << 16) | (thread_ << 8) | (1 + next_source_);
    source.sin_addr.s_addr = htonl(host);
    next_source_ = (next_source_ + 1) % plan_.source_addresses;
    if (::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
        ::bind(fd, reinterpret_cast<sockaddr*>(&source), sizeof source) < 0)
        return errno;
    return 0;
}

void Generator::connect(std::size_t slot) {
    auto& c = connections_[slot];
    auto const* const address = reinterpret_cast<sockaddr const*>(&plan_.target.address);
    if (::connect(c.fd.raw(), address, plan_.target.size) == 0 || errno == EINPROGRESS) {
        // On loopback the handshake is over when connect() returns, so the request can go out at once.
        send_request(slot);
    } else if (errno == EAGAIN && plan_.target.is_unix()) {
        full_queue_.push_back(
            {now() + full_queue_pause, slot, c.serial}); // a blocking client would wait here
    } else {
        fail(slot, failure_of(errno), errno);
    }
}

void Generator::retry_connects() {
    auto const time = now();
    while (!full_queue_.empty() && full_queue_.front().at <= time) {
        auto const one = full_queue_.front();
        full_queue_.pop_front();
        if (connections_[one.slot].serial == one.serial && connections_[one.slot].state == State::Connecting)
            connect(one.slot);
    }
}

void Generator::begin_request(std::size_t slot, Nanoseconds scheduled) {
    auto& c = connections_[slot];
    c.scheduled = scheduled;
    c.is_retry = false;
    c.sent = 0;
    c.response.reset();
    ++c.serial;
    deadlines_.push_back({scheduled + to_ns(plan_.timeout), slot, c.serial});
    send_request(slot);
}

void Generator::send_request(std::size_t slot) {
    auto& c = connections_[slot];
    ssize_t const size = ::send(c.fd.raw(), request_.data() + c.sent, request_.size() - c.sent, MSG_NOSIGNAL);
    if (size < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
        c.state = State::Connecting;
        return watch(slot, EPOLLIN | EPOLLOUT);
    }
    if (size < 0)
        return on_end(slot, errno);
    c.sent += static_cast<std::size_t>(size);
    if (c.sent < request_.size())
        return watch(slot, EPOLLIN | EPOLLOUT);
    if (c.state == State::Connecting || !c.watched)
        watch(slot, EPOLLIN);
    c.state = State::Waiting;
}

void Generator::on_event(std::size_t slot, std::uint32_t events) {
    auto const& c = connections_[slot];
    switch (c.state) {
    case State::Free:
        break;
    case State::Idle:
        on_idle_event(slot);
        break;
    case State::Connecting: {
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(c.fd.raw(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0)
            on_end(slot, error);
        else
            send_request(slot);
        break;
    }
    case State::Waiting:
        if ((events & EPOLLOUT) != 0 && c.sent < request_.size())
            send_request(slot);
        else
            receive(slot);
        break;
    }
}

/// The server has closed a connection that we had no request on: nothing is lost.
void Generator::on_idle_event(std::size_t slot) {
    idle_.erase(std::find(idle_.begin(), idle_.end(), slot));
    close(slot);
}

void Generator::receive(std::size_t slot) {
    auto& c = connections_[slot];
    char buffer[65536];
    ssize_t const size = ::recv(c.fd.raw(), buffer, sizeof buffer, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0)
        return on_end(slot, size < 0 ? errno : 0);
    switch (c.response.feed({buffer, static_cast<std::size_t>(size)})) {
    case ResponseReader::State::NeedMore:
        break;
    case ResponseReader::State::Complete:
        finish(slot);
        break;
    case ResponseReader::State::Malformed:
        fail(slot, Failure::BadStatus, 0);
        break;
    }
}

/// The connection has ended (error 0: with an orderly FIN) while a request was under way.
void Generator::on_end(std::size_t slot, int error) {
    auto& c = connections_[slot];
    if (error == 0 && c.response.has_begun() && c.response.at_end() == ResponseReader::State::Complete)
        return finish(slot);
    bool const may_be_race = error == 0 || failure_of(error) == Failure::Reset;
    if (may_be_race && c.answered > 0 && !c.response.has_begun()) {
        ++tally_.keepalive_races;
        auto const scheduled = c.scheduled;
        close(slot);
        return open(scheduled, true);
    }
    fail(slot, error == 0 ? Failure::ClosedEarly : failure_of(error), error);
}

void Generator::finish(std::size_t slot) {
    auto& c = connections_[slot];
    if (c.response.status() < 200 || c.response.status() > 299)
        return fail(slot, Failure::BadStatus, 0);
    ++tally_.ok;
    tally_.latency.record(static_cast<std::uint64_t>((now() - c.scheduled) / 1000));
    if (plan_.keep_answers)
        ++tally_.answers[c.response.body()];
    ++c.answered;
    if (plan_.keep_alive && c.response.keep_alive()) {
        c.state = State::Idle;
        idle_.push_back(slot);
    } else {
        close(slot);
    }
}

void Generator::fail(std::size_t slot, Failure failure, int error) {
    ++tally_.failures[static_cast<std::size_t>(failure)];
    if (tally_.first_failure.empty()) {
        auto const& c = connections_[slot];
        tally_.first_failure = std::string{to_name(failure)};
        if (error != 0)
            tally_.first_failure += std::string{", "} + std::strerror(error);
        if (failure == Failure::BadStatus)
            tally_.first_failure += ", status " + std::to_string(c.response.status());
        tally_.first_failure += ", request due at " + to_short_string(Duration{c.scheduled / 1000});
        if (c.is_retry)
            tally_.first_failure += ", repeated after a keep-alive race";
    }
    close(slot);
}

void Generator::close(std::size_t slot) {
    auto& c = connections_[slot];
    c.fd.reset();
    c.state = State::Free;
    ++c.serial;
    free_.push_back(slot);
    --open_;
}

void Generator::watch(std::size_t slot, std::uint32_t events) {
    auto& c = connections_[slot];
    epoll_event event{};
    event.events = events;
    event.data.u64 = (static_cast<std::uint64_t>(c.fd.raw()) << 32) | slot;
    ensure(::epoll_ctl(epoll_.raw(), c.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c.fd.raw(), &event) == 0,
           "epoll_ctl");
    c.watched = true;
}

} // namespace holdfast::load
