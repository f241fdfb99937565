// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "client/child.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <holdfast.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// A notification socket as holdfastd has one, by path or abstract.
struct NotifySocket {
    std::filesystem::path folder;
    std::string name;
    UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};

    explicit NotifySocket(bool is_abstract) {
        char pattern[] = "/tmp/holdfast-notify-XXXXXX";
        if (!::mkdtemp(pattern))
            throw std::runtime_error{"mkdtemp"};
        folder = pattern;
        name = is_abstract ? "@" + folder.string() : (folder / "notify").string();
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, name.c_str());
        if (is_abstract)
            address.sun_path[0] = '\0';
        auto const length = offsetof(sockaddr_un, sun_path) + name.size() + (is_abstract ? 0 : 1);
        if (::bind(fd.raw(), reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(length)) < 0)
            throw std::runtime_error{"bind"};
    }
    NotifySocket(NotifySocket const&) = delete;
    ~NotifySocket() { std::filesystem::remove_all(folder); }

    [[nodiscard]] std::string received() const {
        char text[8192];
        auto const length = ::recv(fd.raw(), text, sizeof text, 0);
        return length < 0 ? std::string{"nothing"} : std::string(text, static_cast<std::size_t>(length));
    }
};

std::string call(Environment const& environment, std::function<int()> const& body) {
    return in_worker(environment, {}, [&] { return std::to_string(body()); });
}

} // namespace

TEST_CASE("ready, stopping, status and more time are sent as sd_notify has them", "[client]") {
    NotifySocket const socket{GENERATE(false, true)};
    Environment const environment{{"NOTIFY_SOCKET", socket.name}};
    CHECK(call(environment, holdfast_ready) == "1");
    CHECK(socket.received() == "READY=1");
    CHECK(call(environment, holdfast_stopping) == "1");
    CHECK(socket.received() == "STOPPING=1");
    CHECK(call(environment, [] { return holdfast_status("3 of 4 caches warm"); }) == "1");
    CHECK(socket.received() == "STATUS=3 of 4 caches warm");
    CHECK(call(environment, [] { return holdfast_extend_timeout(UINT64_MAX); }) == "1");
    CHECK(socket.received() == "EXTEND_TIMEOUT_USEC=18446744073709551615");
    CHECK(call(environment, [] { return holdfast_notify("READY=1\nMAINPID=1"); }) == "1");
    CHECK(socket.received() == "READY=1\nMAINPID=1");
}

TEST_CASE("a status text cannot say anything but the status", "[client]") {
    NotifySocket const socket{false};
    Environment const environment{{"NOTIFY_SOCKET", socket.name}};
    CHECK(call(environment, [] { return holdfast_status("a\nMAINPID=1\r\nb"); }) == "1");
    CHECK(socket.received() == "STATUS=a MAINPID=1  b");
}

TEST_CASE("a long status is cut at 1000 bytes, not inside a character", "[client]") {
    NotifySocket const socket{false};
    Environment const environment{{"NOTIFY_SOCKET", socket.name}};
    CHECK(call(environment, [] { return holdfast_status(std::string(5000, 'x').c_str()); }) == "1");
    CHECK(socket.received() == "STATUS=" + std::string(1000, 'x'));
    CHECK(call(environment, [] { return holdfast_status((std::string(999, 'x') + "\xc3\xa4").c_str()); }) ==
          "1");
    CHECK(socket.received() == "STATUS=" + std::string(999, 'x'));
}

TEST_CASE("where nobody listens a notification is no error", "[client]") {
    CHECK(call({}, holdfast_ready) == "0");
    CHECK(call({}, [] { return holdfast_status("x"); }) == "0");
}

TEST_CASE("a NOTIFY_SOCKET that cannot be one is an error", "[client]") {
    auto const error = [](int code) { return std::to_string(-code); };
    CHECK(call({{"NOTIFY_SOCKET", "relative"}}, holdfast_ready) == error(EAFNOSUPPORT));
    CHECK(call({{"NOTIFY_SOCKET", ""}}, holdfast_ready) == error(EAFNOSUPPORT));
    CHECK(call({{"NOTIFY_SOCKET", "@"}}, holdfast_ready) == error(EAFNOSUPPORT));
    CHECK(call({{"NOTIFY_SOCKET", "/" + std::string(200, 'x')}}, holdfast_ready) == error(ENAMETOOLONG));
    CHECK(call({{"NOTIFY_SOCKET", "/nowhere/notify"}}, holdfast_ready) == error(ENOENT));
    CHECK(call({{"NOTIFY_SOCKET", "@holdfast-nobody-listens-here"}}, holdfast_ready) == error(ECONNREFUSED));
}

TEST_CASE("a notification without words, or with too many, is an error", "[client]") {
    NotifySocket const socket{false};
    Environment const environment{{"NOTIFY_SOCKET", socket.name}};
    auto const error = [](int code) { return std::to_string(-code); };
    CHECK(call(environment, [] { return holdfast_notify(""); }) == error(EINVAL));
    CHECK(call(environment, [] { return holdfast_notify(nullptr); }) == error(EINVAL));
    CHECK(call(environment, [] { return holdfast_status(nullptr); }) == error(EINVAL));
    CHECK(call(environment, [] { return holdfast_extend_timeout(0); }) == error(EINVAL));
    CHECK(call(environment, [] { return holdfast_notify(std::string(4097, 'x').c_str()); }) ==
          error(EMSGSIZE));
    CHECK(socket.received() == "nothing");
}
