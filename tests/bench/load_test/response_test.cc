// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "load/response.h"
#include "load/tally.h"

using holdfast::load::parse_target;
using holdfast::load::ResponseReader;
using State = ResponseReader::State;

namespace {

/// Feeds `text` in pieces of `size` bytes and returns the last state.
State feed(ResponseReader& reader, std::string_view text, std::size_t size) {
    reader.reset();
    auto state = State::NeedMore;
    for (std::size_t at = 0; at < text.size(); at += size)
        state = reader.feed(text.substr(at, size));
    return state;
}

} // namespace

TEST_CASE("a response is read whatever pieces it comes in", "[bench]") {
    ResponseReader reader;
    reader.keep_body(true);
    for (std::size_t size = 1; size < 90; ++size) {
        REQUIRE(feed(reader, "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 5\r\n\r\nhello", size) ==
                State::Complete);
        REQUIRE(reader.status() == 200);
        REQUIRE(reader.keep_alive());
        REQUIRE(reader.body() == "hello");
        REQUIRE(
            feed(reader,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n, everyone\r\n"
                 "0\r\nTrailer: y\r\n\r\n",
                 size) == State::Complete);
        REQUIRE(reader.body() == "hello, everyone");
        REQUIRE(reader.keep_alive());
    }
}

TEST_CASE("a response is complete with its last byte and not before", "[bench]") {
    ResponseReader reader;
    for (std::string_view const text :
         {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"}) {
        for (std::size_t size = 1; size < text.size(); ++size) {
            reader.reset();
            REQUIRE_FALSE(reader.has_begun());
            REQUIRE(reader.feed(text.substr(0, size)) == State::NeedMore);
            REQUIRE(reader.at_end() == State::NeedMore);
            REQUIRE(reader.has_begun());
        }
    }
}

TEST_CASE("Connection: close and HTTP/1.0 end the connection", "[bench]") {
    ResponseReader reader;
    CHECK(feed(reader, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 999) ==
          State::Complete);
    CHECK_FALSE(reader.keep_alive());
    CHECK(feed(reader, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 999) == State::Complete);
    CHECK_FALSE(reader.keep_alive());
    CHECK(feed(reader, "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", 999) ==
          State::Complete);
    CHECK(reader.keep_alive());
    CHECK(feed(reader, "HTTP/1.1 204 No Content\r\n\r\n", 999) == State::Complete);
    CHECK(reader.keep_alive());
}

TEST_CASE("a response without a length ends with the connection", "[bench]") {
    ResponseReader reader;
    CHECK(feed(reader, "HTTP/1.1 200 OK\r\n\r\nsome", 7) == State::NeedMore);
    CHECK(reader.at_end() == State::Complete);
    CHECK_FALSE(reader.keep_alive());
}

TEST_CASE("an interim response is passed over", "[bench]") {
    ResponseReader reader;
    CHECK(feed(reader, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 3) ==
          State::Complete);
    CHECK(reader.status() == 503);
}

TEST_CASE("what is no response is malformed", "[bench]") {
    ResponseReader reader;
    for (std::string_view const text :
         {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"})
        CHECK(feed(reader, text, 999) == State::Malformed);
    CHECK(feed(reader, "HTTP/1.1 200 OK\r\n" + std::string(ResponseReader::longest_head, 'a'), 4096) ==
          State::Malformed);
}

TEST_CASE("bytes after the announced body forbid re-use", "[bench]") {
    ResponseReader reader;
    CHECK(feed(reader, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP", 999) == State::Complete);
    CHECK_FALSE(reader.keep_alive());
}

TEST_CASE("a target is a numeric address with a port, or a unix socket", "[bench]") {
    CHECK(parse_target("127.0.0.1:80")->is_loopback4());
    CHECK_FALSE(parse_target("10.0.0.1:80")->is_loopback4());
    CHECK(parse_target("[::1]:80")->address.ss_family == AF_INET6);
    CHECK(parse_target("unix:/run/x")->is_unix());
    CHECK(parse_target("unix:@x")->size == sizeof(sa_family_t) + 2);
    for (auto const* text : {"", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
                             "unix:", "127.0.0.1:80x", "[::1:80"})
        CHECK_FALSE(parse_target(text).has_value());
}
