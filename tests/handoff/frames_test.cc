// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "handoff/frames.h"
#include "handoff/sockets.h"
#include "support/descriptors.h"

#include <cerrno>

using namespace holdfast;
using namespace holdfast::test;

namespace {

GetRequest own(std::vector<std::string> names) {
    GetRequest request;
    for (auto& name : names)
        request.wanted.push_back({{}, std::move(name)});
    return request;
}

std::vector<FdRef> refs(std::vector<UniqueFd> const& fds) {
    return {fds.begin(), fds.end()};
}

} // namespace

TEST_CASE("a question for everything is the word get, with or without a newline", "[handoff]") {
    CHECK(decode_request("get", RequestScope::OwnUnit).value() == GetRequest{});
    CHECK(decode_request("get\n", RequestScope::OwnUnit).value() == GetRequest{});
}

TEST_CASE("a question lists names in their order", "[handoff]") {
    CHECK(decode_request("get http admin", RequestScope::OwnUnit).value() == own({"http", "admin"}));
    CHECK(decode_request("get http admin\n", RequestScope::OwnUnit).value() == own({"http", "admin"}));
}

TEST_CASE("on handoff.sock a question names units or listeners of units", "[handoff]") {
    auto const request = decode_request("get web web@blue/http db/sql", RequestScope::AnyUnit).value();
    CHECK(request.wanted == std::vector<WantedFd>{{"web", ""}, {"web@blue", "http"}, {"db", "sql"}});
    CHECK(encode_request(request) == "get web web@blue/http db/sql");
}

TEST_CASE("a malformed question is an error that says what is wrong", "[handoff]") {
    auto const scope = GENERATE(RequestScope::OwnUnit, RequestScope::AnyUnit);
    auto const text =
        GENERATE(as<std::string>{}, "", "\n", "GET", "ge", "gett", "get ", "get  http", "get http ",
                 " get http", "get ht\ttp", "get http\nadmin", "get http\n\n", "get a,b", "get {x}",
                 "get web/", "get /http", "get web/http/x", "get h\xc3\xa4", "put http", "get\r\n");
    auto const request = decode_request(text, scope);
    INFO(text);
    REQUIRE_FALSE(request);
    CHECK_FALSE(to_string(request.error()).empty());
}

TEST_CASE("a question with a NUL in it is malformed", "[handoff]") {
    CHECK_FALSE(decode_request(std::string("get h\0", 6), RequestScope::OwnUnit));
}

TEST_CASE("only handoff.sock takes units, and it must be told which", "[handoff]") {
    CHECK_FALSE(decode_request("get web/http", RequestScope::OwnUnit));
    CHECK_FALSE(decode_request("get a:b", RequestScope::OwnUnit));
    CHECK_FALSE(decode_request("get", RequestScope::AnyUnit));
    CHECK_FALSE(decode_request("get -web", RequestScope::AnyUnit));
}

TEST_CASE("a question has at most as many names as the limit says", "[handoff]") {
    std::string text = "get";
    for (std::size_t i = 0; i < max_request_names; ++i)
        text += " n";
    CHECK(decode_request(text, RequestScope::OwnUnit).value().wanted.size() == max_request_names);
    CHECK_FALSE(decode_request(text + " n", RequestScope::OwnUnit));
}

TEST_CASE("a name has at most 255 bytes, a frame at most 64 KiB", "[handoff]") {
    CHECK(decode_request("get " + std::string(255, 'n'), RequestScope::OwnUnit));
    CHECK_FALSE(decode_request("get " + std::string(256, 'n'), RequestScope::OwnUnit));
    std::string text = "get";
    while (text.size() + 256 <= max_frame_size)
        text += ' ' + std::string(255, 'n');
    CHECK(decode_request(text, RequestScope::OwnUnit));
    CHECK_FALSE(decode_request(text + ' ' + std::string(255, 'n'), RequestScope::OwnUnit));
    CHECK_FALSE(decode_reply(std::string(max_frame_size + 1, 'e')));
}

TEST_CASE("an answer is read back as it was written", "[handoff]") {
    auto const reply = GENERATE(Reply{ReplyKind::Fds, {"http", "web/http", "a stored one/2"}, 3, {}},
                                Reply{ReplyKind::Fds, {}, 0, {}}, Reply{ReplyKind::Push, {"admin"}, 0, {}},
                                Reply{ReplyKind::Error, {}, 0, "there is no listener x"});
    CHECK(decode_reply(encode_reply(reply)).value() == reply);
    CHECK(decode_reply(encode_reply(reply) + "\n").value() == reply);
}

TEST_CASE("the text of an answer is what the header documents", "[handoff]") {
    CHECK(encode_reply({ReplyKind::Fds, {"http", "http"}, 7, {}}) == "fds 2 7\nhttp\nhttp");
    CHECK(encode_reply({ReplyKind::Push, {"admin"}, 0, {}}) == "push 1 0\nadmin");
    CHECK(encode_reply({ReplyKind::Error, {}, 0, "no"}) == "error no");
}

TEST_CASE("an error text becomes one printable line of bounded length", "[handoff]") {
    CHECK(encode_reply({ReplyKind::Error, {}, 0, "a\nb\x1b[31m"}) == "error a b [31m");
    CHECK(encode_reply({ReplyKind::Error, {}, 0, std::string(5000, 'x')}).size() == 6 + max_error_text);
}

TEST_CASE("a malformed answer is an error", "[handoff]") {
    auto const text = GENERATE(
        as<std::string>{}, "", "fds", "fds 1", "fds 1 0", "fds 0 0\nhttp", "fds 2 0\nhttp", "fds -1 0",
        "fds +1 0\nhttp", "fds 1 -1\nhttp", "fds 1 x\nhttp", "fds 1 0 0\nhttp", "fds 1 0\n",
        "fds 1 0\n\nhttp", "fds 1 0\na:b", "fds 1 0\na\tb", "fds 99999999999999999999 0",
        "fds 1 99999999999999999999\nhttp", "Fds 0 0", "gone 1 0\nhttp", "push 1\nhttp");
    INFO(text);
    CHECK_FALSE(decode_reply(text));
}

TEST_CASE("an answer names at most 253 descriptors", "[handoff]") {
    auto const text = [](std::size_t count) {
        std::string frame = "fds " + std::to_string(count) + " 0";
        for (std::size_t i = 0; i < count; ++i)
            frame += "\nn";
        return frame;
    };
    CHECK(decode_reply(text(max_frame_fds)));
    CHECK_FALSE(decode_reply(text(max_frame_fds + 1)));
}

TEST_CASE("a frame of the largest size with 253 descriptors arrives, close-on-exec and in order",
          "[handoff]") {
    auto const [ours, theirs] = seqpacket_pair();
    std::vector<UniqueFd> sent;
    for (std::size_t i = 0; i < max_frame_fds; ++i)
        sent.push_back(some_fd());
    std::string const text(max_frame_size, 'x');
    REQUIRE(send_frame(ours, text, refs(sent)));
    auto const frame = receive_frame(theirs, max_frame_fds);
    REQUIRE(frame);
    CHECK(frame->text == text);
    REQUIRE(frame->fds.size() == max_frame_fds);
    for (std::size_t i = 0; i < max_frame_fds; ++i) {
        REQUIRE(identity(frame->fds[i]) == identity(sent[i]));
        REQUIRE(is_close_on_exec(frame->fds[i]));
    }
}

TEST_CASE("more descriptors than asked for are closed, all of them", "[handoff]") {
    auto const max_fds = GENERATE(as<std::size_t>{}, 0, 1, 2);
    auto const [ours, theirs] = seqpacket_pair();
    std::vector<UniqueFd> sent;
    for (std::size_t i = 0; i <= max_fds; ++i)
        sent.push_back(some_fd());
    REQUIRE(send_frame(ours, "fds", refs(sent)));
    auto const before = open_descriptors();
    auto const frame = receive_frame(theirs, max_fds);
    REQUIRE_FALSE(frame);
    CHECK(frame.error().code == E2BIG);
    CHECK(open_descriptors() == before);
}

TEST_CASE("a frame that is too long is an error, is consumed, and its descriptors are closed", "[handoff]") {
    auto const [ours, theirs] = seqpacket_pair();
    std::string const text(max_frame_size + 1, 'x');
    auto const fd = some_fd();
    iovec part{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    auto* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    *reinterpret_cast<int*>(CMSG_DATA(rights)) = fd.raw();
    REQUIRE(::sendmsg(ours.raw(), &message, 0) == static_cast<ssize_t>(text.size()));
    REQUIRE(send_frame(ours, "next"));
    auto const before = open_descriptors();
    auto const frame = receive_frame(theirs, 1);
    REQUIRE_FALSE(frame);
    CHECK(frame.error().code == EMSGSIZE);
    CHECK(open_descriptors() == before);
    CHECK(receive_frame(theirs, 1).value().text == "next");
}

TEST_CASE("sending and receiving never wait, not even on a socket that blocks", "[handoff]") {
    auto const [ours, theirs] = seqpacket_pair();
    CHECK(receive_frame(ours, 0).error().code == EAGAIN);
    std::string const text(max_frame_size, 'x');
    Outcome sent;
    unsigned count = 0;
    while ((sent = send_frame(ours, text)))
        REQUIRE(++count < 1000);
    CHECK(sent.error().code == EAGAIN);
    CHECK(count > 0);
}

TEST_CASE("a peer that is gone is an error to the sender and an empty frame to the receiver", "[handoff]") {
    auto [ours, theirs] = seqpacket_pair();
    theirs.reset();
    CHECK(send_frame(ours, "get").error().code == EPIPE);
    CHECK(receive_frame(ours, 0).value().text.empty());
}
