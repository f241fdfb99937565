// SPDX-License-Identifier: Apache-2.0
// Any bytes are a call or an error with a sentence; a call reads back from how it is written, and what is
// written never holds a NUL before its end. The same bytes as a reply harm nobody.
#include "control/limits.h"
#include "control/message.h"
#include "fuzz.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const text{reinterpret_cast<char const*>(data), size};
    auto const call = parse_call(text);
    if (call) {
        std::string const written = encode_call(*call);
        must(written.find('\0') == written.size() - 1, "one NUL, at the end");
        auto const again = parse_call(std::string_view{written}.substr(0, written.size() - 1));
        must(again.has_value(), "a call reads back");
        must(again->method == call->method && again->parameters == call->parameters, "as it was");
        must(again->more == call->more && again->oneway == call->oneway, "with its flags");
    } else {
        must(!call.error().doing.empty(), "an error is a sentence");
    }
    auto const reply = parse_reply(text);
    must(reply.has_value() || !reply.error().doing.empty(), "an error is a sentence");
    std::string const echo = cut_for_echo(text);
    must(echo.size() <= control_echo_limit + 3, "an echo is short");
    std::string const refusal = encode_error("io.holdfast.Manager.BadMessage", {{"reason", echo}});
    must(refusal.find('\0') == refusal.size() - 1, "one NUL, at the end");
    return 0;
}
