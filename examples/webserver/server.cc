// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include "listeners.h"
#include "request.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace webserver {

namespace {

using namespace std::chrono_literals;

// What an epoll event is about: one of these in the upper half, a descriptor in the lower.
enum Topic : std::uint64_t { AboutListener, AboutConnection, AboutSignal, AboutAccepted };

constexpr int accept_batch = 16; // per wake-up, so that connections and signals get their turn
constexpr std::size_t send_block = 65536;
constexpr auto longest_slow = 600'000;                 // ms
constexpr std::uint64_t longest_body = 1ULL << 32;     // bytes
constexpr auto closing_wait = 1s;                      // for the client's FIN
constexpr auto pause_after_exhaustion = 100ms;         // no descriptors left: let some connections end
constexpr std::chrono::milliseconds first_request{5s}; // a new connection's request may still be on its way

// Timers that belong to no connection.
constexpr int crash_timer = -1;
constexpr int resume_timer = -2;

void must(bool holds, char const* what) {
    if (holds)
        return;
    std::fprintf(stderr, "webserver: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

void add_to_epoll(int epoll, int fd, Topic topic) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = (std::uint64_t{topic} << 32) | static_cast<std::uint32_t>(fd);
    must(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

bool is_exhaustion(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

} // namespace

Server::Server(std::vector<int> listeners, int signals, Options options)
    : options_{std::move(options)}, epoll_{::epoll_create1(EPOLL_CLOEXEC)}, signals_{signals} {
    must(epoll_ >= 0, "epoll_create1");
    add_to_epoll(epoll_, signals_, AboutSignal);
    must(::pipe2(accepted_, O_CLOEXEC) == 0, "pipe2");
    ::fcntl(accepted_[0], F_SETFL, O_NONBLOCK); // only the thread's end may block
    add_to_epoll(epoll_, accepted_[0], AboutAccepted);
    for (int const listener : listeners)
        if (is_non_blocking(listener))
            watch_listener(listener);
        else
            start_acceptor(listener);
    if (options_.crash_after > 0ms)
        timers_.push({Clock::now() + options_.crash_after, crash_timer});
}

Server::~Server() {
    for (auto& thread : acceptors_)
        thread.join();
    for (auto const& c : connections_)
        if (c && c->fd >= 0)
            ::close(c->fd);
    for (int const listener : listeners_)
        ::close(listener);
    ::close(accepted_[0]);
    ::close(accepted_[1]);
    ::close(epoll_);
}

void Server::run() {
    epoll_event events[256];
    while (!is_done()) {
        int const count = ::epoll_wait(epoll_, events, std::size(events), wait_time());
        must(count >= 0 || errno == EINTR, "epoll_wait");
        for (int i = 0; i < count; ++i) {
            int const fd = static_cast<int>(events[i].data.u64 & 0xffffffff);
            switch (static_cast<Topic>(events[i].data.u64 >> 32)) {
            case AboutListener:
                on_listener(fd);
                break;
            case AboutConnection:
                on_connection(fd, (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
                break;
            case AboutSignal:
                on_signal();
                break;
            case AboutAccepted:
                on_accepted_by_thread();
                break;
            }
        }
        run_due_timers();
    }
}

// ---- accepting
// ----------------------------------------------------------------------------------------------

// Without EPOLLEXCLUSIVE, although two generations listen during a restart: an exclusive wake-up that goes to
// a process which is just leaving is lost, and its connection would wait until the next one arrives.
void Server::watch_listener(int listener) {
    listeners_.push_back(listener);
    add_to_epoll(epoll_, listener, AboutListener);
}

// O_NONBLOCK belongs to all who share a listener, so we do not set it where our supervisor has cleared it.
// But then accept4 blocks whenever a sibling was faster, epoll or not: such a listener gets a thread that may
// block.
void Server::start_acceptor(int listener) {
    ++acceptors_running_;
    acceptors_.emplace_back([this, listener] {
        sigset_t interrupt;
        sigemptyset(&interrupt);
        sigaddset(&interrupt, SIGUSR1);
        ::pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
        while (!stop_accepting_) {
            int const fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
                std::this_thread::sleep_for(pause_after_exhaustion);
            if (fd >= 0)
                must(::write(accepted_[1], &fd, sizeof fd) == sizeof fd, "write to the loop");
        }
        ::close(listener);
        --acceptors_running_;
    });
}

void Server::on_listener(int listener) {
    if (draining_) // an event of the same batch as the signal
        return;
    for (int i = 0; i < accept_batch; ++i) {
        int const fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            adopt(fd);
        else if (is_exhaustion(errno))
            return pause_accepting();
        else if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

void Server::on_accepted_by_thread() {
    int batch[accept_batch];
    ssize_t const size = ::read(accepted_[0], batch, sizeof batch);
    for (ssize_t i = 0; i < size / static_cast<ssize_t>(sizeof(int)); ++i)
        adopt(batch[i]);
}

void Server::pause_accepting() {
    std::fprintf(stderr, "webserver: no descriptors left, clients wait\n");
    for (int const listener : listeners_)
        ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listener, nullptr);
    timers_.push({Clock::now() + pause_after_exhaustion, resume_timer});
}

// ---- leaving
// ------------------------------------------------------------------------------------------------

void Server::on_signal() {
    signalfd_siginfo info{};
    if (::read(signals_, &info, sizeof info) == sizeof info && !draining_ && !options_.ignore_term)
        drain();
}

// Accept nothing more: what is in the queue belongs to whoever holds the listener next. Every request that
// has begun is answered. An idle connection may be carrying a request towards us at this moment, so it is not
// closed: it has `linger` to ask once more, and is told `Connection: close` with the answer. One that stays
// silent gets our FIN but is still read until the client's, so that a request which crosses the FIN meets a
// clean end of file and no reset; clients repeat such a request (RFC 9112, 9.3.1).
void Server::drain() {
    draining_ = true;
    notify("STOPPING=1");
    for (int const listener : listeners_)
        ::close(listener);
    listeners_.clear();
    stop_accepting_ = true;
    for (auto const& c : connections_)
        if (c && c->fd >= 0 && c->state == State::Reading)
            arm(*c, c->requests > 0 ? options_.linger : std::max(options_.linger, first_request));
}

bool Server::is_done() const {
    if (!draining_)
        return false;
    if (acceptors_running_ > 0)
        return false;
    int waiting = 0;
    return live_ == 0 && ::ioctl(accepted_[0], FIONREAD, &waiting) == 0 && waiting == 0;
}

int Server::wait_time() const {
    if (draining_ && acceptors_running_ > 0)
        return 1;
    if (timers_.empty())
        return -1;
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(timers_.top().due - Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void Server::run_due_timers() {
    // A signal that comes just before accept4 blocks would be lost; so it is sent until the thread has gone.
    if (draining_ && acceptors_running_ > 0)
        for (auto& thread : acceptors_)
            ::pthread_kill(thread.native_handle(), SIGUSR1);
    while (!timers_.empty() && timers_.top().due <= Clock::now()) {
        Timer const timer = timers_.top();
        timers_.pop();
        on_timer(timer);
    }
}

void Server::on_timer(Timer const& timer) {
    if (timer.fd == crash_timer)
        std::_Exit(70);
    if (timer.fd == resume_timer) {
        for (int const listener : listeners_)
            add_to_epoll(epoll_, listener, AboutListener);
        return;
    }
    auto& c = *connections_[static_cast<std::size_t>(timer.fd)];
    if (c.fd < 0 || c.due != timer.due)
        return;
    switch (c.state) {
    case State::Delayed:
        respond(c, "200 OK", options_.identity);
        if (c.fd >= 0 && c.state == State::Reading)
            read_requests(c);
        break;
    case State::Reading:
        if (c.in.empty() && c.skip == 0)
            half_close(c);
        break;
    case State::Closing:
        drop(c);
        break;
    case State::Writing:
        break;
    }
}

// ---- one connection
// -----------------------------------------------------------------------------------------

void Server::adopt(int fd) {
    auto const index = static_cast<std::size_t>(fd);
    if (index >= connections_.size())
        connections_.resize(index + 256);
    if (!connections_[index])
        connections_[index] = std::make_unique<Connection>();
    auto& c = *connections_[index];
    c.fd = fd;
    c.state = State::Reading;
    c.watched = c.peer_closed = false;
    c.may_read = true; // under load the request is there already: no need to ask epoll
    c.requests = c.skip = 0;
    c.in.clear();
    c.due = {};
    ++live_;
    if (draining_)
        arm(c, std::max(options_.linger, first_request));
    read_requests(c);
    if (c.fd >= 0 && !c.watched)
        watch(c, EPOLLIN);
}

void Server::on_connection(int fd, bool peer_closed) {
    auto& c = *connections_[static_cast<std::size_t>(fd)];
    if (c.fd < 0)
        return;
    c.may_read = true;
    c.peer_closed = c.peer_closed || peer_closed;
    if (c.state == State::Writing)
        flush(c);
    if (c.fd >= 0 && (c.state == State::Reading || c.state == State::Closing))
        read_requests(c);
}

// Connections are watched edge-triggered: a read that does not fill the buffer has taken all there was, and
// what comes later is a new edge (epoll(7)); only the end of file may have been reported together with the
// data before it.
void Server::read_requests(Connection& c) {
    do {
        while (c.fd >= 0 && c.state == State::Reading && answer_next(c))
            ;
    } while (c.fd >= 0 && (c.state == State::Reading || c.state == State::Closing) && read_some(c));
}

/// True if there is something new to look at.
bool Server::read_some(Connection& c) {
    if (!c.may_read)
        return false;
    char buffer[longest_head];
    ssize_t const size = ::recv(c.fd, buffer, sizeof buffer, 0);
    if (size < 0 && errno == EINTR)
        return true;
    if (size < 0 && errno == EAGAIN) {
        c.may_read = false;
        return false;
    }
    if (size <= 0) {
        drop(c);
        return false;
    }
    c.may_read = c.peer_closed || size == sizeof buffer;
    if (c.state == State::Closing)
        return true;
    auto const skipped = std::min<std::uint64_t>(c.skip, static_cast<std::uint64_t>(size));
    c.skip -= skipped;
    c.in.append(buffer + skipped, static_cast<std::size_t>(size) - skipped);
    return true;
}

/// Answers one request of `in`; false if there is no whole one.
bool Server::answer_next(Connection& c) {
    Request request;
    auto const parsed = c.in.empty() ? Parse::NeedMore : parse_request(c.in, request);
    if (parsed == Parse::NeedMore)
        return false;
    if (parsed == Parse::Malformed) {
        c.keep = false;
        respond(c, "400 Bad Request", "bad request\n");
        return true;
    }
    c.keep = request.keep_alive;
    auto const path = std::string{request.path}; // `request` looks into `in`, which is about to move on
    bool const allowed = request.method == "GET" || request.method == "POST";
    auto const delay = number_in_query(request.query, "ms", longest_slow);
    auto const bytes = number_in_query(request.query, "bytes", longest_body);
    auto const body = std::min<std::uint64_t>(request.body_size, c.in.size() - request.head_size);
    c.skip = request.body_size - body;
    c.in.erase(0, request.head_size + body);
    if (!allowed) {
        respond(c, "405 Method Not Allowed", "GET or POST\n");
    } else if (path == "/slow") {
        c.state = State::Delayed;
        arm(c, std::chrono::milliseconds{delay});
    } else if (path == "/size") {
        respond(c, "200 OK", "", bytes);
    } else if (path == "/healthz" && is_unhealthy()) {
        respond(c, "500 Internal Server Error", "not well\n");
    } else if (path == "/" || path == "/healthz") {
        respond(c, "200 OK", path == "/" ? options_.identity : "ok\n");
    } else {
        respond(c, "404 Not Found", "not found\n");
    }
    return true;
}

bool Server::is_unhealthy() const {
    auto const& file = options_.unhealthy_if;
    return options_.unhealthy || (!file.empty() && ::access(file.c_str(), F_OK) == 0);
}

void Server::respond(Connection& c, char const* status, std::string const& text, std::uint64_t filler) {
    c.keep = c.keep && !draining_;
    char head[256];
    int const size = std::snprintf(head, sizeof head,
                                   "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n"
                                   "Connection: %s\r\n\r\n",
                                   status, static_cast<unsigned long long>(text.size() + filler),
                                   c.keep ? "keep-alive" : "close");
    c.out.assign(head, static_cast<std::size_t>(size)).append(text);
    c.filler = filler;
    c.sent = 0;
    flush(c);
}

void Server::flush(Connection& c) {
    while (c.sent < c.out.size() || c.filler > 0) {
        if (c.sent == c.out.size()) {
            c.out.assign(std::min<std::uint64_t>(c.filler, send_block), 'x');
            c.filler -= c.out.size();
            c.sent = 0;
        }
        ssize_t const size = ::send(c.fd, c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
        if (size >= 0) {
            c.sent += static_cast<std::size_t>(size);
        } else if (errno == EAGAIN) {
            c.state = State::Writing;
            return watch(c, EPOLLIN | EPOLLOUT);
        } else if (errno != EINTR) {
            return drop(c);
        }
    }
    ++c.requests;
    c.state = State::Reading;
    if (c.keep && draining_)
        arm(c, options_.linger);
    else if (!c.keep && c.in.empty() && c.skip == 0)
        drop(c);
    else if (!c.keep)
        half_close(c); // close() with unread input would reset the answer away
}

void Server::half_close(Connection& c) {
    if (::shutdown(c.fd, SHUT_WR) < 0)
        return drop(c);
    c.state = State::Closing;
    arm(c, closing_wait);
}

void Server::drop(Connection& c) {
    ::close(c.fd); // its last descriptor: epoll forgets it
    c.fd = -1;
    --live_;
}

void Server::arm(Connection& c, std::chrono::milliseconds delay) {
    c.due = Clock::now() + delay;
    timers_.push({c.due, c.fd});
}

void Server::watch(Connection& c, std::uint32_t events) {
    epoll_event event{};
    event.events = events | EPOLLRDHUP | EPOLLET;
    event.data.u64 = (std::uint64_t{AboutConnection} << 32) | static_cast<std::uint32_t>(c.fd);
    must(::epoll_ctl(epoll_, c.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c.fd, &event) == 0, "epoll_ctl");
    c.watched = true;
}

} // namespace webserver
