// SPDX-License-Identifier: Apache-2.0
// A client of servers that start a process for each connection: holdfast-bench-connect
//   rate TARGET SECONDS PARALLEL    so many at a time, each read to its end; how many in that time
//   alive TARGET COUNT              so many at once, all answered before one is closed
//   flood TARGET COUNT KIND SOURCES COUNT connections as fast as they are taken, at most 256 open at a time;
//   KIND: silent
//                                   (each is held for 20 ms and says nothing) or reset (at once); from
//                                   SOURCES addresses 127.77.x.y
// TARGET: a port of 127.0.0.1, or a unix path. One line of JSON.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Target {
    sockaddr_storage address{};
    socklen_t length = 0;
    explicit Target(std::string const& text) {
        if (text.find('/') != std::string::npos) {
            auto& unix_address = reinterpret_cast<sockaddr_un&>(address);
            unix_address.sun_family = AF_UNIX;
            std::strncpy(unix_address.sun_path, text.c_str(), sizeof unix_address.sun_path - 1);
            length = sizeof unix_address;
        } else {
            auto& ip = reinterpret_cast<sockaddr_in&>(address);
            ip.sin_family = AF_INET;
            ip.sin_port = htons(static_cast<std::uint16_t>(std::stoi(text)));
            ip.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            length = sizeof ip;
        }
    }
};

/// Less than 0 where it must be tried again: no room in the queue, or no port.
int open_connection(Target const& target, int source = 0) {
    int const fd = ::socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (source > 0) {
        sockaddr_in from{};
        from.sin_family = AF_INET;
        from.sin_addr.s_addr = htonl(0x7f4d0000U + static_cast<unsigned>(source));
        int const late = 1;
        ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof late);
        (void)!::bind(fd, reinterpret_cast<sockaddr const*>(&from), sizeof from);
    }
    if (::connect(fd, reinterpret_cast<sockaddr const*>(&target.address), target.length) == 0 ||
        errno == EINPROGRESS)
        return fd;
    ::close(fd);
    return -1;
}

class Poll {
public:
    void add(int fd, std::uint32_t events) {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
    int wait(int milliseconds) { return ::epoll_wait(epoll_, events_, most, milliseconds); }
    epoll_event const& event(int i) const { return events_[i]; }

private:
    static constexpr int most = 256;
    int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event events_[most]{};
};

int run_rate(Target const& target, double seconds, int parallel) {
    Poll poll;
    std::vector<bool> answered(65536);
    long done = 0, failed = 0;
    int open = 0;
    auto const begin = Clock::now();
    bool is_over = false;
    while (!is_over || open > 0) {
        is_over = since(begin) >= seconds;
        while (!is_over && open < parallel) {
            int const fd = open_connection(target);
            if (fd < 0)
                break;
            answered[static_cast<std::size_t>(fd)] = false;
            poll.add(fd, EPOLLIN);
            ++open;
        }
        int const count = poll.wait(10);
        if (count == 0 && since(begin) > seconds + 10)
            break;
        for (int i = 0; i < count; ++i) {
            int const fd = poll.event(i).data.fd;
            char text[256];
            auto const size = ::read(fd, text, sizeof text);
            if (size > 0) {
                answered[static_cast<std::size_t>(fd)] = true;
                continue;
            }
            (size == 0 && answered[static_cast<std::size_t>(fd)] ? done : failed) += is_over ? 0 : 1;
            ::close(fd);
            --open;
        }
    }
    std::printf("{\"done\": %ld, \"failed\": %ld, \"seconds\": %.3f}\n", done, failed, seconds);
    return 0;
}

int run_alive(Target const& target, int wanted) {
    Poll poll;
    std::vector<int> fds;
    int answered = 0, lost = 0;
    auto const begin = Clock::now();
    while (answered + lost < wanted && since(begin) < 60) {
        while (static_cast<int>(fds.size()) < wanted) {
            int const fd = open_connection(target);
            if (fd < 0)
                break;
            fds.push_back(fd);
            poll.add(fd, EPOLLIN | EPOLLONESHOT);
        }
        int const count = poll.wait(10);
        for (int i = 0; i < count; ++i) {
            char text[256];
            (::read(poll.event(i).data.fd, text, sizeof text) > 0 ? answered : lost) += 1;
        }
    }
    auto const spent = since(begin);
    std::printf("{\"answered\": %d, \"lost\": %d, \"seconds\": %.3f}\n", answered, lost, spent);
    std::fflush(stdout);
    char word;
    (void)!::read(STDIN_FILENO, &word, 1); // they stay until we are told
    for (int const fd : fds)
        ::close(fd);
    return 0;
}

int run_flood(Target const& target, int wanted, bool is_reset, int sources) {
    constexpr std::size_t most_open = 256;
    constexpr double held = 0.02;
    struct Held {
        int fd;
        Clock::time_point since;
    };
    std::deque<Held> open;
    int made = 0, not_made = 0;
    auto const begin = Clock::now();
    auto const end_one = [&](int fd) {
        linger const at_once{1, 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        ::close(fd);
    };
    while (made < wanted && since(begin) < 120) {
        while (!open.empty() && (open.size() >= most_open || since(open.front().since) >= held)) {
            if (auto const left = held - since(open.front().since); left > 0)
                ::usleep(static_cast<useconds_t>(left * 1e6));
            end_one(open.front().fd);
            open.pop_front();
        }
        int const fd = open_connection(target, 1 + made % sources);
        if (fd < 0) {
            ++not_made;
            ::usleep(200);
            continue;
        }
        ++made;
        if (is_reset)
            end_one(fd);
        else
            open.push_back({fd, Clock::now()});
    }
    for (auto const& one : open)
        end_one(one.fd);
    std::printf("{\"made\": %d, \"tried_again\": %d, \"seconds\": %.3f}\n", made, not_made, since(begin));
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::string> const words(argv + 1, argv + argc);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (words.size() == 4 && words[0] == "rate")
        return run_rate(Target{words[1]}, std::stod(words[2]), std::stoi(words[3]));
    if (words.size() == 3 && words[0] == "alive")
        return run_alive(Target{words[1]}, std::stoi(words[2]));
    if (words.size() == 5 && words[0] == "flood")
        return run_flood(Target{words[1]}, std::stoi(words[2]), words[3] == "reset", std::stoi(words[4]));
    std::fprintf(stderr, "usage: see the source\n");
    return 2;
}
