// SPDX-License-Identifier: Apache-2.0
#include "cli/reference/reference.h"

#include <nlohmann/json.hpp>

namespace holdfast::cli {

namespace {

using json = nlohmann::ordered_json;
using Kind = Accepts::Kind;

json to_schema(AcceptsAny const& any);

json words_of(std::vector<std::string_view> const& words) {
    json list = json::array();
    for (auto const word : words)
        list.push_back(word);
    return list;
}

json number(char const* type, Accepts const& accepts) {
    json schema{{"type", type}};
    if (accepts.least)
        schema[accepts.least_is_too_small ? "exclusiveMinimum" : "minimum"] = *accepts.least;
    if (accepts.most)
        schema["maximum"] = *accepts.most;
    return schema;
}

json list(Accepts const& accepts) {
    json schema{{"type", "array"}};
    if (accepts.first.empty()) {
        schema["items"] = to_schema(accepts.items);
    } else {
        schema["items"] = json::array({to_schema(accepts.first)});
        schema["additionalItems"] = to_schema(accepts.items);
    }
    if (accepts.least)
        schema["minItems"] = *accepts.least;
    if (accepts.most)
        schema["maxItems"] = *accepts.most;
    if (accepts.is_without_repetition)
        schema["uniqueItems"] = true;
    return schema;
}

json table(Accepts const& accepts) {
    json schema{{"type", "object"}};
    if (accepts.words.empty()) {
        schema["propertyNames"] = {{"pattern", accepts.pattern}};
        schema["additionalProperties"] = to_schema(accepts.items);
        return schema;
    }
    for (auto const word : accepts.words)
        schema["properties"][std::string{word}] = to_schema(accepts.items);
    schema["additionalProperties"] = false;
    return schema;
}

json to_schema(Accepts const& accepts) {
    switch (accepts.kind) {
    case Kind::Text:
        return accepts.words.empty() ? json{{"type", "string"}, {"pattern", accepts.pattern}}
                                     : json{{"type", "string"}, {"enum", words_of(accepts.words)}};
    case Kind::Whole:
        return number("integer", accepts);
    case Kind::Number:
        return number("number", accepts);
    case Kind::Flag:
        return {{"type", "boolean"}};
    case Kind::List:
        return list(accepts);
    case Kind::Table:
        return table(accepts);
    }
    return {};
}

json to_schema(AcceptsAny const& any) {
    if (any.size() == 1)
        return to_schema(any.front());
    json alternatives = json::array();
    for (auto const& one : any)
        alternatives.push_back(to_schema(one));
    return {{"anyOf", std::move(alternatives)}};
}

bool is_text(Setting const& row, AcceptsAny const& any) {
    for (auto const& one : any)
        for (auto const word : one.words)
            if (one.kind == Kind::Text && word == row.fallback)
                return true;
    bool const is_octal = row.fallback.find_first_not_of("01234567") == std::string_view::npos;
    return row.kind.starts_with("duration") || (row.kind == "octal text" && is_octal);
}

/// The default as a value, where it is one and not a description.
json default_of(Setting const& row, AcceptsAny const& any) {
    if (is_text(row, any))
        return row.kind.starts_with("duration") && !parse_duration(row.fallback) ? json{}
                                                                                 : json(row.fallback);
    auto value = json::parse(row.fallback, nullptr, /*allow_exceptions=*/false);
    return value.is_discarded() ? json{} : value;
}

json key_of(Setting const& row) {
    // `not` everything: an editor underlines it, and shows why, where it stands for a misspelt key else.
    if (!row.is_supported())
        return {{"description", "Not supported yet: " + std::string{row.doc}}, {"not", json::object()}};
    auto const any = row.accepts();
    auto schema = to_schema(any);
    auto value = default_of(row, any);
    schema["description"] =
        std::string{row.doc} + (row.fallback == "required" ? "\n\nRequired."
                                : !value.is_null()         ? ""
                                                   : "\n\nDefault: " + std::string{row.fallback} + ".");
    if (!value.is_null())
        schema["default"] = std::move(value);
    return schema;
}

json section_of(Section section) {
    json schema{{"type", "object"}, {"additionalProperties", false}};
    bool is_supported = false;
    for (auto const& row : settings_of(section)) {
        schema["properties"][std::string{row.key}] = key_of(row);
        is_supported = is_supported || row.is_supported();
        if (row.fallback == "required")
            schema["required"].push_back(row.key);
    }
    if (!is_supported)
        schema["not"] = json::object();
    return schema;
}

} // namespace

std::string schema_of(SettingsFile file) {
    bool const is_unit = file == SettingsFile::Unit;
    json schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
                {"title", std::string{is_unit ? "holdfast.unit" : "holdfast.toml"} + " " HOLDFAST_VERSION},
                {"description",
                 is_unit
                     ? "A unit of holdfast: sockets, and the service that uses them. See holdfast.unit(5)."
                     : "The settings of holdfastd itself. See holdfast.toml(5)."},
                {"type", "object"},
                {"additionalProperties", false}};
    if (is_unit)
        schema["required"] = {"service"};
    for (auto const& [section, name] : enum_table(Section{})) {
        if (section == Section::SocketOption || file_of(section) != file)
            continue; // the former stands below `option` of a socket, which is not supported yet
        auto one = section_of(section);
        schema["properties"][std::string{name}] =
            section == Section::Socket ? json{{"type", "array"}, {"items", std::move(one)}} : std::move(one);
    }
    return schema.dump(2) + "\n";
}

} // namespace holdfast::cli
