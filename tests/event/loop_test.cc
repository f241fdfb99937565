// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "event/loop.h"
#include "support/descriptors.h"

#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

std::unique_ptr<EventLoop> make_loop() {
    auto loop = EventLoop::create();
    REQUIRE(loop);
    return std::move(loop).value();
}

struct Pipe {
    UniqueFd read, write;
    Pipe() {
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
        read = UniqueFd{fds[0]};
        write = UniqueFd{fds[1]};
    }
    void say() { REQUIRE(::write(write.raw(), "x", 1) == 1); }
};

} // namespace

TEST_CASE("a descriptor that the kernel will not watch is an error, told or thrown as was asked", "[event]") {
    auto loop = make_loop();
    UniqueFd const file{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)}; // a plain file: epoll_ctl(2), EPERM
    REQUIRE(file.is_open());
    auto const refused = loop->try_watch(file, EPOLLIN, [](std::uint32_t) {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EPERM);
    CHECK_THROWS_AS(loop->watch(file, EPOLLIN, [](std::uint32_t) {}), std::system_error);
    CHECK_FALSE(loop->run_once(0s));
}

TEST_CASE("a watch is called while its descriptor is readable and not after it was dropped", "[event]") {
    auto loop = make_loop();
    Pipe pipe;
    int calls = 0;
    auto source = loop->watch(pipe.read, EPOLLIN, [&](std::uint32_t events) {
        CHECK((events & EPOLLIN) != 0);
        ++calls;
    });
    pipe.say();
    CHECK(loop->run_once(1s));
    CHECK(loop->run_once(1s));
    CHECK(calls == 2);
    source.reset();
    CHECK_FALSE(loop->run_once(0s));
    CHECK(calls == 2);
}

TEST_CASE("a watch may be dropped by its own callback", "[event]") {
    auto loop = make_loop();
    Pipe pipe;
    EventSource source;
    auto alive = std::make_shared<int>(7);
    source = loop->watch(pipe.read, EPOLLIN, [&source, alive](std::uint32_t) {
        source.reset();
        CHECK(*alive == 7); // what the callback holds outlives the reset
    });
    pipe.say();
    CHECK(loop->run_once(1s));
    CHECK_FALSE(loop->run_once(0s));
    CHECK(alive.use_count() == 1);
}

TEST_CASE("of two that are ready, the one that the other's callback drops is not called", "[event]") {
    auto loop = make_loop();
    Pipe pipes[2];
    EventSource sources[2];
    int calls = 0;
    for (int i : {0, 1}) {
        sources[i] = loop->watch(pipes[i].read, EPOLLIN, [&, i](std::uint32_t) {
            ++calls;
            sources[1 - i].reset();
            pipes[1 - i].read.reset();
        });
        pipes[i].say();
    }
    for (int i = 0; i < 4; ++i)
        loop->run_once(0s);
    CHECK(calls == 4); // of the one that is left, again and again
}

TEST_CASE("those that are always ready take turns", "[event]") {
    auto loop = make_loop();
    Pipe pipes[3];
    std::vector<EventSource> sources;
    int calls[3] = {};
    for (int i : {0, 1, 2}) {
        sources.push_back(loop->watch(pipes[i].read, EPOLLIN, [&, i](std::uint32_t) { ++calls[i]; }));
        pipes[i].say();
    }
    for (int i = 0; i < 30; ++i)
        REQUIRE(loop->run_once(0s));
    for (int i : {0, 1, 2})
        CHECK(calls[i] == 10);
}

TEST_CASE("a timer can be set when there are no descriptors left", "[event]") {
    // Bug: sd-event made the descriptor of its timers with the first timer, in the middle of the trouble.
    auto loop = make_loop();
    test::FewerDescriptors const full{0};
    bool rang = false;
    auto const timer = loop->at(MonotonicTime::now(), [&] { rang = true; });
    loop->run_once(1s);
    CHECK(rang);
}

TEST_CASE("a timer rings once and again after rearm", "[event]") {
    auto loop = make_loop();
    int rings = 0;
    auto timer = loop->at(MonotonicTime::now() + 1ms, [&] { ++rings; });
    CHECK(loop->run_once(1s));
    CHECK(rings == 1);
    CHECK_FALSE(loop->run_once(5ms));
    timer.rearm(MonotonicTime::now() + 1ms);
    CHECK(loop->run_once(1s));
    CHECK(rings == 2);
}

TEST_CASE("deaths are dispatched before messages and clients", "[event]") {
    auto loop = make_loop();
    Pipe a, b, c;
    std::vector<std::string> order;
    auto drain = [](Pipe& pipe) {
        char byte;
        REQUIRE(::read(pipe.read.raw(), &byte, 1) == 1);
    };
    auto clients = loop->watch(
        a.read, EPOLLIN, [&](std::uint32_t) { drain(a), order.push_back("client"); }, Priority::Clients);
    auto messages = loop->watch(
        b.read, EPOLLIN, [&](std::uint32_t) { drain(b), order.push_back("message"); }, Priority::Messages);
    auto deaths = loop->watch(
        c.read, EPOLLIN, [&](std::uint32_t) { drain(c), order.push_back("death"); }, Priority::Deaths);
    a.say();
    b.say();
    c.say();
    while (order.size() < 3 && loop->run_once(1s)) {
    }
    CHECK(order == std::vector<std::string>{"death", "message", "client"});
}

TEST_CASE("a broken promise is told with its owner and the loop lives on", "[event]") {
    auto loop = make_loop();
    std::uint64_t told_owner = 0;
    std::string told_what;
    loop->on_broken([&](std::uint64_t owner, std::string_view what) {
        told_owner = owner;
        told_what = what;
    });
    loop->post([&] {
        loop->set_owner(42);
        ensure(false, "the moon is green");
    });
    bool second = false;
    loop->post([&] { second = true; });
    CHECK(loop->run_once(1s));
    CHECK(told_owner == 42);
    CHECK_THAT(told_what, ContainsSubstring("the moon is green"));
    CHECK(second);
}

TEST_CASE("work posted by posted work waits for the next round", "[event]") {
    auto loop = make_loop();
    std::vector<int> order;
    loop->post([&] {
        order.push_back(1);
        loop->post([&] { order.push_back(3); });
    });
    loop->post([&] { order.push_back(2); });
    CHECK(loop->run_once(1s));
    CHECK(order == std::vector<int>{1, 2});
    CHECK(loop->run_once(1s));
    CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("a blocked signal arrives as an event, and stop ends run with its code", "[event]") {
    SignalMask mask{SIGUSR1};
    auto loop = make_loop();
    auto source = loop->on_signal(SIGUSR1, [&] { loop->stop(3); });
    REQUIRE(::raise(SIGUSR1) == 0);
    auto code = loop->run();
    REQUIRE(code);
    CHECK(*code == 3);
}

TEST_CASE("a SIGPIPE that was held back ends nobody when it is held back no longer", "[event]") {
    // holdfastd was killed by one at the end of its stop when a worker had died before its gate was opened.
    {
        SignalMask const mask{SIGPIPE};
        int ends[2] = {-1, -1};
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        ::close(ends[0]);
        CHECK(::write(ends[1], "x", 1) == -1);
        ::close(ends[1]);
    }
    sigset_t waiting;
    REQUIRE(::sigpending(&waiting) == 0);
    CHECK(::sigismember(&waiting, SIGPIPE) == 0);
}
