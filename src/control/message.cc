// SPDX-License-Identifier: Apache-2.0
#include "control/message.h"

#include "base/utf8.h"
#include "control/limits.h"
#include "control/methods.h"

namespace holdfast {

using nlohmann::json;

namespace {

// Before the parser, so that a hostile text is refused without a value being built for it. Right for valid
// JSON; of invalid JSON the parser is the judge.
std::size_t deepest_nesting(std::string_view text) {
    std::size_t depth = 0;
    std::size_t deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char const c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return deepest;
}

std::string text_of(json const& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string encode(json const& message) {
    std::string text = text_of(message);
    text.push_back('\0');
    return text;
}

Outcome read_flag(json const& message, char const* name, bool& flag) {
    auto const found = message.find(name);
    if (found == message.end() || found->is_null())
        return {};
    if (!found->is_boolean())
        return plain_error(std::string{"`"} + name + "` is not true or false");
    flag = found->get<bool>();
    return {};
}

Outcome read_parameters(json& message, json& parameters) {
    auto const found = message.find("parameters");
    if (found == message.end() || found->is_null())
        return {};
    if (!found->is_object())
        return plain_error("`parameters` is not an object");
    parameters = std::move(*found);
    return {};
}

} // namespace

Result<json> parse_json(std::string_view text) {
    if (deepest_nesting(text) > control_nesting_limit)
        return plain_error("more than " + std::to_string(control_nesting_limit) +
                           " arrays and objects inside each other");
    json message = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (message.is_discarded())
        return plain_error("not valid JSON");
    return message;
}

Result<ControlCall> parse_call(std::string_view text) {
    auto message = parse_json(text);
    if (!message)
        return std::move(message).error();
    if (!message->is_object())
        return plain_error("not a JSON object");
    ControlCall call;
    auto const method = message->find("method");
    if (method == message->end() || !method->is_string())
        return plain_error("`method` is missing or no string");
    call.method = method->get<std::string>();
    if (auto read = read_parameters(*message, call.parameters); !read)
        return std::move(read).error();
    for (auto const& [name, flag] : {std::pair<char const*, bool*>{"more", &call.more},
                                     {"oneway", &call.oneway},
                                     {"upgrade", &call.upgrade}})
        if (auto read = read_flag(*message, name, *flag); !read)
            return std::move(read).error();
    return call;
}

std::string encode_call(ControlCall const& call) {
    json message{{"method", call.method}, {"parameters", call.parameters}};
    for (auto const& [name, flag] :
         {std::pair{"more", call.more}, {"oneway", call.oneway}, {"upgrade", call.upgrade}})
        if (flag)
            message[name] = true;
    return encode(message);
}

std::string encode_reply(json const& parameters, bool continues) {
    // Written around the parameters: to put them into another value is to copy all units of a list.
    std::string text = continues ? R"({"continues":true,"parameters":)" : R"({"parameters":)";
    text += parameters.is_null() ? "{}" : text_of(parameters);
    text += '}';
    text.push_back('\0');
    return text;
}

std::string encode_error(std::string_view error, json const& parameters) {
    return encode({{"error", error}, {"parameters", parameters.is_null() ? json::object() : parameters}});
}

Result<ControlAnswer> parse_reply(std::string_view text) {
    // No nesting limit: the daemon is trusted with our memory, its own limits keep its replies flat.
    json message = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (message.is_discarded() || !message.is_object())
        return plain_error("the daemon's reply is not a JSON object");
    ControlAnswer answer;
    if (auto read = read_parameters(message, answer.parameters); !read)
        return std::move(read).error();
    if (auto read = read_flag(message, "continues", answer.continues); !read)
        return std::move(read).error();
    if (auto const error = message.find("error"); error != message.end() && error->is_string()) {
        answer.error = error->get<std::string>();
        std::string const prefix = std::string{control_interface} + ".";
        if (answer.error.starts_with(prefix))
            answer.error.erase(0, prefix.size());
    }
    return answer;
}

std::string cut_for_echo(std::string_view text) {
    if (text.size() <= control_echo_limit)
        return std::string{text};
    std::size_t end = control_echo_limit;
    while (end > 0 && continues_character(text[end]))
        --end;
    return std::string{text.substr(0, end)} + "…";
}

} // namespace holdfast
