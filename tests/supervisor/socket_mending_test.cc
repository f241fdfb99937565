// SPDX-License-Identifier: Apache-2.0
// Listeners that somebody who shares them has ended by shutdown(2): noticed, mended, and met at a pace.
#include "harness.h"
#include "supervisor/socket_custody.h"
#include "support/descriptors.h"

#include <algorithm>
#include <filesystem>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// A TCP listener and a unix one, watched for hang-ups as a unit's are.
struct Mending : OneUnit {
    Mending() {
        hung_up = [this](int fd) {
            ++told_of;
            sockets.hear_hangup(fd, [this](Listener const& listener) { renewed.push_back(listener.name); });
        };
        REQUIRE(sockets.hold(spec, {}));
    }
    [[nodiscard]] std::size_t mended() const { return count("socket-mended"); }
    [[nodiscard]] std::size_t count(std::string_view kind) const {
        auto const& events = shared.events.recent();
        return static_cast<std::size_t>(std::count_if(
            events.begin(), events.end(), [&](Event const& event) { return event.kind == kind; }));
    }
    [[nodiscard]] Listener const& tcp() const { return sockets.held().at(0); }
    [[nodiscard]] Listener const& unix_one() const { return sockets.held().at(1); }
    [[nodiscard]] bool takes_unix_clients() const {
        UniqueFd const client{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_un to{};
        to.sun_family = AF_UNIX;
        path.copy(to.sun_path, sizeof to.sun_path - 1);
        return ::connect(client.raw(), reinterpret_cast<sockaddr const*>(&to), sizeof to) == 0;
    }

    TempFolder folder;
    std::string path = folder / "s";
    UnitSpecPtr spec =
        unit_of("web", tcp_socket("a", 0) + "[[socket]]\nname = \"u\"\nlisten = \"unix:" + path + "\"\n" +
                           service(runs));
    int told_of = 0;
    std::vector<std::string> renewed;
    SocketCustody sockets{shared, 1, spec};
};

UniqueFd share(Listener const& listener) {
    return UniqueFd{::fcntl(listener.fd.raw(), F_DUPFD_CLOEXEC, 0)};
}

} // namespace

TEST_CASE("a listener that is shut down listens again at once, without anybody's death", "[supervisor]") {
    // All clients were refused until the worker that had done it ended.
    Mending mending;
    int const how = GENERATE(as<int>{}, SHUT_RD, SHUT_RDWR);
    auto const port = mending.tcp().port;
    auto const worker_tcp = share(mending.tcp());
    auto const worker_unix = share(mending.unix_one());
    REQUIRE(::shutdown(worker_tcp.raw(), how) == 0);
    CHECK(!connect_to(port).is_open());
    REQUIRE(mending.until([&] { return mending.mended() == 1; }));
    UniqueFd const client = connect_to(port);
    REQUIRE(client.is_open());
    CHECK(UniqueFd{::accept4(worker_tcp.raw(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open()); // the same socket
    CHECK(mending.renewed.empty());

    REQUIRE(::shutdown(worker_unix.raw(), how) == 0);
    CHECK(!mending.takes_unix_clients());
    REQUIRE(mending.until([&] { return mending.mended() == 2; }));
    CHECK(mending.takes_unix_clients());
    CHECK(mending.renewed == std::vector<std::string>{"u"}); // another socket
    mending.settle();
    CHECK(mending.told_of == 2);
}

TEST_CASE("what ends only the writing half of a listener is no hang-up", "[supervisor]") {
    Mending mending;
    REQUIRE(::shutdown(mending.tcp().fd.raw(), SHUT_WR) == 0);
    REQUIRE(::shutdown(mending.unix_one().fd.raw(), SHUT_WR) == 0);
    mending.settle();
    CHECK(mending.told_of == 0);
    CHECK(connect_to(mending.tcp().port).is_open());
    CHECK(mending.takes_unix_clients());
}

TEST_CASE("clients do not wake the watch for hang-ups", "[supervisor]") {
    Mending mending;
    mending.settle();
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 20; ++i) {
        clients.push_back(connect_to(mending.tcp().port));
        CHECK(mending.takes_unix_clients());
        ::accept4(mending.tcp().fd.raw(), nullptr, nullptr, SOCK_CLOEXEC);
    }
    CHECK(!mending.loop->run_once(0ms));
    CHECK(mending.told_of == 0);
}

TEST_CASE("a listener is mended at its worker's death too", "[supervisor]") {
    Mending mending;
    int traffic = 0;
    mending.sockets.watch([&] { ++traffic; });
    for (auto const& held : mending.sockets.held())
        REQUIRE(::shutdown(held.fd.raw(), SHUT_RDWR) == 0);
    mending.sockets.mend({});
    CHECK(mending.mended() == 2);
    mending.settle();
    traffic = 0;
    mending.sockets.watch([&] { ++traffic; });
    UniqueFd const client = connect_to(mending.tcp().port);
    REQUIRE(client.is_open());
    CHECK(mending.until([&] { return traffic == 1; }, 5s)); // still watched
    mending.sockets.mend({});
    CHECK(mending.mended() == 2); // nothing to do
}

TEST_CASE("a listener that is shut down again and again is mended once a second", "[supervisor]") {
    Mending mending;
    auto const worker = share(mending.tcp());
    auto const began = MonotonicTime::now();
    auto const shut_until = [&](std::size_t count) {
        return mending.until([&] {
            ::shutdown(worker.raw(), SHUT_RDWR);
            return mending.mended() >= count;
        });
    };
    REQUIRE(shut_until(9));
    auto const first = MonotonicTime::now();
    CHECK(first - began < 900ms);
    REQUIRE(shut_until(10));
    CHECK(MonotonicTime::now() - first > 500ms);
    CHECK(mending.told_of <= 11); // it does not spin meanwhile
    REQUIRE(mending.until([&] { return connect_to(mending.tcp().port).is_open(); }));
}

TEST_CASE("a mending that fails is tried again, is told once, and does not spin", "[supervisor]") {
    Mending mending;
    auto const worker = share(mending.unix_one());
    {
        FewerDescriptors const full{0};
        REQUIRE(::shutdown(worker.raw(), SHUT_RDWR) == 0);
        REQUIRE(mending.until([&] { return mending.count("socket-broken") == 1; }, 5s));
        auto const until = MonotonicTime::now() + 400ms;
        mending.until([&] { return MonotonicTime::now() > until; });
    }
    CHECK(mending.told_of == 1);
    CHECK(mending.count("socket-broken") == 1);
    CHECK(mending.until([&] { return mending.takes_unix_clients(); }, 5s));
    CHECK(mending.renewed == std::vector<std::string>{"u"});
}

TEST_CASE("a listener that is given up leaves nothing in the watch", "[supervisor]") {
    // Workers hold the same open file: closing our descriptor does not take it out of the epoll.
    Mending mending;
    auto const tcp_of_worker = share(mending.tcp());
    auto const unix_of_worker = share(mending.unix_one());
    SECTION("no longer listed") {
        auto const none = unit_of("web", service(runs));
        mending.sockets.retire_unlisted(*none, false, 0s, {});
    }
    SECTION("at the end") {
        mending.sockets.give_up_all();
    }
    ::shutdown(tcp_of_worker.raw(), SHUT_RDWR);
    ::shutdown(unix_of_worker.raw(), SHUT_RDWR);
    mending.settle();
    CHECK(mending.told_of == 0);
    CHECK(mending.mended() == 0);
}
