// SPDX-License-Identifier: Apache-2.0
// Reads one HTTP/1.1 response after the other from whatever pieces arrive. Knows no socket.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::load {

class ResponseReader {
public:
    enum class State { NeedMore, Complete, Malformed };

    /// Takes the next bytes. After Complete or Malformed call reset() before the next response.
    State feed(std::string_view bytes);
    /// The connection has ended: is what we have a whole response?
    [[nodiscard]] State at_end() const;
    /// Keeps the body (up to `longest_kept_body` bytes) for body().
    void keep_body(bool keep) { keep_body_ = keep; }
    void reset();

    [[nodiscard]] bool has_begun() const { return begun_; }
    [[nodiscard]] int status() const { return status_; }
    /// May the connection carry another request?
    [[nodiscard]] bool keep_alive() const { return keep_alive_ && framing_ != Framing::UntilEnd; }
    [[nodiscard]] std::string const& body() const { return body_; }

    static constexpr std::size_t longest_head = 65536;
    static constexpr std::size_t longest_kept_body = 1024;

private:
    enum class Framing { Length, Chunked, UntilEnd };
    enum class Part { Head, Body, ChunkSize, ChunkEnd, Trailer, Done, Bad };

    bool read_head(std::string_view head);
    bool read_header(std::string_view line);
    void take_body(std::string_view& bytes);
    bool take_line(std::string_view& bytes);
    void on_line();
    void begin_body();

    Part part_ = Part::Head;
    Framing framing_ = Framing::UntilEnd;
    bool begun_ = false;
    bool keep_alive_ = true;
    bool keep_body_ = false;
    int status_ = 0;
    std::uint64_t left_ = 0; ///< bytes of the body or chunk still to come
    std::string head_;       ///< the head, or the line of the chunked framing, as far as it has come
    std::string body_;
};

} // namespace holdfast::load
