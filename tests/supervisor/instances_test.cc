// SPDX-License-Identifier: Apache-2.0
// Units with `accept = true`, within one process.
#include "supervisor/harness.h"
#include "supervisor/instances.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string accepting(std::string const& program, std::string const& lines = "",
                      std::string const& socket_lines = "") {
    return "[[socket]]\nname = \"in\"\nlisten = \"127.0.0.1:0\"\n" + socket_lines +
           "[service]\naccept = true\nhandoff = \"inetd\"\nexec_start = " + program + "\n" + lines;
}

std::uint16_t port_of(UnitRunner const& unit) {
    return unit.sockets().held().front().port;
}

/// It has been answered, or its connection has ended.
bool has_word(FdRef client) {
    pollfd seen{client.raw(), POLLIN, 0};
    return ::poll(&seen, 1, 0) == 1;
}

std::size_t live(UnitRunner const& unit) {
    return unit.instances()->state().live.size();
}

/// Until its end no more than so many descriptors can be opened. Nothing is asserted meanwhile: to look at
/// the type of an assertion, which is virtual, the sanitizer needs a pipe.
class FewDescriptors {
public:
    explicit FewDescriptors(std::size_t left) {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        rlimit const few{std::min<rlim_t>(before_.rlim_cur, 256), before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
        for (UniqueFd fd{some()}; fd.is_open(); fd = UniqueFd{some()})
            taken_.push_back(std::move(fd));
        auto const taken = taken_.size();
        taken_.resize(taken - std::min(taken, left));
    }
    ~FewDescriptors() { (void)::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    static int some() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
    rlimit before_{};
    std::vector<UniqueFd> taken_;
};

/// What is said until the end of the connection; "reset" where it ends so.
std::string said(FdRef client) {
    char text[100];
    auto const size = ::recv(client.raw(), text, sizeof text, MSG_DONTWAIT);
    return size < 0 ? "reset" : std::string(text, static_cast<std::size_t>(size));
}

struct Accepting : Home {
    UnitRunner& up(std::string const& name, std::string const& toml) {
        auto& unit = add(name, toml);
        REQUIRE(start(unit).ok);
        return unit;
    }
};

} // namespace

// Nothing bounded the sum of all max_connections by what the keeper has room for.
TEST_CASE("all units together serve so many connections, and others wait until there is room",
          "[supervisor]") {
    Accepting home;
    home.supervisor->shared().most_instances = 1;
    auto& one = home.up("one", accepting(R"(["/bin/cat"])"));
    auto& other = home.up("other", accepting(R"(["/bin/echo", "hello"])"));
    auto first = connect_to(port_of(one));
    REQUIRE(home.until([&] { return live(one) == 1; }));
    auto const second = connect_to(port_of(other));
    REQUIRE(home.until([&] { return !home.events("accept-failed").empty(); }));
    CHECK(live(other) == 0);
    CHECK_FALSE(has_word(second));
    first.reset();
    CHECK(home.until([&] { return has_word(second); }));
    CHECK(home.until([&] { return home.supervisor->shared().instances == 0; }));
}

// Who was accepted while no process could be made was reset, ten times a second.
TEST_CASE("in a want of descriptors who was accepted waits too, and is served after it", "[supervisor]") {
    Accepting home;
    auto& unit = home.up("one", accepting(R"(["/bin/echo", "hello"])"));
    auto const client = connect_to(port_of(unit));
    bool is_said = false;
    bool is_answered = true;
    lifecycle::InstanceCounts counts;
    {
        FewDescriptors const few{1};
        is_said = home.until([&] { return !home.events("instance-failed").empty(); });
        home.settle();
        is_answered = has_word(client);
        counts = unit.instances()->state().counts;
    }
    REQUIRE(is_said);
    CHECK_FALSE(is_answered);
    CHECK(counts == lifecycle::InstanceCounts{});
    REQUIRE(home.until([&] { return has_word(client); }));
    CHECK(said(client) == "hello\n");
    CHECK(unit.instances()->state().counts.accepted == 1);
}

// It took a processor of its own: the services of other units had the rest.
TEST_CASE("who refuses a flood has only a part of the processor", "[supervisor]") {
    Accepting home;
    auto& unit = home.up("one", accepting(R"(["/bin/cat"])", "max_connections = 1\non_full = \"refuse\"\n"));
    auto const served = connect_to(port_of(unit));
    REQUIRE(home.until([&] { return live(unit) == 1; }));
    std::vector<UniqueFd> flood;
    for (int i = 0; i < 500; ++i)
        flood.push_back(connect_to(port_of(unit)));
    auto const processor_time = [] {
        timespec spent{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
        return std::chrono::seconds{spent.tv_sec} + std::chrono::nanoseconds{spent.tv_nsec};
    };
    auto const began = MonotonicTime::now();
    auto const spent_before = processor_time();
    REQUIRE(home.until([&] { return unit.instances()->state().counts.refused_full == flood.size(); }));
    auto const spent = processor_time() - spent_before;
    CHECK(spent < (MonotonicTime::now() - began) / 2);
}

// Its timer went on: who was told to go was killed, though nothing more was to be done for the unit.
TEST_CASE("a broken unit kills nobody, and is not told to be stopped", "[supervisor]") {
    Accepting home;
    auto const stubborn = R"(["/bin/sh", "-c", "trap '' TERM; echo up; while read line; do :; done"])";
    auto& broken = home.up("broken", accepting(stubborn, "timeout_stop = \"200ms\"\n"));
    auto& other = home.up("other", accepting(stubborn, "timeout_stop = \"300ms\"\n"));
    std::vector<UniqueFd> clients;
    for (auto* const unit : {&broken, &other})
        clients.push_back(connect_to(port_of(*unit)));
    REQUIRE(home.until([&] { return has_word(clients[0]) && has_word(clients[1]); }));
    Answer first, second;
    broken.stop(first.taker());
    other.stop(second.taker());
    REQUIRE(home.until([&] {
        return broken.instances()->state().deadline != MonotonicTime::never() &&
               other.instances()->state().deadline != MonotonicTime::never();
    }));
    broken.mark_broken("in a test");
    REQUIRE(home.until([&] { return second.count == 1; }));
    CHECK(live(broken) == 1);
    CHECK(home.events("drain-deadline-passed").size() == 1);
    clients.clear();
    REQUIRE(home.until([&] { return live(broken) == 0; }));
    home.settle();
    CHECK(home.events("stopped").size() == 1);
}
