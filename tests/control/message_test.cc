// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "control/limits.h"
#include "control/message.h"

using namespace holdfast;
using nlohmann::json;

namespace {

std::string refusal(std::string_view text) {
    auto const call = parse_call(text);
    return call ? "accepted" : call.error().doing;
}

std::string nested(std::size_t depth) {
    // The object of `parameters` and the message itself are two of them.
    return R"({"method":"a.b","parameters":{"x":)" + std::string(depth - 2, '[') +
           std::string(depth - 2, ']') + "}}";
}

} // namespace

TEST_CASE("a call has a method, parameters and flags, and unknown members are passed over", "[control]") {
    auto const call = parse_call(
        R"({"method":"io.holdfast.Manager.Restart","parameters":{"unit":"web"},"more":true,"future":[1]})");
    REQUIRE(call);
    CHECK(call->method == "io.holdfast.Manager.Restart");
    CHECK(call->parameters == json{{"unit", "web"}});
    CHECK(call->more);
    CHECK_FALSE(call->oneway);
    CHECK_FALSE(call->upgrade);
}

TEST_CASE("parameters that are absent or null are an empty object", "[control]") {
    for (auto const* text : {R"({"method":"a.b"})", R"({"method":"a.b","parameters":null,"more":null})"}) {
        auto const call = parse_call(text);
        REQUIRE(call);
        CHECK(call->parameters == json::object());
        CHECK_FALSE(call->more);
    }
}

TEST_CASE("what is no call is refused with a reason", "[control]") {
    CHECK(refusal("") == "not valid JSON");
    CHECK(refusal("GET / HTTP/1.1\r\n\r\n") == "not valid JSON");
    CHECK(refusal(R"({"method":"a.b"} {})") == "not valid JSON");
    CHECK(refusal(R"({"method":"a.b")") == "not valid JSON");
    CHECK(refusal("[]") == "not a JSON object");
    CHECK(refusal("12") == "not a JSON object");
    CHECK(refusal("{}") == "`method` is missing or no string");
    CHECK(refusal(R"({"method":7})") == "`method` is missing or no string");
    CHECK(refusal(R"({"method":"a.b","parameters":[]})") == "`parameters` is not an object");
    CHECK(refusal(R"({"method":"a.b","more":1})") == "`more` is not true or false");
    CHECK(refusal(R"({"method":"a.b","oneway":"yes"})") == "`oneway` is not true or false");
}

TEST_CASE("text that is not UTF-8 is refused", "[control]") {
    CHECK(refusal("{\"method\":\"a.\xff\"}") == "not valid JSON");
    CHECK(refusal("{\"method\":\"a.\xc0\xaf\"}") == "not valid JSON");
    CHECK(refusal("{\"method\":\"\xed\xa0\x80\"}") == "not valid JSON");
    CHECK(refusal(R"({"method":"\ud800"})") == "not valid JSON");
}

TEST_CASE("a number that no double holds is refused, one that no integer holds is a number", "[control]") {
    CHECK(refusal(R"({"method":"a.b","parameters":{"n":1e999}})") == "not valid JSON");
    CHECK(refusal(R"({"method":"a.b","parameters":{"n":123456789012345678901234567890}})") == "accepted");
    CHECK(refusal(R"({"method":"a.b","parameters":{"n":)" + std::string(100000, '9') + "}}") ==
          "not valid JSON");
}

TEST_CASE("nesting up to the limit is accepted and one more is not", "[control]") {
    CHECK(refusal(nested(control_nesting_limit)) == "accepted");
    CHECK(refusal(nested(control_nesting_limit + 1)) == "more than 32 arrays and objects inside each other");
    CHECK(refusal(std::string(1 << 20, '[')) == "more than 32 arrays and objects inside each other");
}

TEST_CASE("brackets inside strings do not nest", "[control]") {
    CHECK(refusal(R"({"method":"a.b","parameters":{"x":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}})") ==
          "accepted");
}

TEST_CASE("a message ends with a NUL and holds none, whatever its strings hold", "[control]") {
    std::string const text = encode_reply({{"status", std::string{"a\0b\xff", 4}}}, false);
    REQUIRE(text.find('\0') == text.size() - 1);
    auto const answer = parse_reply(std::string_view{text}.substr(0, text.size() - 1));
    REQUIRE(answer);
    CHECK(answer->parameters["status"] == std::string{"a\0b", 3} + "\xef\xbf\xbd");
    CHECK_FALSE(answer->continues);
}

TEST_CASE("a call that was written is read back", "[control]") {
    ControlCall call;
    call.method = "io.holdfast.Manager.Events";
    call.parameters = {{"follow", true}, {"since", 17}};
    call.more = true;
    std::string const text = encode_call(call);
    auto const read = parse_call(std::string_view{text}.substr(0, text.size() - 1));
    REQUIRE(read);
    CHECK(read->method == call.method);
    CHECK(read->parameters == call.parameters);
    CHECK(read->more);
    CHECK_FALSE(read->oneway);
}

TEST_CASE("an error of our own interface loses its prefix, another keeps it", "[control]") {
    auto const name = [](std::string const& error) {
        std::string text = encode_error(error, nullptr);
        text.pop_back();
        auto const answer = parse_reply(text);
        REQUIRE(answer);
        return answer->error;
    };
    CHECK(name("io.holdfast.Manager.NoSuchUnit") == "NoSuchUnit");
    CHECK(name("org.varlink.service.MethodNotFound") == "org.varlink.service.MethodNotFound");
}

TEST_CASE("what is given back of a client's words is short and cut between characters", "[control]") {
    CHECK(cut_for_echo("Restart") == "Restart");
    std::string const snowmen = [] {
        std::string text{"x"};
        for (int i = 0; i < 1000; ++i)
            text += "☃";
        return text;
    }();
    std::string const cut = cut_for_echo(snowmen);
    CHECK(cut.size() <= control_echo_limit + 3);
    CHECK(json::accept(json(cut).dump(-1, ' ', false, json::error_handler_t::ignore)));
    CHECK(cut == json::parse(json(cut).dump()).get<std::string>()); // dump() throws on half a character
}
