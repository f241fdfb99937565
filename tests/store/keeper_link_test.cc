// SPDX-License-Identifier: Apache-2.0
// holdfastd's end against a keeper that the test plays.
#include "catch.h"
#include "handoff/sockets.h"
#include "store/keeper_link.h"
#include "store/wire.h"
#include "support/descriptors.h"

#include <cerrno>
#include <thread>

#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;
using namespace std::chrono_literals;

namespace {

struct Pair {
    UniqueFd keeper;
    KeeperLink link;
};

Pair pair() {
    auto [ours, theirs] = seqpacket_pair();
    return {std::move(ours), KeeperLink{std::move(theirs)}};
}

std::string heard(FdRef keeper, std::size_t* descriptors = nullptr) {
    Message message;
    if (receive_message(keeper, message) != Received::Message)
        return {};
    if (descriptors != nullptr)
        *descriptors = message.descriptors();
    return std::string{message.text()};
}

void tell(FdRef keeper, std::string_view text, std::vector<int> const& fds = {}) {
    REQUIRE(send_message(keeper, text, fds.data(), fds.size()) == 0);
}

std::vector<Keep> many(FdRef fd, std::size_t count) {
    std::vector<Keep> entries;
    for (std::size_t i = 0; i < count; ++i)
        entries.push_back({"listener " + std::to_string(i), fd});
    return entries;
}

} // namespace

TEST_CASE("without the variable there is no keeper", "[store]") {
    ::unsetenv(keeper_variable);
    CHECK_FALSE(KeeperLink::inherited().value());
}

TEST_CASE("the inherited socket becomes close-on-exec, and the variable goes", "[store]") {
    auto [ours, theirs] = seqpacket_pair();
    int const number = theirs.release();
    REQUIRE(::fcntl(number, F_SETFD, 0) == 0);
    ::setenv(keeper_variable, std::to_string(number).c_str(), 1);
    auto link = KeeperLink::inherited().value();
    REQUIRE(link);
    CHECK(link->socket().raw() == number);
    CHECK(is_close_on_exec(link->socket()));
    CHECK(::getenv(keeper_variable) == nullptr);
    link->tell_ready();
    CHECK(heard(ours) == "ready");
}

TEST_CASE("a variable that names no such socket is an error", "[store]") {
    auto const file = some_fd();
    auto text = GENERATE(as<std::string>{}, "", "x", "-1", "1", "999999", "99999999999", "a file");
    if (text == "a file")
        text = std::to_string(file.raw());
    ::setenv(keeper_variable, text.c_str(), 1);
    INFO(text);
    CHECK_FALSE(KeeperLink::inherited());
    CHECK(::getenv(keeper_variable) == nullptr);
}

TEST_CASE("what is said is what the protocol documents", "[store]") {
    auto [keeper, link] = pair();
    auto const fd = some_fd();
    std::size_t descriptors = 0;
    link.put({{"listener web", fd}, {"worker web 1", fd}});
    CHECK(heard(keeper, &descriptors) == "put\nlistener web\nworker web 1");
    CHECK(descriptors == 2);
    link.drop({"listener web", "worker web 1"});
    CHECK(heard(keeper) == "drop\nlistener web\nworker web 1");
    link.save(fd);
    CHECK(heard(keeper, &descriptors) == "state");
    CHECK(descriptors == 1);
    link.signal("worker web 1", 15);
    CHECK(heard(keeper) == "signal\n15 worker web 1");
    link.tell_stopping();
    CHECK(heard(keeper) == "stopping");
}

TEST_CASE("more than 253 descriptors go in several messages, and `sent` comes once, at the end", "[store]") {
    auto [keeper, link] = pair();
    auto const fd = some_fd();
    int sent = 0;
    link.put(many(fd, 600), [&] { ++sent; });
    CHECK(sent == 1);
    std::vector<std::size_t> sizes(3);
    for (auto& size : sizes)
        heard(keeper, &size);
    CHECK(sizes == std::vector<std::size_t>{253, 253, 94});
    CHECK(heard(keeper).empty());
    std::vector<std::string> names(300, "n");
    link.drop(names);
    CHECK(parse_request(heard(keeper), 0).request.count == 253);
    CHECK(parse_request(heard(keeper), 0).request.count == 47);
}

TEST_CASE("an empty put is sent at once", "[store]") {
    auto [keeper, link] = pair();
    bool sent = false;
    link.put({}, [&] { sent = true; });
    CHECK(sent);
    CHECK(heard(keeper).empty());
}

TEST_CASE("a keeper that does not read makes nobody wait, and gets everything in order later", "[store]") {
    auto const before = open_descriptors();
    {
        auto [keeper, link] = pair();
        std::vector<int> sent;
        int number = 0;
        while (!link.has_unsent()) {
            REQUIRE(number < 10000);
            auto const fd = some_fd(); // closed by its owner while it is still to be sent
            link.put({{"listener " + std::to_string(number), fd}},
                     [&sent, number] { sent.push_back(number); });
            ++number;
        }
        link.tell_alive(std::chrono::seconds{45}); // or it kills who is only busy
        link.drop({"last"});
        CHECK(sent.size() == static_cast<std::size_t>(number) - 1);
        for (int i = 0; i < number; ++i) {
            std::size_t descriptors = 0;
            CHECK(heard(keeper, &descriptors) == "put\nlistener " + std::to_string(i));
            CHECK(descriptors == 1);
            link.flush();
        }
        CHECK(heard(keeper) == "alive\n45000000");
        link.flush();
        CHECK(heard(keeper) == "drop\nlast");
        CHECK_FALSE(link.has_unsent());
        CHECK(sent.size() == static_cast<std::size_t>(number));
        CHECK(sent.back() == number - 1);
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("a dump is everything between start and end", "[store]") {
    auto [keeper, link] = pair();
    auto const first = some_fd();
    auto const second = some_fd();
    tell(keeper, "exits\n5 1 0"); // before the question, so it comes again
    tell(keeper,
         "start\nstarts=2\nreason=crash\nupgrade=none\nproblem=\nprevious=12\nprevious_exit=2 9\nnew=1");
    tell(keeper, "held\n2 15 worker web 1\n0 0 listener web", {first.raw(), second.raw()});
    tell(keeper, "state", {second.raw()});
    tell(keeper, "exits\n5 1 0\n6 2 9");
    tell(keeper, "end");
    auto const dump = link.dump(10s).value();
    CHECK(heard(keeper) == "dump");
    CHECK(dump.start.starts == 2);
    CHECK(dump.start.reason == StartReason::Crash);
    CHECK(dump.start.previous == 12);
    CHECK(dump.start.previous_exit == "2 9");
    REQUIRE(dump.held.size() == 2);
    CHECK(dump.held[0].name == "worker web 1");
    CHECK(dump.held[0].signals == 2);
    CHECK(dump.held[0].last_signal == 15);
    CHECK(identity(dump.held[0].fd) == identity(first));
    CHECK(is_close_on_exec(dump.held[0].fd));
    CHECK(identity(dump.held[1].fd) == identity(second));
    CHECK(identity(dump.state) == identity(second));
    CHECK(dump.exits == std::vector<ChildExit>{{5, 1, 0}, {6, 2, 9}});
    CHECK(link.receive().value().empty());
}

TEST_CASE("a dump waits for a keeper that takes its time", "[store]") {
    auto [keeper, link] = pair();
    std::thread late{[&keeper = keeper] {
        Message message;
        while (receive_message(keeper, message) != Received::Message)
            std::this_thread::yield();
        (void)send_message(keeper, "start\nstarts=1");
        (void)send_message(keeper, "end");
    }};
    auto const dump = link.dump(10s);
    late.join();
    REQUIRE(dump);
    CHECK(dump->held.empty());
    CHECK_FALSE(dump->state.is_open());
}

TEST_CASE("a keeper that does not answer, is gone, or speaks in tongues is an error", "[store]") {
    auto const before = open_descriptors();
    {
        auto [keeper, link] = pair();
        CHECK(link.dump(1ms).error().code == ETIMEDOUT);
        CHECK(link.sync(1ms).error().code == ETIMEDOUT);
        auto const fd = some_fd();
        tell(keeper, "held\nx", {fd.raw()});
        CHECK_FALSE(link.dump(10s));
        keeper.reset();
        CHECK(link.dump(10s).error().code == EPIPE);
        CHECK_FALSE(link.sync(10s));
        CHECK_FALSE(link.receive());
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("nobody waits for ever for a keeper that is gone", "[store]") {
    auto [keeper, link] = pair();
    keeper.reset();
    int sent = 0;
    auto const fd = some_fd();
    link.put({{"a", fd}}, [&] { ++sent; });
    link.put({{"b", fd}}, [&] { ++sent; });
    CHECK(sent == 2);
    CHECK_FALSE(link.has_unsent());
    CHECK(link.receive().error().code == EPIPE);
}

TEST_CASE("what the keeper told before it went is still received", "[store]") {
    auto [keeper, link] = pair();
    tell(keeper, "exits\n7 3 6");
    keeper.reset();
    CHECK(link.receive().value() == std::vector<ChildExit>{{7, 3, 6}});
    CHECK_FALSE(link.receive());
}

TEST_CASE("what was sent is received though the sender closed with something unread", "[store]") {
    // recv(2) says ECONNRESET once, and that was taken for the end.
    auto [keeper, link] = pair();
    link.tell_ready();
    tell(keeper, "exits\n7 3 6");
    keeper.reset();
    CHECK(link.receive().value() == std::vector<ChildExit>{{7, 3, 6}});
    CHECK_FALSE(link.receive());
}

TEST_CASE("an upgrade is prepared when the keeper says so, and loses no exit meanwhile", "[store]") {
    auto [keeper, link] = pair();
    tell(keeper, "exits\n7 1 3");
    tell(keeper, "refused no such name");
    tell(keeper, "upgrade ok");
    CHECK(link.sync(10s));
    CHECK(heard(keeper) == "upgrade");
    CHECK(link.receive().value() == std::vector<ChildExit>{{7, 1, 3}});
    CHECK(link.take_refusals() == std::vector<std::string>{"the keeper refused: no such name"});
    CHECK(link.take_refusals().empty());
}

TEST_CASE("descriptors that come unasked are closed", "[store]") {
    auto [keeper, link] = pair();
    auto const fd = some_fd();
    auto const before = open_descriptors();
    tell(keeper, "held\n0 0 a", {fd.raw()});
    tell(keeper, "nonsense", {fd.raw()});
    CHECK(link.receive().value().empty());
    CHECK(open_descriptors() == before);
}

TEST_CASE("an empty message and one that is too long are cut, and the socket lives on", "[store]") {
    auto [keeper, other] = seqpacket_pair();
    auto const fd = some_fd();
    auto const before = open_descriptors();
    Message message;
    REQUIRE(::send(other.raw(), "", 0, 0) == 0);
    CHECK(receive_message(keeper, message) == Received::Cut);
    std::string const longer(most_message_bytes + 1, 'x');
    REQUIRE(::send(other.raw(), longer.data(), longer.size(), 0) > 0);
    CHECK(receive_message(keeper, message) == Received::Cut);
    CHECK(send_message(other, longer) == EMSGSIZE);
    int const number = fd.raw();
    CHECK(send_message(other, "put\na", &number, 1) == 0);
    {
        FewerDescriptors const none{0};
        CHECK(receive_message(keeper, message) == Received::Cut);
    }
    CHECK(receive_message(keeper, message) == Received::Nothing);
    other.reset();
    CHECK(receive_message(keeper, message) == Received::Gone);
    CHECK(open_descriptors().size() == before.size() - 1);
}
