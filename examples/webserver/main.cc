// SPDX-License-Identifier: Apache-2.0
// holdfast-webserver: a small HTTP/1.1 server that shows what a server owes its supervisor, and that can be
// told to misbehave in the ways that real releases do. It needs only the C and C++ libraries.
#include "listeners.h"
#include "server.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace {

using std::chrono::milliseconds;

constexpr char const* usage = R"(usage: holdfast-webserver [OPTION]...
Serves HTTP/1.1 on the sockets it is given (LISTEN_FDS, SERVER_STARTER_PORT), or on a port of its own.
  --port N             port to bind when no socket was given (default 8080; 0: any, and it is printed)
  --address A          address to bind then (default 127.0.0.1)
  --release TEXT       shown in every answer
  --generation TEXT    shown too (default: HOLDFAST_GENERATION or SERVER_STARTER_GENERATION)
  --boot-delay 100ms   time to get ready
  --non-blocking       set O_NONBLOCK on what was given; right only if all who share the listener want it
  --linger 1s          how long an idle connection may still ask after SIGTERM
To misbehave:
  --crash-at-start     exit 1 before being ready
  --crash-after 2s     exit 70 in the midst of work
  --never-ready        start, never serve
  --unhealthy          answer 500 on /healthz
  --unhealthy-if FILE  the same, while FILE exists
  --ignore-term        do not go when asked
Paths: /  /healthz  /slow?ms=N  /size?bytes=N
)";

struct Arguments {
    webserver::Options server;
    std::string release = "-";
    std::string generation;
    std::string address = "127.0.0.1";
    unsigned port = 8080;
    milliseconds boot_delay{};
    bool non_blocking = false;
    bool crash_at_start = false;
    bool never_ready = false;
};

[[noreturn]] void refuse(std::string const& problem) {
    std::fprintf(stderr, "holdfast-webserver: %s (see --help)\n", problem.c_str());
    std::exit(2);
}

milliseconds read_duration(std::string const& text) {
    char* unit = nullptr;
    double const number = std::strtod(text.c_str(), &unit);
    bool const is_ms = std::string_view{unit} == "ms";
    if (unit == text.c_str() || !(number >= 0 && number < 1e6) || (!is_ms && std::string_view{unit} != "s"))
        refuse("'" + text + "' is no duration such as 100ms or 2s");
    return milliseconds{static_cast<long>(number * (is_ms ? 1 : 1000))};
}

unsigned read_port(std::string const& text) {
    char* end = nullptr;
    unsigned long const port = std::strtoul(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0' || port > 65535)
        refuse("'" + text + "' is no port");
    return static_cast<unsigned>(port);
}

std::string generation_from_environment() {
    for (char const* name : {"HOLDFAST_GENERATION", "SERVER_STARTER_GENERATION"})
        if (char const* const value = std::getenv(name); value != nullptr)
            return value;
    return "-";
}

Arguments read_arguments(int argc, char** argv) {
    Arguments a;
    a.generation = generation_from_environment();
    for (int i = 1; i < argc; ++i) {
        std::string const flag = argv[i];
        auto const value = [&]() -> std::string {
            if (i + 1 >= argc)
                refuse(flag + " needs a value");
            return argv[++i];
        };
        if (flag == "--port")
            a.port = read_port(value());
        else if (flag == "--address")
            a.address = value();
        else if (flag == "--release")
            a.release = value();
        else if (flag == "--generation")
            a.generation = value();
        else if (flag == "--boot-delay")
            a.boot_delay = read_duration(value());
        else if (flag == "--linger")
            a.server.linger = read_duration(value());
        else if (flag == "--crash-after")
            a.server.crash_after = read_duration(value());
        else if (flag == "--non-blocking")
            a.non_blocking = true;
        else if (flag == "--crash-at-start")
            a.crash_at_start = true;
        else if (flag == "--never-ready")
            a.never_ready = true;
        else if (flag == "--unhealthy")
            a.server.unhealthy = true;
        else if (flag == "--unhealthy-if")
            a.server.unhealthy_if = value();
        else if (flag == "--ignore-term")
            a.server.ignore_term = true;
        else if (flag == "--help") {
            std::fputs(usage, stdout);
            std::exit(0);
        } else
            refuse("unknown option '" + flag + "'");
    }
    a.server.identity = "holdfast-webserver pid=" + std::to_string(::getpid()) +
                        " generation=" + a.generation + " release=" + a.release + "\n";
    return a;
}

int open_signals() {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    int const fd = ::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    struct sigaction interrupt {};
    interrupt.sa_handler = [](int) {}; // without SA_RESTART: it ends a thread's accept4
    ::sigaction(SIGUSR1, &interrupt, nullptr);
    sigaddset(&mask, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &mask, nullptr);
    return fd;
}

/// Waits; false if we were asked to go meanwhile. A negative delay never ends.
bool boot(int signals, milliseconds delay, bool ignore_term) {
    auto const end = webserver::Clock::now() + delay;
    for (;;) {
        auto const left = std::chrono::ceil<milliseconds>(end - webserver::Clock::now()).count();
        if (delay.count() >= 0 && left <= 0)
            return true;
        pollfd asked{signals, POLLIN, 0};
        signalfd_siginfo info{};
        if (::poll(&asked, 1, delay.count() < 0 ? -1 : static_cast<int>(left)) > 0 &&
            ::read(signals, &info, sizeof info) > 0 && !ignore_term)
            return false;
    }
}

} // namespace

int main(int argc, char** argv) {
    auto const arguments = read_arguments(argc, argv);
    if (arguments.crash_at_start) {
        std::fputs("holdfast-webserver: crashing at start, as asked\n", stderr);
        return 1;
    }
    int const signals = open_signals();
    auto const delay = arguments.never_ready ? milliseconds{-1} : arguments.boot_delay;
    if (!boot(signals, delay, arguments.server.ignore_term))
        return 0;
    auto listeners = webserver::inherited_listeners();
    if (listeners.empty()) {
        int const own = webserver::bind_own(arguments.address, arguments.port);
        if (own < 0) {
            std::fprintf(stderr, "holdfast-webserver: cannot bind %s:%u: %s\n", arguments.address.c_str(),
                         arguments.port, std::strerror(errno));
            return 1;
        }
        listeners.push_back(own);
    }
    if (arguments.non_blocking)
        for (int const listener : listeners)
            webserver::set_non_blocking(listener);
    webserver::Server server{std::move(listeners), signals, arguments.server};
    webserver::notify("READY=1");
    server.run();
    return 0;
}
