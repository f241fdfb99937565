// SPDX-License-Identifier: Apache-2.0
// The messages of the Varlink protocol (https://varlink.org/Method-Call): JSON text to a call, and a reply to
// text. Pure. Total: any bytes are either a call or an error that says what is wrong with them.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace holdfast {

struct ControlCall {
    std::string method; ///< with its interface: "io.holdfast.Manager.Restart"
    nlohmann::json parameters = nlohmann::json::object();
    bool more = false;
    bool oneway = false;
    bool upgrade = false;
};

/// One message without its NUL. Errors: no JSON, invalid UTF-8, a number no double holds, nesting beyond
/// control_nesting_limit, no object, a member of the wrong type. Unknown members are passed over, as Varlink
/// wants.
[[nodiscard]] Result<ControlCall> parse_call(std::string_view text);

/// With its NUL. Bytes that are no UTF-8 (a worker's STATUS may hold any) become U+FFFD.
[[nodiscard]] std::string encode_call(ControlCall const& call);
[[nodiscard]] std::string encode_reply(nlohmann::json const& parameters, bool continues);
/// `error` with its interface.
[[nodiscard]] std::string encode_error(std::string_view error, nlohmann::json const& parameters);

/// One reply, as the client reads it.
struct ControlAnswer {
    std::string error; ///< empty: done. Of our own interface without its prefix: "NoSuchUnit"
    nlohmann::json parameters = nlohmann::json::object();
    bool continues = false;
};
[[nodiscard]] Result<ControlAnswer> parse_reply(std::string_view text);

/// JSON text without exceptions: as above, for any value.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text);
/// `text` cut to control_echo_limit at a character's border.
[[nodiscard]] std::string cut_for_echo(std::string_view text);

} // namespace holdfast
