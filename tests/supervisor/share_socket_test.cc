// SPDX-License-Identifier: Apache-2.0
// handoff.sock: who may fetch which listeners, by what the kernel says of him.
#include "handoff/frames.h"
#include "harness.h"
#include "supervisor/share_socket.h"
#include "support/descriptors.h"

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr uid_t stranger = 65534;

UniqueFd connect_to_path(std::string const& path) {
    UniqueFd fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(fd.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        return {};
    return fd;
}

struct Sharing : Home {
    Sharing() {
        auto opened = ShareSocket::open(*supervisor, path);
        if (!opened)
            FAIL(to_string(opened.error()));
        share = std::move(opened).value();
    }
    std::string answer(FdRef client) {
        Result<ReceivedFrame> frame = plain_error("nothing");
        until([&] {
            frame = receive_frame(client, max_frame_fds);
            return frame.has_value();
        });
        return frame ? frame->text : to_string(frame.error());
    }
    std::string ask(std::string const& question) {
        auto const client = connect_to_path(path);
        REQUIRE(client.is_open());
        REQUIRE(send_frame(client, question));
        return answer(client);
    }
    /// The same as a user without rights; "skipped" where we cannot be one.
    std::string ask_as_stranger(std::string const& question) {
        if (::geteuid() != 0)
            return "skipped: only root may change users";
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        UniqueFd const read_end{ends[0]};
        UniqueFd write_end{ends[1]};
        auto const child = ::fork();
        if (child == 0) {
            std::string text = "cannot ask";
            if (::setgroups(0, nullptr) == 0 && ::setgid(stranger) == 0 && ::setuid(stranger) == 0) {
                auto const client = connect_to_path(path);
                if (send_frame(client, question)) {
                    char answer[2000];
                    auto const size = ::recv(client.raw(), answer, sizeof answer, 0);
                    text = std::string(answer, size > 0 ? static_cast<std::size_t>(size) : 0);
                }
            }
            ::_exit(::write(write_end.raw(), text.data(), text.size()) < 0 ? 1 : 0);
        }
        write_end.reset();
        // Whoever ends it, it has ended when the pipe does; the supervisor reaps what is nobody's worker.
        std::string text;
        REQUIRE(::fcntl(read_end.raw(), F_SETFL, O_NONBLOCK) == 0);
        until([&] {
            char chunk[2000];
            auto const size = ::read(read_end.raw(), chunk, sizeof chunk);
            if (size > 0)
                text.append(chunk, static_cast<std::size_t>(size));
            return size == 0;
        });
        return text;
    }

    std::string path = folder / "handoff.sock";
    std::unique_ptr<ShareSocket> share;
};

} // namespace

TEST_CASE("the supervisor's own user may fetch every listener", "[supervisor]") {
    Sharing test;
    auto& unit = test.add("web", tcp_socket("http", 0) + service(runs));
    auto const client = connect_to_path(test.path);
    REQUIRE(send_frame(client, "get web"));
    Result<ReceivedFrame> frame = plain_error("nothing");
    REQUIRE(test.until([&] {
        frame = receive_frame(client, max_frame_fds);
        return frame.has_value();
    }));
    CHECK(frame->text == "fds 1 0\nweb/http");
    REQUIRE(frame->fds.size() == 1);
    CHECK(port_of(frame->fds.front()) == unit.sockets().held().front().port);
    CHECK(test.ask("get web/http") == "fds 1 0\nweb/http");
    CHECK_THAT(test.ask("get web/nosuch"), ContainsSubstring("error there is no listener web/nosuch"));
    CHECK_THAT(test.ask("get nosuch"), ContainsSubstring("error cannot share the listeners of nosuch"));
    CHECK_THAT(test.ask("get"), ContainsSubstring("error "));
}

TEST_CASE("a stranger gets what [share] gives him, and learns nothing of the rest", "[supervisor]") {
    Sharing test;
    auto const socket = tcp_socket("http", 0);
    test.add("private", socket + service(runs));
    test.add("shared", socket + service(runs) + "[share]\nusers = [\"" + std::to_string(stranger) + "\"]\n");
    test.add("group", socket + service(runs) + "[share]\ngroups = [\"" + std::to_string(stranger) + "\"]\n");
    test.add("others", socket + service(runs) + "[share]\nusers = [\"1\", \"no-such-user\"]\n");
    auto const refused = test.ask_as_stranger("get private");
    if (refused.starts_with("skipped")) {
        WARN(refused);
        return;
    }
    CHECK_THAT(refused, ContainsSubstring("error cannot share the listeners of private: Permission denied"));
    auto missing = test.ask_as_stranger("get missing");
    CHECK(missing.replace(missing.find("missing"), 7, "private") == refused); // the very same words
    CHECK_THAT(test.ask_as_stranger("get others"), ContainsSubstring("Permission denied"));
    CHECK(test.ask_as_stranger("get shared") == "fds 1 0\nshared/http");
    CHECK(test.ask_as_stranger("get group") == "fds 1 0\ngroup/http");
    CHECK_THAT(test.ask_as_stranger("get shared private"), ContainsSubstring("Permission denied"));
}

TEST_CASE("one client too many sends the oldest away", "[supervisor]") {
    Sharing test;
    test.add("web", tcp_socket("http", 0) + service(runs));
    std::vector<UniqueFd> clients;
    for (std::size_t i = 0; i <= ShareSocket::most_clients; ++i) {
        clients.push_back(connect_to_path(test.path));
        REQUIRE(clients.back().is_open());
        test.settle();
    }
    CHECK(receive_frame(clients.front(), 0)->text.empty()); // closed
    REQUIRE(send_frame(clients.back(), "get web"));
    CHECK(test.answer(clients.back()) == "fds 1 0\nweb/http");
}

TEST_CASE("many clients of one user do not push out those of another", "[supervisor]") {
    // 64 idle connections of anybody sent everybody else away.
    if (::geteuid() != 0) {
        WARN("skipped: only root may change users");
        return;
    }
    Sharing test;
    test.add("web", tcp_socket("http", 0) + service(runs));
    auto const ours = connect_to_path(test.path);
    REQUIRE(ours.is_open());
    test.settle();
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    UniqueFd const read_end{ends[0]};
    UniqueFd write_end{ends[1]};
    auto const child = ::fork();
    if (child == 0) {
        std::vector<UniqueFd> clients;
        if (::setgroups(0, nullptr) == 0 && ::setgid(stranger) == 0 && ::setuid(stranger) == 0)
            for (std::size_t i = 0; i < 2 * ShareSocket::most_clients; ++i)
                clients.push_back(connect_to_path(test.path));
        bool const all = !clients.empty() && clients.back().is_open();
        (void)!::write(write_end.raw(), all ? "y" : "n", 1);
        ::pause();
        ::_exit(0);
    }
    REQUIRE(child > 0);
    char said = 0;
    CHECK(test.until([&] { return ::read(read_end.raw(), &said, 1) == 1; }));
    CHECK(said == 'y');
    test.settle();
    REQUIRE(send_frame(ours, "get web"));
    CHECK(test.answer(ours) == "fds 1 0\nweb/http");
    ::kill(child, SIGKILL); // reaped as an orphan by the supervisor, or here
    (void)::waitpid(child, nullptr, 0);
}

TEST_CASE("without a free descriptor the share socket rests, and serves again when there is one",
          "[supervisor]") {
    // It was told of the waiting client again and again, and the loop never slept.
    Sharing test;
    test.add("web", tcp_socket("http", 0) + service(runs));
    test.settle();
    auto const client = connect_to_path(test.path);
    REQUIRE(send_frame(client, "get web"));
    int rounds = 0;
    {
        FewerDescriptors const full{0};
        auto const end = MonotonicTime::now() + 50ms;
        while (MonotonicTime::now() < end)
            rounds += test.loop->run_once(10ms);
    }
    CHECK(rounds <= 3);
    CHECK(test.answer(client) == "fds 1 0\nweb/http");
}
