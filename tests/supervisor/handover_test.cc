// SPDX-License-Identifier: Apache-2.0
// Addresses that move between units, or make way for each other, in one apply.
#include "harness.h"

#include <filesystem>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Below those that the kernel gives to clients, and never the same twice.
std::uint16_t free_port() {
    static auto port = static_cast<std::uint16_t>(12000 + ::getpid() % 10000);
    do
        ++port;
    while (!listen_on_loopback(port).is_open());
    return port;
}

struct Units : Home {
    /// A unit that serves these addresses, or only holds them.
    void unit_file(std::string const& name, std::vector<std::string> const& addresses, bool is_run = true) {
        std::string text = is_run ? "" : "[unit]\nstart_at_boot = false\n";
        for (auto const& address : addresses)
            text +=
                "[[socket]]\nname = \"s" + std::to_string(text.size()) + "\"\nlisten = \"" + address + "\"\n";
        file(name, text + service(runs, "", "probation = \"0s\"\ndrain_timeout = \"1s\"\n"));
    }
    [[nodiscard]] std::string held_by(std::string const& name) {
        std::string text;
        for (auto const& held : unit(name).sockets().held())
            text += (text.empty() ? "" : " ") + to_string(held.bound());
        return text;
    }
    /// Which open socket the unit holds at its first address.
    [[nodiscard]] int fd_of(std::string const& name) { return unit(name).sockets().held().at(0).fd.raw(); }

    std::uint16_t one = free_port();
    std::uint16_t two = free_port();
    std::string first = "127.0.0.1:" + std::to_string(one);
    std::string second = "127.0.0.1:" + std::to_string(two);
};

} // namespace

TEST_CASE("an address that moves from one unit to another keeps its listener and who waits in it",
          "[supervisor]") {
    // It was refused: the address was in use by holdfastd itself.
    Units test;
    auto const is_run = GENERATE(true, false);
    auto const [giver, taker] = GENERATE(std::pair{"a", "b"}, std::pair{"b", "a"});
    test.unit_file(giver, {test.first}, is_run);
    test.unit_file(taker, {test.second}, is_run);
    REQUIRE(test.apply().ok);
    auto const fd = test.fd_of(giver);
    UniqueFd const client = connect_to(test.one);
    REQUIRE(client.is_open());
    test.unit_file(giver, {}, is_run);
    test.unit_file(taker, {test.first}, is_run);
    auto const applied = test.apply();
    CHECK(applied.message.empty());
    CHECK(applied.ok);
    CHECK(test.held_by(giver).empty());
    CHECK(test.held_by(taker) == test.first);
    CHECK(test.fd_of(taker) == fd);
    CHECK(UniqueFd{::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC)}.is_open());
    CHECK(test.apply().plan.steps.front().action == UnitAction::Keep);
}

TEST_CASE("who accepts itself gets no listener on which somebody's workers wait", "[supervisor]") {
    // It was made non-blocking for all who hold it, and they saw EAGAIN.
    Units test;
    auto const is_prepared = GENERATE(true, false);
    test.unit_file("pool", {});
    if (is_prepared)
        test.file("pool", "[[socket]]\nname = \"s\"\nlisten = \"" + test.first + "\"\nnon_blocking = true\n" +
                              service(runs, "", "probation = \"0s\"\n"));
    else
        test.unit_file("pool", {test.first});
    REQUIRE(test.apply().ok);
    REQUIRE(test.until([&] { return test.unit("pool").is_running(); }));
    auto const fd = test.fd_of("pool");
    auto const flags = ::fcntl(fd, F_GETFL);
    test.unit_file("pool", {});
    test.file("inetd", "[[socket]]\nname = \"s\"\nlisten = \"" + test.first +
                           "\"\n[service]\naccept = true\nexec_start = [\"/bin/cat\"]\n");
    auto const applied = test.apply();
    CHECK(applied.ok == is_prepared);
    CHECK(::fcntl(fd, F_GETFL) == flags);
    CHECK(test.held_by(is_prepared ? "inetd" : "pool") == test.first);
}

TEST_CASE("a new unit takes the address of one that is removed", "[supervisor]") {
    Units test;
    test.unit_file("old", {test.first});
    REQUIRE(test.apply().ok);
    auto const fd = test.fd_of("old");
    std::filesystem::remove(test.folder / "units/old.toml");
    test.unit_file("new", {test.first});
    CHECK(test.apply().ok);
    CHECK(test.supervisor->find("old") == nullptr);
    CHECK(test.fd_of("new") == fd);
    CHECK(connect_to(test.one).is_open());
}

TEST_CASE("two units swap their addresses", "[supervisor]") {
    Units test;
    test.unit_file("a", {test.first});
    test.unit_file("b", {test.second});
    REQUIRE(test.apply().ok);
    auto const fds = std::pair{test.fd_of("a"), test.fd_of("b")};
    test.unit_file("a", {test.second});
    test.unit_file("b", {test.first});
    CHECK(test.apply().ok);
    CHECK(std::pair{test.fd_of("b"), test.fd_of("a")} == fds);
    CHECK(test.held_by("a") == test.second);
}

TEST_CASE("units that hang together by an address change together or not at all", "[supervisor]") {
    Units test;
    UniqueFd const stranger = listen_on_loopback();
    auto const taken = "127.0.0.1:" + std::to_string(port_of(stranger));
    test.unit_file("a", {test.first});
    test.unit_file("b", {test.second});
    test.unit_file("bystander", {});
    REQUIRE(test.apply().ok);
    auto const fds = std::pair{test.fd_of("a"), test.fd_of("b")};
    SECTION("the one that gains it is refused") {
        test.unit_file("a", {});
        test.unit_file("b", {test.second, test.first, taken});
    }
    SECTION("the one that loses it is refused") {
        test.unit_file("a", {taken});
        test.unit_file("b", {test.second, test.first});
    }
    SECTION("it is gone, and the one that gains it is refused") {
        std::filesystem::remove(test.folder / "units/a.toml");
        test.unit_file("b", {test.second, test.first, taken});
    }
    SECTION("they swap, and one is refused") {
        test.unit_file("a", {test.second, taken});
        test.unit_file("b", {test.first});
    }
    SECTION("it makes way for the other, which is refused") {
        test.unit_file("a", {});
        test.unit_file("b", {test.second, "0.0.0.0:" + std::to_string(test.one), taken});
    }
    test.file("bystander", service(runs, "timeout_stop = \"3s\""));
    auto const applied = test.apply();
    CHECK(!applied.ok);
    for (auto const& step : applied.plan.steps)
        CHECK(step.ok == (step.unit == "bystander"));
    CHECK_THAT(applied.message, ContainsSubstring("nothing is changed, what runs goes on"));
    CHECK(std::pair{test.fd_of("a"), test.fd_of("b")} == fds);
    CHECK(test.held_by("a") == test.first);
    CHECK(test.held_by("b") == test.second);
    CHECK(connect_to(test.one).is_open());
    CHECK(connect_to(test.two).is_open());
}

TEST_CASE("a unit's address gives way to one that covers it, and back", "[supervisor]") {
    // "80" to "0.0.0.0:80" was refused for the unit's own socket.
    Units test;
    auto const port = std::to_string(test.one);
    test.unit_file("a", {port});
    REQUIRE(test.apply().ok);
    for (auto const& address : {"0.0.0.0:" + port, "127.0.0.1:" + port, "[::]:" + port, port}) {
        test.unit_file("a", {address});
        auto const applied = test.apply();
        CHECK(applied.message.empty());
        CHECK(test.held_by("a") == address);
        CHECK(!test.unit("a").sockets().held().front().is_hidden);
        UniqueFd const client = connect_to(test.one);
        CHECK(client.is_open());
        CHECK(UniqueFd{::accept4(test.fd_of("a"), nullptr, nullptr, SOCK_CLOEXEC)}.is_open());
    }
}

TEST_CASE("an address of one unit makes way for another unit's that covers it", "[supervisor]") {
    Units test;
    auto const wide = "0.0.0.0:" + std::to_string(test.one);
    auto const [giver, taker] = GENERATE(std::pair{"a", "b"}, std::pair{"b", "a"});
    test.unit_file(giver, {test.first});
    test.unit_file(taker, {test.second});
    REQUIRE(test.apply().ok);
    test.unit_file(giver, {});
    test.unit_file(taker, {wide});
    CHECK(test.apply().message.empty());
    CHECK(test.held_by(giver).empty());
    CHECK(test.held_by(taker) == wide);
    UniqueFd const client = connect_to(test.one);
    CHECK(client.is_open());
    CHECK(UniqueFd{::accept4(test.fd_of(taker), nullptr, nullptr, SOCK_CLOEXEC)}.is_open());
}

TEST_CASE("a release that fails takes no client from what serves, though its address is in the way",
          "[supervisor]") {
    Units test;
    auto const port = std::to_string(test.one);
    test.unit_file("a", {"0.0.0.0:" + port});
    REQUIRE(test.apply().ok);
    UniqueFd const worker{
        ::fcntl(test.fd_of("a"), F_DUPFD_CLOEXEC, 0)}; // what the old generation accepts from
    for (int turn = 0; turn < 2; ++turn) {
        test.file("a", "[[socket]]\nname = \"s\"\nlisten = \"127.0.0.1:" + port +
                           "\"\n[service]\nexec_start = [\"/no/such/program\"]\n");
        CHECK(!test.apply().ok);
        UniqueFd const client = connect_to(test.one);
        REQUIRE(client.is_open());
        CHECK(UniqueFd{::accept4(worker.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open());
    }
    test.unit_file("a", {test.first});
    CHECK(test.apply().message.empty());
    CHECK(test.held_by("a") == test.first);
    CHECK(connect_to(test.one).is_open());
}

TEST_CASE("what waits for a new bind is told by every plan until it is bound anew", "[supervisor]") {
    // After one apply it was forgotten: the file and the wanted spec were the same then.
    Units test;
    auto const with = [&](std::string const& lines) {
        test.file("a", "[[socket]]\nname = \"s\"\nlisten = \"" + test.first + "\"\n" + lines + service(runs));
    };
    auto const deferred = [&](std::size_t unit = 0) {
        return test.supervisor->plan().steps.at(unit).listeners.at(0).deferred;
    };
    using Lines = std::vector<std::string>;
    with("");
    REQUIRE(test.apply().ok);
    CHECK(deferred().empty());
    with("free_bind = true\nnon_blocking = true\n");
    Lines const both{"free_bind false -> true", "non_blocking false -> true"};
    CHECK(deferred() == both);
    REQUIRE(test.apply().ok);
    CHECK(deferred() == both);
    with("free_bind = true\n");
    REQUIRE(test.apply().ok);
    CHECK(deferred() == Lines{"free_bind false -> true"});
    CHECK(test.supervisor->plan().steps.at(0).action == UnitAction::Keep);

    test.unit_file("a", {});
    test.file("b", "[[socket]]\nname = \"t\"\nlisten = \"" + test.first + "\"\nnon_blocking = true\n" +
                       service(runs));
    CHECK(deferred(1) == Lines{"non_blocking false -> true"}); // it moves as it is
    REQUIRE(test.apply().ok);
    CHECK(deferred(1) == Lines{"non_blocking false -> true"});
    std::filesystem::remove(test.folder / "units/b.toml");
    REQUIRE(test.apply().ok);
    with("non_blocking = true\n");
    REQUIRE(test.apply().ok);
    CHECK(deferred().empty()); // bound anew
}
