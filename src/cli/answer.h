// SPDX-License-Identifier: Apache-2.0
// Reading a daemon's answer. The daemon may be older or newer than the command: a member that is missing or
// of another type reads as "nothing", never as an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace holdfast::cli {

[[nodiscard]] inline std::string text_of(nlohmann::json const& object, char const* name) {
    auto const found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

[[nodiscard]] inline std::optional<std::int64_t> number_of(nlohmann::json const& object, char const* name) {
    auto const found = object.find(name);
    return found != object.end() && found->is_number_integer() ? std::optional{found->get<std::int64_t>()}
                                                               : std::nullopt;
}

/// The number as text; empty when there is none.
[[nodiscard]] inline std::string digits_of(nlohmann::json const& object, char const* name) {
    auto const number = number_of(object, name);
    return number ? std::to_string(*number) : std::string{};
}

[[nodiscard]] inline std::optional<bool> flag_of(nlohmann::json const& object, char const* name) {
    auto const found = object.find(name);
    return found != object.end() && found->is_boolean() ? std::optional{found->get<bool>()} : std::nullopt;
}

/// An array of objects; anything else reads as an empty one.
[[nodiscard]] inline nlohmann::json const& list_of(nlohmann::json const& object, char const* name) {
    static nlohmann::json const nothing = nlohmann::json::array();
    auto const found = object.find(name);
    return found != object.end() && found->is_array() ? *found : nothing;
}

[[nodiscard]] inline nlohmann::json const& object_of(nlohmann::json const& object, char const* name) {
    static nlohmann::json const nothing = nlohmann::json::object();
    auto const found = object.find(name);
    return found != object.end() && found->is_object() ? *found : nothing;
}

} // namespace holdfast::cli
