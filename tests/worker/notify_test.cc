// SPDX-License-Identifier: Apache-2.0
// What workers say: the text, and the socket that it comes in by.
#include "support.h"
#include "support/descriptors.h"
#include "worker/notify_socket.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// The message as a line of what it has.
std::string told(std::string_view text) {
    auto const message = parse_notify(text);
    if (!message)
        return "nothing";
    std::string line;
    if (message->ready)
        line += " ready";
    if (message->stopping)
        line += " stopping";
    if (message->status)
        line += " status '" + *message->status + "'";
    if (message->main_pid)
        line += " main " + std::to_string(*message->main_pid);
    if (message->extend_timeout)
        line += " extend " + to_string(*message->extend_timeout);
    if (message->error)
        line += " errno " + std::to_string(*message->error);
    if (message->ping)
        line += " ping";
    if (message->trigger)
        line += " trigger";
    if (message->watchdog)
        line += " watchdog " + to_string(*message->watchdog);
    if (auto const& store = message->store)
        line += std::string{store->stores ? " store" : ""} + (store->removes ? " remove" : "") +
                (store->is_name_bad ? " badly named" : "") +
                (store->name.empty() ? "" : " '" + store->name + "'") +
                (store->is_watched ? "" : " unwatched");
    return line.empty() ? "empty" : line.substr(1);
}

std::string status_of(std::string const& text) {
    return parse_notify("STATUS=" + text)->status.value();
}

/// A notify socket, and everything that it heard.
struct Hearing {
    struct Heard {
        NotifySender sender;
        NotifyMessage message;
    };
    Hearing() {
        auto opened = NotifySocket::open(
            *watched.loop, folder / "notify",
            [this](NotifySender const& sender) {
                ++asked;
                return sender.pid != stranger;
            },
            [this](NotifySender const& sender, NotifyMessage& message) {
                heard.push_back({sender, std::move(message)});
            });
        REQUIRE(opened);
        socket = std::move(opened).value();
    }
    TempFolder folder;
    Watched watched;
    std::unique_ptr<NotifySocket> socket;
    std::vector<Heard> heard;
    pid_t stranger = 0;
    int asked = 0;
};

/// Sends as sd_notify(3) does, with descriptors; the errno, or 0.
int say(std::string const& path, std::string const& text, std::vector<int> const& fds = {},
        int flags = MSG_DONTWAIT) {
    UniqueFd const fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    iovec vector{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    }
    return ::sendmsg(fd.raw(), &message, flags | MSG_NOSIGNAL) < 0 ? errno : 0;
}

} // namespace

TEST_CASE("a notify message is read line by line, and what is malformed is passed over", "[worker]") {
    struct Row {
        std::string text;
        std::string means;
    };
    std::vector<Row> const table{
        {"READY=1", "ready"},
        {"READY=1\n", "ready"},
        {"READY=0", "empty"},
        {"READY=11", "empty"},
        {"READY=1\nREADY=0", "ready"},
        {"READY", "empty"},
        {"", "empty"},
        {"\n\n=\n=1\n", "empty"},
        {" READY=1", "empty"},
        {"ready=1", "empty"},
        {"READY=1\r", "empty"},
        {"STOPPING=1", "stopping"},
        {"READY=1\nSTATUS=serving = well\nX_OURS=1", "ready status 'serving = well'"},
        {"STATUS=", "status ''"},
        {"STATUS=a\nSTATUS=b", "status 'b'"},
        {"MAINPID=1234", "main 1234"},
        {"MAINPID=1", "empty"}, // never init
        {"MAINPID=0", "empty"},
        {"MAINPID=-7", "empty"},
        {"MAINPID=", "empty"},
        {"MAINPID=12x", "empty"},
        {"MAINPID= 12", "empty"},
        {"MAINPID=+12", "empty"},
        {"MAINPID=99999999999", "empty"},
        {"EXTEND_TIMEOUT_USEC=2500000", "extend 2s 500ms"},
        {"EXTEND_TIMEOUT_USEC=0", "extend 0s"},
        {"EXTEND_TIMEOUT_USEC=-1", "empty"},
        {"EXTEND_TIMEOUT_USEC=18446744073709551615", "extend 52w 1d"}, // a year, not for ever
        {"EXTEND_TIMEOUT_USEC=18446744073709551616", "empty"},
        {"WATCHDOG=1", "ping"},
        {"WATCHDOG=1\nSTATUS=x\nWATCHDOG=0", "status 'x' ping"},
        {"WATCHDOG=trigger", "trigger"},
        {"WATCHDOG=0", "empty"},
        {"WATCHDOG=Trigger", "empty"},
        {"WATCHDOG_USEC=1500000", "watchdog 1s 500ms"},
        {"WATCHDOG_USEC=0", "watchdog 0s"},
        {"WATCHDOG_USEC=-1", "empty"},
        {"WATCHDOG_USEC=18446744073709551615", "watchdog 52w 1d"},
        {"ERRNO=2", "errno 2"},
        {"ERRNO=0", "empty"},
        {"ERRNO=4096", "empty"},
        {"FDSTORE=1", "store"},
        {"FDNAME=a b/c\nFDPOLL=0\nFDSTORE=1", "store 'a b/c' unwatched"},
        {"FDSTORE=1\nFDNAME=\nFDPOLL=1", "store"},
        {"FDSTORE=1\nFDNAME=a:b", "store badly named"},
        {"FDSTORE=1\nFDNAME=\x7f", "store badly named"},
        {"FDSTORE=1\nFDNAME=\xc3\xbc", "store badly named"},
        {"FDSTORE=1\nFDNAME=" + std::string(255, 'n'), "store '" + std::string(255, 'n') + "'"},
        {"FDSTORE=1\nFDNAME=" + std::string(256, 'n'), "store badly named"},
        {"FDSTOREREMOVE=1\nFDNAME=a\nREADY=1", "ready remove 'a'"},
        {"FDSTORE=0\nFDNAME=a", "empty"},
        {"FDNAME=a\nFDPOLL=0", "empty"},
        {"BARRIER=1\nFDSTORE=1\nFDNAME=a", "empty"},
        {std::string("READY=1\0", 8), "nothing"},
        {std::string(longest_notify_message, 'x'), "empty"},
        {std::string(longest_notify_message + 1, 'x'), "nothing"},
    };
    for (auto const& row : table) {
        CAPTURE(row.text);
        CHECK(told(row.text) == row.means);
    }
}

TEST_CASE("a status is made fit for terminals and for JSON", "[worker]") {
    CHECK(status_of("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80") ==
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    CHECK(status_of("a\tb\x1b[31mc\x7f") == "a?b?[31mc?");
    CHECK(status_of("\x80\xff\xc3") == "???");
    CHECK(status_of("\xc0\xaf") == "??");           // overlong
    CHECK(status_of("\xe0\x80\xaf") == "???");      // overlong
    CHECK(status_of("\xf0\x80\x80\xaf") == "????"); // overlong
    CHECK(status_of("\xed\xa0\x80") == "???");      // a surrogate
    CHECK(status_of("\xf4\x90\x80\x80") == "????"); // past U+10FFFF
    CHECK(status_of("\xf5\x80\x80\x80") == "????"); // no first byte of any
    CHECK(status_of("\xe2\x82 x") == "?? x");       // cut off
    CHECK(status_of(std::string(300, 'x')).size() == 256);
    CHECK(status_of(std::string(255, 'x') + "\xc3\xbc") == std::string(255, 'x')); // not half a character
}

TEST_CASE("control characters beyond ASCII are replaced too", "[worker]") {
    // U+009B was let through, which a terminal takes for the beginning of an escape sequence.
    CHECK(status_of("\xc2\x9b"
                    "31mred") == "??31mred");
    CHECK(status_of("\xc2\x80 \xc2\x9f \xc2\xa0") == "?? ?? \xc2\xa0");
}

TEST_CASE("the notify socket vouches for who speaks", "[worker]") {
    Hearing hearing;
    auto const child = ::fork();
    if (child == 0)
        ::_exit(say(hearing.socket->path(), "STATUS=from the child"));
    REQUIRE(say(hearing.socket->path(), "STATUS=from us") == 0);
    REQUIRE(hearing.watched.until([&] { return hearing.heard.size() == 2; }));
    for (auto const& one : hearing.heard) {
        CHECK(one.sender.pid == (*one.message.status == "from us" ? ::getpid() : child));
        CHECK(one.sender.uid == ::getuid());
    }
    int status = -1;
    CHECK((::waitpid(child, &status, 0) == child && status == 0));
}

TEST_CASE("anybody may reach the notify socket, and a stale one is replaced", "[worker]") {
    TempFolder const folder;
    Watched watched;
    write_file(folder / "notify", "stale");
    auto opened = NotifySocket::open(*watched.loop, folder / "notify", {}, {});
    REQUIRE(opened);
    struct stat node {};
    REQUIRE(::stat((folder / "notify").c_str(), &node) == 0);
    CHECK(S_ISSOCK(node.st_mode));
    CHECK((node.st_mode & 0777) == 0777);
    *opened = nullptr;
    CHECK(::stat((folder / "notify").c_str(), &node) < 0); // removed with its owner

    auto const too_long = NotifySocket::open(*watched.loop, folder / std::string(200, 'x'), {}, {});
    REQUIRE(!too_long);
    CHECK(too_long.error().code == ENAMETOOLONG);
    auto const nowhere = NotifySocket::open(*watched.loop, "/no/such/folder/notify", {}, {});
    REQUIRE(!nowhere);
    CHECK_THAT(to_string(nowhere.error()), ContainsSubstring("/no/such/folder/notify"));
}

TEST_CASE("descriptors that come with a message are closed, so that a barrier is answered", "[worker]") {
    Hearing hearing;
    auto const before = open_descriptors().size();
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    UniqueFd const ours{ends[0]};
    UniqueFd theirs{ends[1]};
    REQUIRE(say(hearing.socket->path(), "BARRIER=1", {theirs.raw()}) == 0);
    REQUIRE(say(hearing.socket->path(), "READY=1", std::vector<int>(253, theirs.raw())) == 0);
    theirs.reset();
    REQUIRE(hearing.watched.until([&] { return hearing.heard.size() == 2; }));
    pollfd seen{ours.raw(), POLLIN, 0};
    CHECK(::poll(&seen, 1, 0) == 1);
    CHECK((seen.revents & POLLHUP) != 0);
    CHECK(open_descriptors().size() == before + 1);
}

TEST_CASE("the descriptors of FDSTORE=1 are given to who hears it", "[worker]") {
    bool const takes_after_hearing = GENERATE(false, true);
    Hearing hearing;
    if (takes_after_hearing)
        hearing.socket->take_after_hearing();
    auto const before = open_descriptors().size();
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    UniqueFd const ours{ends[0]};
    UniqueFd theirs{ends[1]};
    REQUIRE(say(hearing.socket->path(), "FDSTORE=1", std::vector<int>(253, theirs.raw())) == 0);
    theirs.reset();
    REQUIRE(hearing.watched.until([&] { return hearing.heard.size() == 1; }));
    CHECK(hearing.heard[0].message.descriptors.size() == 253);
    CHECK(!hearing.heard[0].message.store->lacks_descriptors);
    CHECK(open_descriptors().size() == before + 1 + 253);
    hearing.heard.clear();
    pollfd seen{ours.raw(), POLLIN, 0};
    CHECK((::poll(&seen, 1, 0) == 1 && (seen.revents & POLLHUP) != 0));
    CHECK(open_descriptors().size() == before + 1);
}

TEST_CASE("a message whose descriptors cannot be had is heard all the same", "[worker]") {
    // It was dropped, with the READY=1 that stood in it.
    Hearing hearing;
    hearing.socket->take_after_hearing();
    std::vector<int> const fds(20, STDERR_FILENO);
    REQUIRE(say(hearing.socket->path(), "READY=1\nFDSTORE=1", fds) == 0);
    REQUIRE(say(hearing.socket->path(), "STOPPING=1", fds) == 0);
    auto const before = open_descriptors().size();
    {
        FewerDescriptors const few{5};
        hearing.socket->drain();
        REQUIRE(hearing.heard.size() == 2);
        CHECK(hearing.heard[0].message.ready);
        CHECK(hearing.heard[0].message.store->lacks_descriptors);
        CHECK(hearing.heard[0].message.descriptors.size() <= 5);
        CHECK(hearing.heard[1].message.stopping);
    }
    hearing.heard.clear();
    CHECK(open_descriptors().size() == before);
}

TEST_CASE("a stranger is not heard, and his descriptors are closed", "[worker]") {
    // A message was taken apart before anybody asked whose it was.
    Hearing hearing;
    hearing.stranger = ::getpid();
    auto const before = open_descriptors().size();
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    UniqueFd const ours{ends[0]};
    UniqueFd theirs{ends[1]};
    auto const& path = hearing.socket->path();
    REQUIRE(say(path, "READY=1", std::vector<int>(253, theirs.raw())) == 0);
    REQUIRE(say(path, std::string(longest_notify_message, '\n'), {theirs.raw()}) == 0);
    theirs.reset();
    REQUIRE(hearing.watched.until([&] { return hearing.asked == 2; }));
    CHECK(hearing.heard.empty());
    pollfd seen{ours.raw(), POLLIN, 0};
    CHECK((::poll(&seen, 1, 0) == 1 && (seen.revents & POLLHUP) != 0));
    CHECK(open_descriptors().size() == before + 1);
}

TEST_CASE("a message that is too long is dropped, and the next one is heard", "[worker]") {
    Hearing hearing;
    REQUIRE(say(hearing.socket->path(), "READY=1\n" + std::string(longest_notify_message, 'x')) == 0);
    REQUIRE(say(hearing.socket->path(), std::string("READY=1\n\0", 9)) == 0);
    REQUIRE(say(hearing.socket->path(), "") == 0);
    REQUIRE(say(hearing.socket->path(), "STATUS=" + std::string(longest_notify_message - 7, 'y')) == 0);
    REQUIRE(hearing.watched.until([&] { return hearing.heard.size() == 2; }));
    CHECK(!hearing.heard[0].message.ready); // the empty one
    CHECK(hearing.heard[1].message.status == std::string(256, 'y'));
}

TEST_CASE("a flood of messages is heard in turns, and nobody who waits is lost", "[worker]") {
    Hearing hearing;
    constexpr std::size_t flood = 3000;
    auto const child = ::fork();
    if (child == 0) {
        for (std::size_t i = 0; i < flood; ++i) // blocks while the queue is full, as sd_notify does
            if (say(hearing.socket->path(), "STATUS=flood", {}, 0) != 0)
                ::_exit(1);
        ::_exit(0);
    }
    std::size_t most = 0;
    REQUIRE(hearing.watched.until([&] {
        auto const before = hearing.heard.size();
        hearing.watched.loop->run_once(1ms);
        most = std::max(most, hearing.heard.size() - before);
        return hearing.heard.size() == flood;
    }));
    CHECK(most <= 64);
    int status = -1;
    CHECK((::waitpid(child, &status, 0) == child && status == 0));
}

TEST_CASE("what was said before a fork is heard before it, without the loop", "[worker]") {
    Hearing hearing;
    for (int i = 0; i < 5; ++i)
        REQUIRE(say(hearing.socket->path(), "READY=1") == 0);
    hearing.socket->drain(3);
    CHECK(hearing.heard.size() == 3);
    hearing.socket->drain();
    CHECK(hearing.heard.size() == 5);
    hearing.socket->drain(); // nothing left: does not wait
    CHECK(hearing.heard.size() == 5);
}

TEST_CASE("a flood of messages does not keep timers from ringing", "[worker]") {
    // Messages go before timers, so that who sent them without end had the loop for himself.
    bool const is_known = GENERATE(true, false);
    TempFolder const folder;
    Watched watched;
    std::string const path = folder / "notify";
    constexpr int far_too_many = 50'000;
    int seen = 0;
    int heard = 0;
    bool has_rung = false;
    auto const socket = NotifySocket::open(
        *watched.loop, path,
        [&](NotifySender const&) {
            ++seen;
            if (!has_rung && seen < far_too_many)
                CHECK(say(path, "STATUS=again") == 0); // the queue is never empty
            return is_known;
        },
        [&](NotifySender const&, NotifyMessage const&) { ++heard; });
    REQUIRE(socket);
    REQUIRE(say(path, "STATUS=first") == 0);
    auto const timer = watched.loop->at(MonotonicTime::now() + 5ms, [&] { has_rung = true; });
    REQUIRE(watched.until([&] { return has_rung; }));
    CHECK(seen < far_too_many / 10);
    CHECK(seen >= 64);
    CHECK(heard == (is_known ? seen : 0));
}
