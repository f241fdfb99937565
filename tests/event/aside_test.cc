// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "event/aside.h"

#include <stdexcept>
#include <string>
#include <thread>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

std::unique_ptr<EventLoop> make_loop() {
    auto loop = EventLoop::create();
    REQUIRE(loop);
    return std::move(loop).value();
}

/// A gate that work waits at until the test opens it.
struct Gate {
    int fds[2];
    Gate() { REQUIRE(::pipe(fds) == 0); }
    ~Gate() {
        ::close(fds[0]);
        ::close(fds[1]);
    }
    void open() const { REQUIRE(::write(fds[1], "xx", 2) == 2); }
    void wait() const {
        char byte = 0;
        while (::read(fds[0], &byte, 1) < 0) {
        }
    }
};

} // namespace

TEST_CASE("work is done in another thread while the loop goes on, and its result comes back", "[event]") {
    auto loop = make_loop();
    Gate const gate;
    auto const here = std::this_thread::get_id();
    std::optional<bool> was_elsewhere;
    auto aside = find_aside(
        *loop,
        [&gate, here] {
            gate.wait();
            return std::this_thread::get_id() != here;
        },
        [&](bool elsewhere) {
            CHECK(std::this_thread::get_id() == here);
            was_elsewhere = elsewhere;
        });
    bool rang = false;
    auto const timer = loop->at(MonotonicTime::now(), [&] { rang = true; });
    while (!rang)
        REQUIRE(loop->run_once(5s));
    CHECK(aside);
    CHECK_FALSE(was_elsewhere.has_value());
    gate.open();
    while (!was_elsewhere)
        REQUIRE(loop->run_once(5s));
    CHECK(*was_elsewhere);
    CHECK_FALSE(aside);
}

TEST_CASE("no signal is taken by the thread of work aside", "[event]") {
    auto loop = make_loop();
    std::optional<bool> blocks;
    auto const aside = find_aside(
        *loop,
        [] {
            sigset_t blocked;
            ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
            return ::sigismember(&blocked, SIGTERM) == 1 && ::sigismember(&blocked, SIGUSR1) == 1;
        },
        [&](bool found) { blocks = found; });
    while (!blocks)
        REQUIRE(loop->run_once(5s));
    CHECK(*blocks);
    sigset_t here;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &here);
    CHECK(::sigismember(&here, SIGUSR1) == 0);
}

TEST_CASE("who asked and is gone before the work has ended is told nothing, and the work is not waited for",
          "[event]") {
    auto loop = make_loop();
    auto const gate = std::make_shared<Gate>();
    bool told = false;
    {
        auto const aside = find_aside(
            *loop,
            [gate] {
                gate->wait();
                return 1;
            },
            [&](int) { told = true; });
    }
    gate->open();
    gate->wait(); // the second byte: the work has or will have the first
    CHECK_FALSE(loop->run_once(20ms));
    CHECK_FALSE(told);
}

TEST_CASE("what work throws is told to the loop's trampoline", "[event]") {
    auto loop = make_loop();
    std::string broken;
    loop->on_broken([&](std::uint64_t, std::string_view what) { broken = what; });
    bool told = false;
    auto const aside = find_aside(
        *loop, []() -> int { throw std::runtime_error{"no memory"}; }, [&](int) { told = true; });
    while (broken.empty())
        REQUIRE(loop->run_once(5s));
    CHECK(broken.find("no memory") != std::string::npos);
    CHECK_FALSE(told);
    CHECK_FALSE(aside);
}

TEST_CASE("without a descriptor for it the loop does the work itself, and tells it later", "[event]") {
    auto loop = make_loop();
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    int found = 0;
    auto aside = find_aside(
        *loop, [] { return 7; }, [&](int seven) { found = seven; });
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(found == 0);
    while (found == 0)
        REQUIRE(loop->run_once(5s));
    CHECK(found == 7);
    aside = {};
}
