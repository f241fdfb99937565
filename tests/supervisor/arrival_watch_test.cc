// SPDX-License-Identifier: Apache-2.0
// Who comes to a listener and is accepted by another at once.
#include "catch.h"
#include "supervisor/arrival_watch.h"

#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;

namespace {

struct Port {
    Port() {
        REQUIRE(::listen(listener.raw(), 8) == 0); // bound by that to a port of the kernel's choice
        socklen_t size = sizeof address;
        REQUIRE(::getsockname(listener.raw(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    }
    /// A client that is there and gone before anybody can look.
    void serve_one() const {
        UniqueFd const client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        auto to = address;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(client.raw(), reinterpret_cast<sockaddr const*>(&to), sizeof to) == 0);
        UniqueFd const accepted{::accept4(listener.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
        REQUIRE(accepted.is_open());
    }
    UniqueFd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
};

struct Watching {
    Watching() {
        auto made = ArrivalWatch::create(*loop, [this](std::uint32_t unit) { told.push_back(unit); });
        REQUIRE(made);
        watch = std::move(made).value();
    }
    std::vector<std::uint32_t> heard() {
        while (loop->run_once(Duration{0})) {
        }
        return std::exchange(told, {});
    }
    std::unique_ptr<EventLoop> loop = EventLoop::create().value();
    std::vector<std::uint32_t> told;
    std::unique_ptr<ArrivalWatch> watch;
};

} // namespace

TEST_CASE("a client whom another accepts before we look is heard of, once", "[supervisor]") {
    Watching watching;
    Port const web, mail;
    watching.watch->add(web.listener, 1);
    watching.watch->add(mail.listener, 2);
    CHECK(watching.heard().empty());
    web.serve_one();
    web.serve_one();
    CHECK(watching.heard() == std::vector<std::uint32_t>{1});
    web.serve_one();
    CHECK(watching.heard().empty());
    mail.serve_one();
    watching.watch->catch_up(); // without a turn of the loop
    CHECK(std::exchange(watching.told, {}) == std::vector<std::uint32_t>{2});
}

TEST_CASE("of a unit that is not watched any more nothing is heard", "[supervisor]") {
    Watching watching;
    Port const web;
    watching.watch->add(web.listener, 1);
    watching.watch->remove(1);
    web.serve_one();
    CHECK(watching.heard().empty());
    watching.watch->add(web.listener, 1);
    watching.watch->forget(web.listener); // its unit looks again, at what listeners it has now
    CHECK(watching.heard() == std::vector<std::uint32_t>{1});
    web.serve_one();
    CHECK(watching.heard().empty());
}

TEST_CASE("a client who comes when we end does not end us by his signal", "[supervisor]") {
    Port const web;
    {
        Watching watching;
        watching.watch->add(web.listener, 1);
        web.serve_one();
    }
    web.serve_one();
}

TEST_CASE("a listener that the supervisor before us had watched is heard of by our descriptor",
          "[supervisor]") {
    Port const web;
    {
        Watching before;
        UniqueFd const theirs{::dup(web.listener.raw())};
        before.watch->add(theirs, 7); // it dies, and nobody clears the flag
    }
    Watching watching;
    watching.watch->add(web.listener, 1);
    web.serve_one();
    CHECK(watching.heard() == std::vector<std::uint32_t>{1});
}
