// SPDX-License-Identifier: Apache-2.0
// The `limits` setting: names and values of setrlimit(2).
#include "unit/codecs.h"

#include <algorithm>
#include <charconv>

#include <sys/resource.h>

namespace holdfast {

namespace {

struct LimitRow {
    int resource;
    std::string_view name;
};

constexpr std::array limit_rows{
    LimitRow{RLIMIT_AS, "as"},
    LimitRow{RLIMIT_CORE, "core"},
    LimitRow{RLIMIT_CPU, "cpu"},
    LimitRow{RLIMIT_DATA, "data"},
    LimitRow{RLIMIT_FSIZE, "fsize"},
    LimitRow{RLIMIT_LOCKS, "locks"},
    LimitRow{RLIMIT_MEMLOCK, "memlock"},
    LimitRow{RLIMIT_MSGQUEUE, "msgqueue"},
    LimitRow{RLIMIT_NICE, "nice"},
    LimitRow{RLIMIT_NOFILE, "nofile"},
    LimitRow{RLIMIT_NPROC, "nproc"},
    LimitRow{RLIMIT_RSS, "rss"},
    LimitRow{RLIMIT_RTPRIO, "rtprio"},
    LimitRow{RLIMIT_RTTIME, "rttime"},
    LimitRow{RLIMIT_SIGPENDING, "sigpending"},
    LimitRow{RLIMIT_STACK, "stack"},
};

std::optional<int> resource_of(std::string_view name) {
    for (auto const& row : limit_rows)
        if (row.name == name)
            return row.resource;
    return std::nullopt;
}

// What somebody meant who wrote RLIMIT_NOFILE, LimitNOFILE or "nofiles".
std::string suggest_limit(std::string_view name) {
    std::string lower;
    for (char const c : name.substr(0, 64))
        lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    for (std::string_view const prefix : {"rlimit_", "limit_", "limit"})
        if (lower.substr(0, prefix.size()) == prefix) {
            lower.erase(0, prefix.size());
            break;
        }
    return did_you_mean(nearest(lower, limit_names()),
                        "names are those of setrlimit(2) in lower case, as in nofile");
}

std::optional<std::uint64_t> parse_limit(std::string_view text) {
    return text == "infinity" ? std::optional<std::uint64_t>{RLIM_INFINITY} : parse_size(text);
}

// "SOFT:HARD", or one value for both.
std::optional<std::pair<std::uint64_t, std::uint64_t>> parse_pair(std::string_view text) {
    auto const colon = text.find(':');
    auto const soft = parse_limit(text.substr(0, colon));
    auto const hard = colon == std::string_view::npos ? soft : parse_limit(text.substr(colon + 1));
    if (!soft || !hard)
        return std::nullopt;
    return std::pair{*soft, *hard};
}

void read_limit(Reader in, Node const& node, int resource, std::vector<LimitSpec>& into) {
    constexpr auto advice = "write a number, a size (\"64K\"), \"infinity\", or \"SOFT:HARD\"";
    LimitSpec limit{resource, 0, 0};
    if (node.is(NodeKind::Integer)) {
        if (node.integer < 0)
            return in.error(node, quoted(in.key) + " must not be negative",
                            "write \"infinity\" for no limit");
        limit.soft = limit.hard = static_cast<std::uint64_t>(node.integer);
    } else {
        if (!in.is_text(node, "a whole number or a string", advice))
            return;
        auto const pair = parse_pair(node.text);
        if (!pair)
            return in.error(node, quoted(node.text) + " is no limit", advice);
        if (pair->first > pair->second)
            return in.error(node, "the soft limit of " + quoted(in.key) + " is above the hard one",
                            "write \"SOFT:HARD\"");
        limit.soft = pair->first;
        limit.hard = pair->second;
    }
    into.push_back(limit);
}

std::string limit_text(std::uint64_t value) {
    return value == RLIM_INFINITY ? "infinity" : std::to_string(value);
}

} // namespace

Names limit_names() {
    Names names;
    for (auto const& row : limit_rows)
        names.push_back(row.name);
    return names;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t number = 0;
    auto const* const last = text.data() + text.size();
    auto const [end, problem] = std::from_chars(text.data(), last, number);
    if (text.empty() || problem != std::errc{})
        return std::nullopt;
    std::string_view const suffix{end, static_cast<std::size_t>(last - end)};
    if (suffix.empty())
        return number;
    auto const power = std::string_view{"KMGTPE"}.find(suffix.front());
    if (suffix.size() > 1 || power == std::string_view::npos)
        return std::nullopt;
    auto const shift = 10 * (power + 1);
    if (number > (UINT64_MAX >> shift))
        return std::nullopt;
    return number << shift;
}

void Limits::read(Reader in, Node const& node, std::vector<LimitSpec>& into) {
    into.clear();
    if (!node.is(NodeKind::Table))
        return in.wrong_kind(node, "a table", "write it as in { nofile = 65536 }");
    for (auto const& entry : node.entries) {
        if (auto const resource = resource_of(entry.key))
            read_limit(Reader{in.report, entry.key}, entry.value, *resource, into);
        else
            in.report.error(entry.place, quoted(entry.key) + " is no limit", suggest_limit(entry.key));
    }
}

std::string Limits::write(std::vector<LimitSpec> const& limits) {
    std::string text;
    for (auto const& limit : limits) {
        text += text.empty() ? " " : ", ";
        for (auto const& row : limit_rows)
            if (row.resource == limit.resource)
                text += row.name;
        text += " = \"" + limit_text(limit.soft);
        if (limit.hard != limit.soft)
            text += ":" + limit_text(limit.hard);
        text += "\"";
    }
    return "{" + text + (text.empty() ? "}" : " }");
}

} // namespace holdfast
