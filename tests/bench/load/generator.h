// SPDX-License-Identifier: Apache-2.0
// One thread of load. Open loop: request n is due at start + n / rate whatever became of the others, and its
// latency counts from then, so a server (or a generator) that stalls cannot hide the requests it made wait.
#pragma once

#include "base/fd.h"
#include "load/response.h"
#include "load/tally.h"

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace holdfast::load {

class Generator {
public:
    /// Thread `index` of plan.threads: it runs its share of the rate.
    Generator(Plan const& plan, unsigned index);
    [[nodiscard]] Tally run();

private:
    using Nanoseconds = std::int64_t; ///< since the start of the run

    enum class State : std::uint8_t { Free, Connecting, Waiting, Idle };
    struct Connection {
        UniqueFd fd;
        State state = State::Free;
        bool is_retry = false;    ///< its request lost a keep-alive race before
        bool watched = false;     ///< known to epoll
        std::uint32_t serial = 0; ///< changes with every use, so that a late event or deadline is recognised
        std::uint64_t answered = 0; ///< on this connection
        Nanoseconds scheduled = 0;  ///< of the request under way
        std::size_t sent = 0;       ///< bytes of the request
        ResponseReader response;
    };
    struct Deadline {
        Nanoseconds at;
        std::size_t slot;
        std::uint32_t serial;
    };

    [[nodiscard]] Nanoseconds now() const;
    [[nodiscard]] Nanoseconds due_time(std::uint64_t request) const;
    [[nodiscard]] bool has_ended() const;
    void launch_due();
    void start(Nanoseconds scheduled);
    void serve_waiting();
    void expire();
    void wait_and_handle();

    void open(Nanoseconds scheduled, bool is_retry);
    void connect(std::size_t slot);
    void retry_connects();
    [[nodiscard]] int bind_source(int fd);
    void begin_request(std::size_t slot, Nanoseconds scheduled);
    void send_request(std::size_t slot);
    void on_event(std::size_t slot, std::uint32_t events);
    void on_idle_event(std::size_t slot);
    void receive(std::size_t slot);
    void on_end(std::size_t slot, int error);
    void finish(std::size_t slot);
    void fail(std::size_t slot, Failure failure, int error);
    void close(std::size_t slot);
    void watch(std::size_t slot, std::uint32_t events);

    Plan const& plan_;
    double rate_;
    std::uint64_t total_;
    std::size_t most_open_;
    std::string request_;
    UniqueFd epoll_;
    Nanoseconds clock_start_ = 0;
    Nanoseconds first_due_ = 0;
    std::uint64_t launched_ = 0;
    std::size_t open_ = 0;
    unsigned thread_ = 0;
    unsigned next_source_ = 0;

    std::vector<Connection> connections_;
    std::vector<std::size_t> free_;
    std::deque<std::size_t> idle_;    ///< the longest idle first
    std::deque<Nanoseconds> waiting_; ///< scheduled times of requests without a connection
    std::deque<Deadline> deadlines_;  ///< in order of time, but for retries
    std::deque<Deadline> full_queue_; ///< unix connects that met a full queue: to be tried again
    Tally tally_;
};

} // namespace holdfast::load
