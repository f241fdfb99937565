// SPDX-License-Identifier: Apache-2.0
#include "store/protocol.h"

#include <algorithm>

#include <signal.h>

namespace holdfast {

namespace {

constexpr int most_errno = 4095; // MAX_ERRNO of the kernel
constexpr std::int64_t most_usec = 1'000'000LL * 60 * 60 * 24 * 365;
constexpr pid_t most_pid = 1 << 22;

ParsedRequest refused(std::string_view problem) {
    return {{}, problem};
}

/// Takes the first line off `text`.
std::string_view take_line(std::string_view& text) {
    auto const at = text.find('\n');
    auto const line = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return line;
}

/// The names of Put and Drop, all checked.
ParsedRequest parse_names(StoreVerb verb, std::string_view names, std::size_t descriptors) {
    StoreRequest request{verb, names, 0, 0};
    for (Lines lines{names}; auto const name = lines.next();) {
        if (!is_held_name(*name))
            return refused("a name is 1 to 120 printable ASCII characters without /");
        if (++request.count > most_descriptors_per_message)
            return refused("more than 253 names");
    }
    if (request.count == 0)
        return refused("no name");
    if (verb == StoreVerb::Put && request.count != descriptors)
        return refused("not as many descriptors as names");
    return {request, {}};
}

ParsedRequest parse_signal_request(std::string_view body) {
    auto line = take_line(body);
    auto const number = parse_number(take_word(line), SIGRTMAX);
    if (!number || *number == 0 || !is_held_name(line) || !body.empty())
        return refused("a signal is one line: NUMBER NAME");
    return {{StoreVerb::Signal, line, 1, *number}, {}};
}

ParsedRequest parse_alive(std::string_view body) {
    auto const usec = parse_number(take_line(body), most_usec);
    if (!usec || *usec == 0 || !body.empty())
        return refused("alive has one number of microseconds");
    return {{StoreVerb::Alive, {}, 0, 0, *usec}, {}};
}

ParsedRequest parse_unstarted(std::string_view body) {
    auto const number = parse_number(take_line(body), most_errno);
    if (!number || !body.empty())
        return refused("unstarted has one number");
    return {{StoreVerb::Unstarted, {}, 0, *number}, {}};
}

template <class Parse>
bool all_lines_are(std::string_view body, std::size_t& count, Parse parse) {
    for (Lines lines{body}; auto const line = lines.next(); ++count)
        if (!parse(*line))
            return false;
    return count > 0;
}

/// The line with an optional word after the verb: "refused REASON".
std::optional<KeeperNotice> parse_verb_line(std::string_view line, std::string_view body) {
    if (auto const verb = from_name<KeeperVerb>(line); verb && *verb != KeeperVerb::Refused)
        return KeeperNotice{*verb, body};
    if (take_word(line) == to_name(KeeperVerb::Refused) && body.empty())
        return KeeperNotice{KeeperVerb::Refused, line};
    return std::nullopt;
}

} // namespace

bool is_held_name(std::string_view name) {
    return !name.empty() && name.size() <= longest_name &&
           std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c < 0x7f && c != '/'; });
}

ParsedRequest parse_request(std::string_view text, std::size_t descriptors) {
    if (text.size() > most_message_bytes)
        return refused("the message is too long");
    auto body = text;
    auto const verb = from_name<StoreVerb>(take_line(body));
    if (!verb)
        return refused("no such verb");
    if (*verb != StoreVerb::Put && descriptors != (*verb == StoreVerb::State ? 1 : 0))
        return refused(*verb == StoreVerb::State ? "state comes with one descriptor"
                                                 : "descriptors where none belong");
    switch (*verb) {
    case StoreVerb::Put:
    case StoreVerb::Drop:
        return parse_names(*verb, body, descriptors);
    case StoreVerb::Signal:
        return parse_signal_request(body);
    case StoreVerb::Alive:
        return parse_alive(body);
    case StoreVerb::Unstarted:
        return parse_unstarted(body);
    case StoreVerb::State:
    case StoreVerb::Dump:
    case StoreVerb::Ready:
    case StoreVerb::Stopping:
    case StoreVerb::Upgrade:
        break;
    }
    if (!body.empty())
        return refused("lines where none belong");
    return {{*verb, {}, 0, 0}, {}};
}

ParsedNotice parse_notice(std::string_view text, std::size_t descriptors) {
    if (text.size() > most_message_bytes)
        return {{}, "the message is too long"};
    auto body = text;
    auto const line = take_line(body);
    auto const notice = parse_verb_line(line, body);
    if (!notice)
        return {{}, "no such verb"};
    std::size_t lines = 0;
    std::size_t expected = 0;
    bool is_good = true;
    switch (notice->verb) {
    case KeeperVerb::Start:
        is_good = parse_start(notice->body).has_value();
        break;
    case KeeperVerb::Held:
        is_good = all_lines_are(notice->body, lines, parse_held_line);
        expected = lines;
        break;
    case KeeperVerb::Exits:
        is_good = all_lines_are(notice->body, lines, parse_exit_line);
        break;
    case KeeperVerb::State:
        expected = 1;
        is_good = notice->body.empty();
        break;
    case KeeperVerb::End:
    case KeeperVerb::UpgradeOk:
        is_good = notice->body.empty();
        break;
    case KeeperVerb::Refused:
        break;
    }
    if (!is_good)
        return {{}, "a line is malformed"};
    if (expected != descriptors)
        return {{}, "not as many descriptors as lines"};
    return {*notice, {}};
}

std::optional<HeldLine> parse_held_line(std::string_view line) {
    auto const signals = parse_number(take_word(line), std::numeric_limits<unsigned>::max());
    auto const last = parse_number(take_word(line), SIGRTMAX);
    if (!signals || !last || !is_held_name(line))
        return std::nullopt;
    return HeldLine{*signals, *last, line};
}

std::optional<ChildExit> parse_exit_line(std::string_view line) {
    auto const pid = parse_number(take_word(line), most_pid);
    auto const code = parse_number(take_word(line), 255);
    auto const status = parse_number(take_word(line), 255);
    if (!pid || *pid == 0 || !code || !status || !line.empty())
        return std::nullopt;
    return ChildExit{*pid, *code, *status};
}

std::optional<StartFields> parse_start(std::string_view body) {
    StartFields fields;
    for (Lines lines{body}; auto const line = lines.next();) {
        auto reader = FieldReader::of_line(*line);
        if (!reader)
            return std::nullopt;
        visit_start_fields(fields, *reader);
        if (!reader->is_good)
            return std::nullopt;
    }
    return fields;
}

} // namespace holdfast
