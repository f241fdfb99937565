// SPDX-License-Identifier: Apache-2.0
// The text of the frames; what moves them is in frames_io.cc.
#include "handoff/frames.h"

#include "base/text.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace holdfast {

namespace {

Error bad_frame(std::string what) {
    return plain_error(std::move(what));
}

/// "http", "web/http" or "web", as the scope and the place of the word allow; nothing if it is no such thing.
std::optional<WantedFd> parse_wanted(std::string_view word, RequestScope scope) {
    if (scope == RequestScope::OwnUnit) {
        if (!is_socket_name(word))
            return std::nullopt;
        return WantedFd{{}, std::string{word}};
    }
    auto const slash = word.find('/');
    auto const unit = word.substr(0, slash);
    if (!is_unit_name(unit))
        return std::nullopt;
    if (slash == std::string_view::npos)
        return WantedFd{std::string{unit}, {}};
    auto const name = word.substr(slash + 1);
    if (!is_socket_name(name))
        return std::nullopt;
    return WantedFd{std::string{unit}, std::string{name}};
}

/// A name in an answer: what a question would call it, or what a worker has called what it stored (FDNAME of
/// sd_notify(3)).
bool is_answer_name(std::string_view name) {
    constexpr std::size_t longest = 255 + 1 + 255; // UNIT/NAME
    return !name.empty() && name.size() <= longest &&
           std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~' && c != ':'; });
}

std::optional<std::size_t> parse_count(std::string_view digits) {
    std::size_t value = 0;
    auto const [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (problem != std::errc{} || end != digits.data() + digits.size() || digits.size() > 9)
        return std::nullopt;
    return value;
}

std::string_view without_last_newline(std::string_view text) {
    if (!text.empty() && text.back() == '\n')
        text.remove_suffix(1);
    return text;
}

std::string printable(std::string_view text) {
    std::string line{text.substr(0, max_error_text)};
    for (auto& c : line)
        if (static_cast<unsigned char>(c) < ' ' || c == 0x7f)
            c = ' ';
    return line;
}

} // namespace

std::string to_string(WantedFd const& wanted) {
    if (wanted.unit.empty())
        return wanted.name;
    return wanted.name.empty() ? wanted.unit : wanted.unit + '/' + wanted.name;
}

Result<GetRequest> decode_request(std::string_view text, RequestScope scope) {
    if (text.size() > max_frame_size)
        return bad_frame("the question is longer than " + std::to_string(max_frame_size) + " bytes");
    auto const words = split(without_last_newline(text), ' ');
    if (words.front() != "get")
        return bad_frame("a question begins with the word get");
    if (words.size() - 1 > max_request_names)
        return bad_frame("more than " + std::to_string(max_request_names) + " names in one question");
    GetRequest request;
    for (std::size_t i = 1; i < words.size(); ++i) {
        auto wanted = parse_wanted(words[i], scope);
        if (!wanted)
            return bad_frame("word " + std::to_string(i) + " after get is not a " +
                             (scope == RequestScope::OwnUnit ? "socket name" : "unit, nor UNIT/NAME"));
        request.wanted.push_back(std::move(*wanted));
    }
    if (scope == RequestScope::AnyUnit && request.wanted.empty())
        return bad_frame("name the unit: get UNIT, or get UNIT/NAME");
    return request;
}

std::string encode_request(GetRequest const& request) {
    std::string text = "get";
    for (auto const& wanted : request.wanted)
        text += ' ' + to_string(wanted);
    return text;
}

Result<Reply> decode_reply(std::string_view text) {
    if (text.size() > max_frame_size)
        return bad_frame("the answer is longer than " + std::to_string(max_frame_size) + " bytes");
    auto const lines = split(without_last_newline(text), '\n');
    auto const words = split(lines.front(), ' ');
    auto const kind = from_name<ReplyKind>(words.front());
    if (!kind)
        return bad_frame("an answer begins with fds, push or error");
    Reply reply{*kind, {}, 0, {}};
    if (*kind == ReplyKind::Error) {
        auto const prefix = to_name(ReplyKind::Error).size() + 1;
        reply.error = printable(text.size() > prefix ? without_last_newline(text).substr(prefix) : "");
        return reply;
    }
    auto const count = words.size() == 3 ? parse_count(words[1]) : std::nullopt;
    auto const remaining = words.size() == 3 ? parse_count(words[2]) : std::nullopt;
    if (!count || !remaining)
        return bad_frame("an answer has a count and a remainder");
    if (*count > max_frame_fds || *count != lines.size() - 1)
        return bad_frame("an answer has as many names as its count says, and at most " +
                         std::to_string(max_frame_fds));
    for (std::size_t i = 1; i < lines.size(); ++i) {
        if (!is_answer_name(lines[i]))
            return bad_frame("line " + std::to_string(i) + " of an answer is not a name");
        reply.names.emplace_back(lines[i]);
    }
    reply.remaining = *remaining;
    return reply;
}

std::string encode_reply(Reply const& reply) {
    std::string text{to_name(reply.kind)};
    if (reply.kind == ReplyKind::Error)
        return text + ' ' + printable(reply.error);
    text += ' ' + std::to_string(reply.names.size()) + ' ' + std::to_string(reply.remaining);
    for (auto const& name : reply.names)
        text += '\n' + name;
    return text;
}

} // namespace holdfast
