// SPDX-License-Identifier: Apache-2.0
// The loop: one thread, one epoll, any number of listeners and connections. How it ends is the point of the
// example: drain() makes the process leave without one request being lost.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <thread>
#include <vector>

namespace webserver {

using Clock = std::chrono::steady_clock;

struct Options {
    std::string identity;                    ///< the body of most answers: who answered
    std::chrono::milliseconds linger{1000};  ///< how long an idle connection may still ask when we drain
    std::chrono::milliseconds crash_after{}; ///< 0: never
    bool ignore_term = false;
    bool unhealthy = false;
    std::string unhealthy_if; ///< a file that makes it unhealthy while it exists
};

class Server {
public:
    /// Takes the listeners, and the signalfd that SIGTERM and SIGINT arrive on.
    Server(std::vector<int> listeners, int signals, Options options);
    ~Server();
    Server(Server const&) = delete;
    Server& operator=(Server const&) = delete;
    /// Serves until a signal asks it to go and the last request is answered.
    void run();

private:
    // Reading: waits for (the rest of) a request. Delayed: /slow. Writing: the client's window is full.
    // Closing: we have sent our FIN and only wait for the client's.
    enum class State : std::uint8_t { Reading, Delayed, Writing, Closing };
    struct Connection {
        int fd = -1;
        State state = State::Reading;
        bool keep = true;           ///< stays open after this answer
        bool watched = false;       ///< known to epoll
        bool may_read = true;       ///< there may be something that we have not read yet
        bool peer_closed = false;   ///< the client has sent its FIN, or worse
        std::uint64_t requests = 0; ///< answered so far
        std::uint64_t skip = 0;     ///< rest of a request's body, not wanted
        std::uint64_t filler = 0;   ///< rest of a /size answer, not yet in `out`
        std::size_t sent = 0;       ///< how much of `out` is sent
        std::string in, out;
        Clock::time_point due{}; ///< its only live timer
    };
    struct Timer {
        Clock::time_point due;
        int fd;
        bool operator>(Timer const& other) const { return due > other.due; }
    };

    void watch_listener(int listener);
    void start_acceptor(int listener);
    void on_listener(int listener);
    void on_accepted_by_thread();
    void on_signal();
    void on_connection(int fd, bool peer_closed);
    void on_timer(Timer const& timer);
    void pause_accepting();
    void drain();
    [[nodiscard]] bool is_done() const;
    [[nodiscard]] bool is_unhealthy() const;
    [[nodiscard]] int wait_time() const;
    void run_due_timers();

    void adopt(int fd);
    void read_requests(Connection& c);
    bool read_some(Connection& c);
    bool answer_next(Connection& c);
    void respond(Connection& c, char const* status, std::string const& text, std::uint64_t filler = 0);
    void flush(Connection& c);
    void half_close(Connection& c);
    void drop(Connection& c);
    void arm(Connection& c, std::chrono::milliseconds delay);
    void watch(Connection& c, std::uint32_t events);

    Options options_;
    int epoll_ = -1;
    int signals_ = -1;
    std::vector<int> listeners_;                           ///< non-blocking, watched by epoll
    std::vector<std::unique_ptr<Connection>> connections_; ///< by descriptor
    std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
    std::size_t live_ = 0;
    bool draining_ = false;

    // Blocking listeners have a thread each that hands connections over through a pipe.
    std::vector<std::thread> acceptors_;
    std::atomic<int> acceptors_running_ = 0;
    std::atomic<bool> stop_accepting_ = false;
    int accepted_[2] = {-1, -1};
};

} // namespace webserver
