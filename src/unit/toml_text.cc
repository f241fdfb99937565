// SPDX-License-Identifier: Apache-2.0
// toml++ is compiled into this one file and nowhere else: the distributions' shared library holds only the
// parser that throws, and would keep the shared C++ runtime loaded for itself.
#include "unit/toml_text.h"

#include "base/ensure.h"

#include <algorithm>

// With NDEBUG and clang its checks become promises to the compiler, which malformed text breaks; without
// NDEBUG they abort. With neither, malformed text is an error as it should be (toml++ 3.3.0).
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace holdfast {

namespace {

Place place_of(toml::source_region const& region, std::uint32_t file) {
    Place place{file, region.begin.line, region.begin.column, 1};
    if (region.end.line == region.begin.line && region.end.column > region.begin.column)
        place.length = region.end.column - region.begin.column;
    return place;
}

Node node_from(toml::node const& value, std::uint32_t file);

Node table_from(toml::table const& table, std::uint32_t file) {
    Node node;
    for (auto const& [key, value] : table)
        node.entries.push_back(
            Entry{std::string{key.str()}, place_of(key.source(), file), node_from(value, file)});
    std::sort(node.entries.begin(), node.entries.end(), [](Entry const& a, Entry const& b) {
        return std::pair{a.place.line, a.place.column} < std::pair{b.place.line, b.place.column};
    });
    return node;
}

// The depth of this recursion is limited by report_unreadable().
Node node_from(toml::node const& value, std::uint32_t file) {
    Node node;
    switch (value.type()) {
    case toml::node_type::table:
        node = table_from(*value.as_table(), file);
        break;
    case toml::node_type::array:
        node.kind = NodeKind::List;
        for (auto const& item : *value.as_array())
            node.items.push_back(node_from(item, file));
        break;
    case toml::node_type::string:
        node.kind = NodeKind::Text;
        node.text = value.as_string()->get();
        break;
    case toml::node_type::integer:
        node.kind = NodeKind::Integer;
        node.integer = value.as_integer()->get();
        break;
    case toml::node_type::floating_point:
        node.kind = NodeKind::Real;
        node.real = value.as_floating_point()->get();
        break;
    case toml::node_type::boolean:
        node.kind = NodeKind::Flag;
        node.flag = value.as_boolean()->get();
        break;
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
        node.kind = NodeKind::Date;
        break;
    case toml::node_type::none:
        ensure(false, "a TOML value has a type");
    }
    node.place = place_of(value.source(), file);
    return node;
}

// The library's sentence without its "Error while parsing …: ", and in other words where it puzzles people.
std::string message_of(toml::parse_error const& error, std::string_view there) {
    std::string_view text = error.description();
    if (text.find("unescaped control characters") != std::string_view::npos)
        return there.empty() ? "TOML: the string is not closed on its line"
                             : "TOML: a control character in a string; write it as \\u00XX";
    if (text.find("could not determine value type") != std::string_view::npos)
        return "TOML: this is no value; strings are written in quotes";
    if (text.substr(0, 5) == "Error" && text.find(": ") != std::string_view::npos)
        text.remove_prefix(text.find(": ") + 2);
    return "TOML: " + printable(text);
}

} // namespace

std::optional<Node> read_toml(std::string_view text, std::uint32_t file, Report& report) {
    if (report_unreadable(text, file, report))
        return std::nullopt;
    auto const parsed = toml::parse(text);
    if (parsed)
        return node_from(parsed.table(), file);
    auto const place = place_of(parsed.error().source(), file);
    report.error(place, message_of(parsed.error(), report.source_of(place)));
    return std::nullopt;
}

} // namespace holdfast
