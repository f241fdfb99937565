// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "handoff/session.h"
#include "handoff/sockets.h"
#include "support/descriptors.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// A session, the listeners it hands out, and the program at the other end.
struct Exchange {
    std::map<std::string, FdBatch> units; // "" is the worker's own
    UniqueFd program;
    HandoffSession session;

    explicit Exchange(RequestScope scope = RequestScope::OwnUnit, std::vector<std::string> names = {})
        : Exchange{seqpacket_pair(), scope} {
        for (auto& name : names)
            units[""].add(std::move(name), some_fd());
    }
    Exchange(Exchange const&) = delete;

    Reply receive(std::vector<UniqueFd>& fds) {
        auto frame = receive_frame(program, max_frame_fds).value();
        auto reply = decode_reply(frame.text).value();
        REQUIRE(reply.names.size() == frame.fds.size());
        for (auto& fd : frame.fds)
            fds.push_back(std::move(fd));
        return reply;
    }
    Reply receive() {
        std::vector<UniqueFd> dropped;
        return receive(dropped);
    }
    Reply ask(std::string_view question) {
        REQUIRE(send_frame(program, question));
        REQUIRE(session.on_ready() == SessionWait::Readable);
        return receive();
    }
    [[nodiscard]] bool has_nothing_to_read() const {
        return receive_frame(program, 0).error().code == EAGAIN;
    }

private:
    Exchange(std::pair<UniqueFd, UniqueFd> pair, RequestScope scope)
        : program{std::move(pair.second)},
          session{std::move(pair.first), scope,
                  [this](std::string const& unit) -> Result<std::vector<NamedFd>> {
                      auto const found = units.find(unit);
                      if (found == units.end())
                          return plain_error("no unit " + unit + " is shared with you");
                      return found->second.look();
                  }} {}
};

std::vector<std::string> many_names(std::size_t count, std::string const& stem = "n") {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count; ++i)
        names.push_back(stem + std::to_string(i));
    return names;
}

using Names = std::vector<std::string>;

} // namespace

TEST_CASE("a worker asks for everything and gets every listener with its name", "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http", "http", "admin"}};
    REQUIRE(send_frame(e.program, "get\n"));
    CHECK(e.session.on_ready() == SessionWait::Readable);
    std::vector<UniqueFd> fds;
    CHECK(e.receive(fds).names == Names{"http", "http", "admin"});
    auto const held = e.units[""].look();
    REQUIRE(fds.size() == 3);
    for (std::size_t i = 0; i < fds.size(); ++i)
        CHECK(identity(fds[i]) == identity(held[i].fd));
}

TEST_CASE("a worker that names listeners gets all of each name, once, in the order of the question",
          "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http", "admin", "http", "tls"}};
    CHECK(e.ask("get tls http tls").names == Names{"tls", "http", "http"});
}

TEST_CASE("a unit without listeners is an answer without descriptors", "[handoff]") {
    Exchange e;
    e.units[""];
    CHECK(e.ask("get") == Reply{ReplyKind::Fds, {}, 0, {}});
}

TEST_CASE("a listener that is not there is an error, and the session goes on", "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http"}};
    auto const reply = e.ask("get http ftp");
    CHECK(reply.kind == ReplyKind::Error);
    CHECK_THAT(reply.error, ContainsSubstring("ftp"));
    CHECK(e.session.garbage_count() == 0);
    CHECK(e.ask("get http").names == Names{"http"});
}

TEST_CASE("on handoff.sock listeners are named with their unit", "[handoff]") {
    Exchange e{RequestScope::AnyUnit};
    e.units["web"].add("http", some_fd());
    e.units["web"].add("admin", some_fd());
    e.units["db"].add("sql", some_fd());
    CHECK(e.ask("get web").names == Names{"web/http", "web/admin"});
    CHECK(e.ask("get db/sql web/http").names == Names{"db/sql", "web/http"});
    auto const refused = e.ask("get web/http mail/smtp");
    CHECK(refused.kind == ReplyKind::Error);
    CHECK(refused.error == "no unit mail is shared with you");
}

TEST_CASE("400 listeners come in batches of at most 253, and the last says that nothing remains",
          "[handoff]") {
    Exchange e{RequestScope::OwnUnit, many_names(400)};
    REQUIRE(send_frame(e.program, "get"));
    Names names;
    std::vector<UniqueFd> fds;
    std::vector<std::size_t> remaining;
    do {
        REQUIRE(e.session.on_ready() != SessionWait::Closed);
        auto const reply = e.receive(fds);
        CHECK(reply.kind == ReplyKind::Fds);
        names.insert(names.end(), reply.names.begin(), reply.names.end());
        remaining.push_back(reply.remaining);
    } while (remaining.back() != 0);
    CHECK(remaining == std::vector<std::size_t>{147, 0});
    CHECK(names == many_names(400));
    auto const held = e.units[""].look();
    for (std::size_t i = 0; i < fds.size(); ++i)
        REQUIRE(identity(fds[i]) == identity(held[i].fd));
}

TEST_CASE("253 listeners with the longest names fit one frame; with their unit they come in two",
          "[handoff]") {
    auto const scope = GENERATE(RequestScope::OwnUnit, RequestScope::AnyUnit);
    Exchange e{scope};
    std::string const unit = scope == RequestScope::OwnUnit ? "" : std::string(200, 'u');
    for (std::size_t i = 0; i < max_frame_fds; ++i)
        e.units[unit].add(std::to_string(100 + i) + std::string(252, 'n'), some_fd());
    REQUIRE(send_frame(e.program, scope == RequestScope::OwnUnit ? "get" : "get " + unit));
    REQUIRE(e.session.on_ready() == SessionWait::Readable);
    auto const first = e.receive();
    if (scope == RequestScope::OwnUnit) {
        CHECK(first.names.size() == max_frame_fds);
        CHECK(first.remaining == 0);
    } else {
        CHECK(first.names.size() + first.remaining == max_frame_fds);
        CHECK(e.receive().names.size() == first.remaining);
    }
}

TEST_CASE("a peer that does not read is not read from, and gets the rest from where it stopped",
          "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http"}};
    int const small = 1; // the kernel makes it its minimum
    REQUIRE(::setsockopt(e.session.socket().raw(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    // Every question is answered with one frame; nothing is read until the session wants to write.
    unsigned asked = 0;
    SessionWait wait{};
    do {
        REQUIRE(send_frame(e.program, "get"));
        REQUIRE(++asked < 1000);
        wait = e.session.on_ready();
    } while (wait == SessionWait::Readable);
    REQUIRE(wait == SessionWait::Writable);
    // While it waits it takes no further question in: ours stay in the socket until that is full.
    unsigned unread = 0;
    while (send_frame(e.program, "get")) {
        REQUIRE(e.session.on_ready() == SessionWait::Writable);
        REQUIRE(++unread < 100000);
    }
    unsigned answered = 0;
    while (answered < asked + unread) {
        auto const frame = receive_frame(e.program, 1);
        if (frame) {
            REQUIRE(decode_reply(frame->text).value().names == Names{"http"});
            ++answered;
        }
        REQUIRE(e.session.on_ready() != SessionWait::Closed);
    }
    CHECK(e.session.await() == SessionWait::Readable);
    CHECK(e.has_nothing_to_read());
}

TEST_CASE("a listener that is given up between two batches is not sent", "[handoff]") {
    // The names are so long that a batch of 253 does not fit the smallest send buffer, so the batches get
    // smaller too.
    std::string const stem(60, 'n');
    Exchange e{RequestScope::OwnUnit, many_names(300, stem)};
    int const small = 1;
    REQUIRE(::setsockopt(e.session.socket().raw(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    REQUIRE(send_frame(e.program, "get"));
    REQUIRE(e.session.on_ready() == SessionWait::Writable);
    std::vector<UniqueFd> fds;
    auto reply = e.receive(fds);
    REQUIRE(reply.remaining > 0);
    REQUIRE(reply.names.back() != stem + "299");
    e.units[""].take(stem + "299").reset();
    Names names = reply.names;
    while (reply.remaining > 0) {
        REQUIRE(e.session.on_ready() != SessionWait::Closed);
        reply = e.receive(fds);
        names.insert(names.end(), reply.names.begin(), reply.names.end());
    }
    CHECK(names == many_names(299, stem));
}

TEST_CASE("garbage is answered with an error and counted, and too much of it ends the session", "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http"}};
    for (unsigned i = 0; i < max_garbage_frames; ++i)
        CHECK(e.ask("\x01\x02 garbage").kind == ReplyKind::Error);
    CHECK(e.session.garbage_count() == max_garbage_frames);
    CHECK(e.ask("get").names == Names{"http"});
    REQUIRE(send_frame(e.program, "garbage"));
    CHECK(e.session.on_ready() == SessionWait::Closed);
    CHECK_THAT(e.session.closed_because(), ContainsSubstring("malformed"));
}

TEST_CASE("descriptors that a peer sends us are never taken in", "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http"}};
    auto const fd = some_fd();
    REQUIRE(send_frame(e.program, "get", {fd}));
    auto const before = open_descriptors();
    CHECK(e.session.on_ready() == SessionWait::Readable);
    CHECK(open_descriptors() == before);
    CHECK(e.receive().kind == ReplyKind::Error);
    CHECK(e.session.garbage_count() == 1);
}

TEST_CASE("a question longer than a frame may be is garbage", "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http"}};
    std::string const text(max_frame_size + 1, 'x');
    REQUIRE(::send(e.program.raw(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    CHECK(e.session.on_ready() == SessionWait::Readable);
    CHECK(e.receive().kind == ReplyKind::Error);
    CHECK(e.session.garbage_count() == 1);
}

TEST_CASE("one call does bounded work however many questions wait", "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http"}};
    for (unsigned i = 0; i < max_frames_per_turn * 2; ++i)
        REQUIRE(send_frame(e.program, "get"));
    REQUIRE(e.session.on_ready() != SessionWait::Closed);
    unsigned answered = 0;
    while (receive_frame(e.program, 1))
        ++answered;
    CHECK(answered == max_frames_per_turn / 2);
}

TEST_CASE("more descriptors on their way than the kernel allows is an error that the peer is told",
          "[handoff]") {
    // In a child: the limit is per user and counts what all its processes have sent and nobody has read
    // (unix(7)).
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (::geteuid() == 0 && ::setresuid(54321, 54321, 54321) < 0)
            ::_exit(77);
        bool is_told = false;
        {
            Exchange e{RequestScope::OwnUnit, many_names(40)};
            rlimit const few{100, 100};
            if (::setrlimit(RLIMIT_NOFILE, &few) < 0)
                ::_exit(77);
            // Three answers may be on their way unread, the fourth may not.
            for (int i = 0; i < 6; ++i)
                if (!send_frame(e.program, "get") || e.session.on_ready() != SessionWait::Readable)
                    ::_exit(2);
            for (int i = 0; i < 6; ++i) {
                auto const frame = receive_frame(e.program, max_frame_fds);
                is_told = is_told || (frame && frame->text.starts_with("error Too many references"));
            }
            // And once they are read, all is well again.
            if (!send_frame(e.program, "get") || e.session.on_ready() != SessionWait::Readable)
                ::_exit(3);
            auto const frame = receive_frame(e.program, max_frame_fds);
            is_told = is_told && frame && frame->fds.size() == 40;
        }
        ::_exit(is_told ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        std::puts("skipped: cannot become an ordinary user here");
        return;
    }
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a peer that leaves ends the session without a complaint", "[handoff]") {
    auto const is_busy = GENERATE(false, true);
    Exchange e{RequestScope::OwnUnit, {"http"}};
    if (is_busy) {
        REQUIRE(send_frame(e.program, "get"));
    }
    e.program.reset();
    CHECK(e.session.on_ready() == SessionWait::Closed);
    CHECK(e.session.closed_because().empty());
    CHECK(e.session.on_ready() == SessionWait::Closed);
}

TEST_CASE("a new listener is pushed to a worker that has asked for everything", "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http"}};
    CHECK(e.ask("get").names == Names{"http"});
    e.units[""].add("admin", some_fd());
    CHECK(e.session.push({e.units[""].look().back()}) == SessionWait::Readable);
    std::vector<UniqueFd> fds;
    CHECK(e.receive(fds) == Reply{ReplyKind::Push, {"admin"}, 0, {}});
    CHECK(identity(fds.at(0)) == identity(e.units[""].look().back().fd));
}

TEST_CASE("nothing is pushed to a worker that never asked, or asked for other names", "[handoff]") {
    auto const has_asked = GENERATE(false, true);
    Exchange e{RequestScope::OwnUnit, {"http"}};
    if (has_asked) {
        CHECK(e.ask("get http").names == Names{"http"});
    }
    e.units[""].add("admin", some_fd());
    CHECK(e.session.push({e.units[""].look().back()}) == SessionWait::Readable);
    CHECK(e.has_nothing_to_read());
}

TEST_CASE("pushes wait for a peer that does not read, one entry per listener, and stale ones go",
          "[handoff]") {
    Exchange e{RequestScope::OwnUnit, {"http"}};
    int const small = 1;
    REQUIRE(::setsockopt(e.session.socket().raw(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    CHECK(e.ask("get").names == Names{"http"});
    auto const http = e.units[""].look().front();
    unsigned pushed = 0;
    while (e.session.push({http}) == SessionWait::Readable)
        REQUIRE(++pushed < 1000);
    e.units[""].add("gone", some_fd());
    e.units[""].add("kept", some_fd());
    auto const fresh = std::vector{e.units[""].look()[1], e.units[""].look()[2]};
    for (int i = 0; i < 3; ++i)
        CHECK(e.session.push(fresh) == SessionWait::Writable);
    e.units[""].take("gone").reset();
    Names names;
    for (auto frame = receive_frame(e.program, 253); frame; frame = receive_frame(e.program, 253)) {
        auto const reply = decode_reply(frame->text).value();
        names.insert(names.end(), reply.names.begin(), reply.names.end());
        CHECK(e.session.on_ready() != SessionWait::Closed);
    }
    CHECK(names.size() == pushed + 2); // those in the socket, the one http that waited, and kept
    CHECK(names.back() == "kept");
    CHECK(std::count(names.begin(), names.end(), "gone") == 0);
}

TEST_CASE("a session leaves no descriptor behind", "[handoff]") {
    auto const before = open_descriptors();
    {
        Exchange e{RequestScope::OwnUnit, many_names(300)};
        REQUIRE(send_frame(e.program, "get"));
        REQUIRE(e.session.on_ready() != SessionWait::Closed);
    }
    CHECK(open_descriptors() == before);
}
