// SPDX-License-Identifier: Apache-2.0
// A control server on a socket in a folder of its own, and clients that are nothing but bytes. Everything
// runs on the test's thread: until() turns the loop until a condition holds or a deadline passes.
#pragma once

#include "catch.h"
#include "control/message.h"
#include "control/server.h"
#include "support/temp_folder.h"
#include "support/turning.h"

#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace holdfast::test {

using nlohmann::json;

/// A client that says what it is told, non-blocking.
class RawClient {
public:
    explicit RawClient(std::string const& path) {
        socket_ = UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        REQUIRE(socket_.is_open());
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        error_ =
            ::connect(socket_.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    }
    [[nodiscard]] int connect_error() const { return error_; }

    /// How many bytes the socket took; less than all when its buffer is full or the server closed it.
    std::size_t send(std::string_view bytes) {
        std::size_t taken = 0;
        while (taken < bytes.size()) {
            ssize_t const n = ::send(socket_.raw(), bytes.data() + taken, bytes.size() - taken, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            taken += static_cast<std::size_t>(n);
        }
        return taken;
    }
    void call(std::string const& method, json const& parameters = json::object(), bool more = false) {
        ControlCall call;
        call.method = method.find('.') == std::string::npos ? "io.holdfast.Manager." + method : method;
        call.parameters = parameters;
        call.more = more;
        std::string const text = encode_call(call);
        REQUIRE(send(text) == text.size());
    }
    /// Takes in what has arrived. False when the connection has ended.
    bool receive() {
        char chunk[65536];
        ssize_t n = 0;
        while ((n = ::recv(socket_.raw(), chunk, sizeof chunk, 0)) > 0)
            input_.append(chunk, static_cast<std::size_t>(n));
        if (n == 0 || (n < 0 && errno != EAGAIN))
            ended_ = true;
        for (std::size_t end = 0; (end = input_.find('\0')) != std::string::npos; input_.erase(0, end + 1))
            replies.push_back(json::parse(input_.substr(0, end)));
        return !ended_;
    }
    [[nodiscard]] bool has_ended() {
        receive();
        return ended_;
    }
    [[nodiscard]] bool has_reply() {
        receive();
        return !replies.empty();
    }
    json take() {
        REQUIRE(!replies.empty());
        json first = replies.front();
        replies.pop_front();
        return first;
    }
    void close() { socket_.reset(); }
    [[nodiscard]] FdRef fd() const { return socket_; }

    std::deque<json> replies;

private:
    UniqueFd socket_;
    int error_ = 0;
    std::string input_;
    bool ended_ = false;
};

/// Requests are kept in `requests`, unless `handle` is set.
class TestServer : public Turning {
public:
    explicit TestServer(ControlLimits limits = {}, std::string group = {}) {
        loop->on_broken([this](std::uint64_t, std::string_view what) { broken = what; });
        ControlServerOptions options;
        options.path = path();
        options.group = std::move(group);
        options.limits = limits;
        options.on_problem = [this](Error const& problem) { problems.push_back(to_string(problem)); };
        auto opened = ControlServer::open(*loop, std::move(options), [this](ControlRequest request) {
            if (handle)
                handle(std::move(request));
            else
                requests.push_back(std::move(request));
        });
        REQUIRE(opened);
        server = std::move(opened).value();
    }
    ~TestServer() { CHECK(broken.empty()); }

    [[nodiscard]] std::string path() const { return folder / "control.sock"; }

    json answer(RawClient& client) {
        REQUIRE(until([&] { return client.has_reply(); }));
        return client.take();
    }

    TempFolder folder;
    std::function<void(ControlRequest)> handle;
    std::vector<ControlRequest> requests;
    std::vector<std::string> problems;
    std::string broken;
    std::unique_ptr<ControlServer> server;
};

} // namespace holdfast::test
