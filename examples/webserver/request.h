// SPDX-License-Identifier: Apache-2.0
// Just enough of HTTP/1.1 (RFC 9112) for an example: the head of one request, read from a buffer that may
// hold less or more than one. Knows no socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace webserver {

struct Request {
    std::string_view method;
    std::string_view path;       ///< without the query
    std::string_view query;      ///< behind the '?', or empty
    bool keep_alive = true;      ///< what the client wants; HTTP/1.0 clients must ask for it
    std::uint64_t body_size = 0; ///< bytes that follow the head, to be skipped
    std::size_t head_size = 0;   ///< bytes of the buffer that the head takes
};

enum class Parse { Complete, NeedMore, Malformed };

/// A head longer than this is refused.
inline constexpr std::size_t longest_head = 16384;

/// Reads the head at the start of `buffer`. The views in `request` point into `buffer`.
[[nodiscard]] Parse parse_request(std::string_view buffer, Request& request);

/// The number after `name=` in a query; 0 if there is none. Capped at `limit`.
[[nodiscard]] std::uint64_t number_in_query(std::string_view query, std::string_view name,
                                            std::uint64_t limit);

} // namespace webserver
