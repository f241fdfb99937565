// SPDX-License-Identifier: Apache-2.0
#include "request.h"

#include <algorithm>
#include <charconv>

#include <strings.h>

namespace webserver {

namespace {

bool same_text(std::string_view a, std::string_view b) {
    return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

/// Takes the text up to `separator` off the front of `rest`.
std::string_view take(std::string_view& rest, std::string_view separator) {
    auto const end = rest.find(separator);
    auto const part = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + separator.size());
    return part;
}

bool read_number(std::string_view text, std::uint64_t& number) {
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc{} && end == text.data() + text.size();
}

bool read_header(std::string_view line, Request& request) {
    auto rest = line;
    auto const name = take(rest, ":");
    if (name.empty() || name.size() == line.size())
        return false;
    auto const value = trimmed(rest);
    if (same_text(name, "connection"))
        request.keep_alive =
            !same_text(value, "close") && (request.keep_alive || same_text(value, "keep-alive"));
    else if (same_text(name, "content-length"))
        return read_number(value, request.body_size);
    // We skip bodies and so need their length in advance.
    return !same_text(name, "transfer-encoding");
}

} // namespace

Parse parse_request(std::string_view buffer, Request& request) {
    auto const end = buffer.substr(0, longest_head).find("\r\n\r\n");
    if (end == std::string_view::npos)
        return buffer.size() < longest_head ? Parse::NeedMore : Parse::Malformed;
    request = Request{};
    request.head_size = end + 4;
    auto rest = buffer.substr(0, end);
    auto line = take(rest, "\r\n");
    request.method = take(line, " ");
    auto target = take(line, " ");
    if (request.method.empty() || target.empty() || !line.starts_with("HTTP/1."))
        return Parse::Malformed;
    request.keep_alive = line != "HTTP/1.0";
    request.path = take(target, "?");
    request.query = target;
    while (!rest.empty())
        if (!read_header(take(rest, "\r\n"), request))
            return Parse::Malformed;
    return Parse::Complete;
}

std::uint64_t number_in_query(std::string_view query, std::string_view name, std::uint64_t limit) {
    while (!query.empty()) {
        auto value = take(query, "&");
        std::uint64_t number = 0;
        if (take(value, "=") == name && read_number(value, number))
            return std::min(number, limit);
    }
    return 0;
}

} // namespace webserver
