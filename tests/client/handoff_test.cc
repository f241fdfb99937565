// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "client/child.h"
#include "handoff/session.h"
#include "handoff/sockets.h"
#include "support/descriptors.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include <holdfast.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/un.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

std::string describe(int result, holdfast_listeners* set) {
    if (result < 0)
        return "-" + std::string{::strerrorname_np(-result)};
    auto text = std::to_string(result) + ":";
    for (std::size_t i = 0; i < holdfast_count(set) && i < 5; ++i)
        text += ' ' + std::string{holdfast_name(set, i)} + (holdfast_fd(set, i) >= 0 ? "" : "!") +
                (is_close_on_exec(FdRef{holdfast_fd(set, i)}) ? "" : " inheritable");
    return text;
}

std::string inherit() {
    holdfast_listeners* set = nullptr;
    int const result = holdfast_inherit(&set, 1);
    auto text = describe(result, set);
    holdfast_free(set);
    return text;
}

std::string receive_push() {
    pollfd watched{holdfast_handoff_fd(), POLLIN, 0};
    if (::poll(&watched, 1, 10000) != 1)
        return "nothing came";
    holdfast_listeners* set = nullptr;
    int const result = holdfast_receive(&set);
    auto text = describe(result, set);
    holdfast_free(set);
    return text;
}

/// Our end in a thread, until the other end is closed: what holdfastd's loop does with a session.
template <class WhenAsked>
void serve(UniqueFd socket, RequestScope scope, HandoffSession::Lookup lookup, WhenAsked when_asked) {
    HandoffSession session{std::move(socket), scope, std::move(lookup)};
    while (session.await() != SessionWait::Closed) {
        pollfd watched{session.socket().raw(),
                       static_cast<short>(session.await() == SessionWait::Writable ? POLLOUT : POLLIN), 0};
        if (::poll(&watched, 1, 10000) != 1)
            return;
        session.on_ready();
        when_asked(session);
    }
}

HandoffSession::Lookup lookup_in(FdBatch const& batch) {
    return [&batch](std::string const& unit) -> Result<std::vector<NamedFd>> {
        if (!unit.empty() && unit != "web")
            return plain_error("no unit " + unit + " is shared with you");
        return batch.look();
    };
}

/// A worker that finds its hand-off socket at 3.
std::string worker_with(FdBatch const& batch, std::function<std::string()> const& body) {
    auto [ours, theirs] = seqpacket_pair();
    std::string said;
    // The child has its own copy of `theirs`; ours must be closed for the session to see it go.
    std::thread child{[&, socket = std::move(theirs)]() mutable {
        said = in_worker({{"HOLDFAST_HANDOFF", "3"}}, {socket}, body);
        socket.reset();
    }};
    serve(std::move(ours), RequestScope::OwnUnit, lookup_in(batch), [](HandoffSession&) {});
    child.join();
    return said;
}

/// A worker whose peer sends these frames, each with one descriptor per `fds` of it, and closes.
std::string worker_answered(std::vector<std::pair<std::string, std::size_t>> const& frames,
                            std::function<std::string()> const& body) {
    auto [ours, theirs] = seqpacket_pair();
    auto const fd = some_fd();
    for (auto const& [text, count] : frames)
        REQUIRE(send_frame(ours, text, std::vector<FdRef>(count, fd)));
    ::shutdown(ours.raw(), SHUT_WR);
    return in_worker({{"HOLDFAST_HANDOFF", "3"}}, {theirs}, body);
}

struct ListeningSocket {
    std::filesystem::path folder;
    UniqueFd fd;
    ListeningSocket() : fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)} {
        char pattern[] = "/tmp/holdfast-client-XXXXXX";
        if (!::mkdtemp(pattern))
            throw std::runtime_error{"mkdtemp"};
        folder = pattern;
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, path().c_str());
        if (::bind(fd.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
            ::listen(fd.raw(), 8) < 0)
            throw std::runtime_error{"bind"};
    }
    ListeningSocket(ListeningSocket const&) = delete;
    ~ListeningSocket() { std::filesystem::remove_all(folder); }
    [[nodiscard]] std::string path() const { return (folder / "handoff.sock").string(); }
};

std::string fetch(std::string const& path, char const* unit, std::vector<char const*> const& names = {}) {
    holdfast_listeners* set = nullptr;
    int const result = holdfast_fetch(&set, path.c_str(), unit, names.data(), names.size());
    auto text = describe(result, set);
    if (result == -EREMOTEIO)
        text += std::string{" "} + holdfast_error();
    holdfast_free(set);
    return text;
}

} // namespace

TEST_CASE("listeners that come by the hand-off socket are found by name and close-on-exec", "[client]") {
    FdBatch batch;
    batch.add("http", some_fd());
    batch.add("http", some_fd());
    batch.add("admin", some_fd());
    CHECK(worker_with(batch, inherit) == "3: http http admin");
}

TEST_CASE("a worker of a unit without listeners is told so", "[client]") {
    CHECK(worker_with(FdBatch{}, inherit) == "0:");
}

TEST_CASE("400 listeners arrive in their batches", "[client]") {
    FdBatch batch;
    for (int i = 0; i < 400; ++i)
        batch.add("n" + std::to_string(i), some_fd());
    auto const said = worker_with(batch, [] {
        holdfast_listeners* set = nullptr;
        int const result = holdfast_inherit(&set, 0);
        auto const last = result > 0 ? std::string{holdfast_name(set, holdfast_count(set) - 1)} : "";
        return std::to_string(result) + ' ' + last;
    });
    CHECK(said == "400 n399");
}

TEST_CASE("LISTEN_FDS goes before the hand-off socket", "[client]") {
    auto const [ours, theirs] = seqpacket_pair();
    auto const fd = some_fd();
    CHECK(in_worker({{"LISTEN_FDS", "1"}, {"LISTEN_PID", "@pid"}, {"HOLDFAST_HANDOFF", "4"}}, {fd, theirs},
                    inherit) == "1: unknown");
    CHECK(receive_frame(ours, 0).error().code == EAGAIN); // nothing was asked
}

TEST_CASE("a listener that appears while the worker lives is received", "[client]") {
    FdBatch batch;
    batch.add("http", some_fd());
    auto [ours, theirs] = seqpacket_pair();
    std::string said;
    std::thread child{[&, socket = std::move(theirs)]() mutable {
        said = in_worker({{"HOLDFAST_HANDOFF", "3"}}, {socket}, [] {
            auto text = inherit(); // unsets the variable: the socket is remembered
            text += " then " + receive_push();
            holdfast_listeners* set = nullptr;
            text += " then " + std::to_string(holdfast_receive(&set));
            holdfast_free(set);
            return text;
        });
        socket.reset();
    }};
    bool is_pushed = false;
    serve(std::move(ours), RequestScope::OwnUnit, lookup_in(batch), [&](HandoffSession& session) {
        if (std::exchange(is_pushed, true))
            return;
        batch.add("admin", some_fd());
        session.push({batch.look().back()});
    });
    child.join();
    CHECK(said == "1: http then 1: admin then 0");
}

TEST_CASE("pushes and words of a later version before the answer do not disturb it", "[client]") {
    CHECK(worker_answered(
              {{"push 1 0\nold", 1}, {"novel 1 2\nx", 1}, {"fds 1 1\nhttp", 1}, {"fds 1 0\nadmin\n", 1}},
              inherit) == "2: http admin");
}

TEST_CASE("an answer that is none is an error and leaves nothing open", "[client]") {
    auto const frame =
        GENERATE(std::pair<std::string, std::size_t>{"fds 2 0\na", 2}, std::pair{"fds 1 0\na", 2},
                 std::pair{"fds 2 0\na\nb", 1}, std::pair{"fds 1 0\na\nb", 1}, std::pair{"fds 1 0", 1},
                 std::pair{"fds 1 0\n", 1}, std::pair{"fds x 0\na", 1}, std::pair{"fds 1\na", 1},
                 std::pair{"fds 1 -1\na", 1}, std::pair{"fds 1 \na", 1}, std::pair{"fds \na", 1},
                 std::pair{"fds 253 0\na", 0}, std::pair{"fds 99999999999999999999 0\na", 1});
    INFO(frame.first);
    auto const said = worker_answered({frame}, [] {
        auto const before = open_descriptors().size();
        auto text = inherit();
        return text + (open_descriptors().size() == before ? "" : " leaked");
    });
    CHECK(said == "-EPROTO");
}

TEST_CASE("an error of holdfast is passed on with its text", "[client]") {
    CHECK(worker_answered({{"error there is nothing\n", 0}}, [] {
              return inherit() + ' ' + holdfast_error();
          }) == "-EREMOTEIO there is nothing");
}

TEST_CASE("a hand-off socket that is closed is an error that says so", "[client]") {
    auto [ours, theirs] = seqpacket_pair();
    ours.reset();
    auto const said = in_worker({{"HOLDFAST_HANDOFF", "3"}}, {theirs}, [] {
        holdfast_listeners* set = nullptr;
        auto const text = inherit();
        return text + ' ' + describe(holdfast_receive(&set), set);
    });
    CHECK(said == "-ENOTCONN -ENOTCONN");
    CHECK(worker_answered({{"fds 1 1\na", 1}}, inherit) == "-ENOTCONN"); // in the middle of an answer
}

TEST_CASE("a variable that names no hand-off socket is an error", "[client]") {
    auto const file = some_fd();
    UniqueFd const stream{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK(in_worker({{"HOLDFAST_HANDOFF", "3"}}, {file}, inherit) == "-ENOTSOCK");
    CHECK(in_worker({{"HOLDFAST_HANDOFF", "3"}}, {stream}, inherit) == "-ENOTSOCK");
    CHECK(in_worker({{"HOLDFAST_HANDOFF", "9"}}, {file}, inherit) == "-EBADF");
    for (auto const* value : {"", "x", "-1", "3 ", "99999999999"})
        CHECK(in_worker({{"HOLDFAST_HANDOFF", value}}, {file}, inherit) == "-EINVAL");
    CHECK(in_worker({}, {}, [] { return std::to_string(holdfast_handoff_fd() == -ENXIO); }) == "1");
}

TEST_CASE("a process that may not have that many descriptors is told, and keeps none", "[client]") {
    FdBatch batch;
    for (int i = 0; i < 100; ++i)
        batch.add("n", some_fd());
    auto const said = worker_with(batch, [] {
        rlimit const few{30, 30};
        ::setrlimit(RLIMIT_NOFILE, &few);
        auto text = inherit();
        int open = 0;
        for (int fd = 4; fd < 30; ++fd)
            open += ::fcntl(fd, F_GETFD) >= 0;
        return text + ' ' + std::to_string(open);
    });
    CHECK(said == "-EMFILE 0");
}

TEST_CASE("a program that is no child fetches a unit's listeners from handoff.sock", "[client]") {
    ListeningSocket const listening;
    FdBatch batch;
    batch.add("http", some_fd());
    batch.add("admin", some_fd());
    auto const question = [&](char const* unit, std::vector<char const*> const& names) {
        std::string said;
        std::thread program{[&] { said = fetch(listening.path(), unit, names); }};
        UniqueFd peer{::accept4(listening.fd.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
        serve(std::move(peer), RequestScope::AnyUnit, lookup_in(batch), [](HandoffSession&) {});
        program.join();
        return said;
    };
    CHECK(question("web", {}) == "2: http admin");
    CHECK(question("web", {"admin", "http"}) == "2: admin http");
    CHECK(question("web", {"ftp"}) == "-EREMOTEIO there is no listener web/ftp");
    CHECK(question("db", {}) == "-EREMOTEIO no unit db is shared with you");
}

TEST_CASE("a question that cannot be one is refused before anything is opened", "[client]") {
    CHECK(fetch("/nowhere", "") == "-EINVAL");
    CHECK(fetch("/nowhere", "a b") == "-EINVAL");
    CHECK(fetch("/nowhere", "a/b") == "-EINVAL");
    CHECK(fetch("/nowhere", "web", {""}) == "-EINVAL");
    CHECK(fetch("/nowhere", "web", {"a\nb"}) == "-EINVAL");
    CHECK(fetch("/nowhere", "web", {nullptr}) == "-EINVAL");
    CHECK(fetch("/nowhere", std::string(256, 'u').c_str()) == "-EINVAL");
    std::vector<char const*> const many(20000, "name");
    CHECK(fetch("/nowhere", "web", many) == "-EMSGSIZE");
    holdfast_listeners* set = nullptr;
    CHECK(holdfast_fetch(&set, "/nowhere", nullptr, nullptr, 0) == -EINVAL);
    CHECK(holdfast_fetch(nullptr, "/nowhere", "web", nullptr, 0) == -EINVAL);
}

TEST_CASE("a handoff.sock that is not there, or not a path, is an error", "[client]") {
    CHECK(fetch("/nowhere/handoff.sock", "web") == "-ENOENT");
    CHECK(fetch("nowhere", "web") == "-EAFNOSUPPORT");
    CHECK(fetch("/" + std::string(107, 'x'), "web") == "-ENAMETOOLONG");
    CHECK(fetch("/" + std::string(106, 'x'), "web") == "-ENOENT");
}
