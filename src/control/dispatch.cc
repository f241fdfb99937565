// SPDX-License-Identifier: Apache-2.0
#include "control/dispatch.h"

#include "control/message.h"
#include "control/methods.h"
#include "control/server.h"

#include <limits>
#include <utility>

#include <unistd.h>

namespace holdfast {

using nlohmann::json;

namespace {

std::string service_error(char const* name) {
    return std::string{varlink_service} + "." + name;
}

bool has_type(json const& value, ParameterType type) {
    switch (type) {
    case ParameterType::Text:
        return value.is_string();
    case ParameterType::Flag:
        return value.is_boolean();
    case ParameterType::Number:
        return value.is_number_integer() &&
               (!value.is_number_unsigned() ||
                value.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()});
    }
    return false;
}

/// The first parameter that is missing, of the wrong type, or unknown to the method; empty when all are fine.
std::string first_bad_parameter(json const& parameters, std::span<ControlParameter const> known) {
    for (auto const& parameter : known) {
        auto const given = parameters.find(parameter.name);
        bool const is_given = given != parameters.end() && !given->is_null();
        if (is_given ? !has_type(*given, parameter.type) : parameter.required)
            return std::string{parameter.name};
    }
    for (auto const& [name, value] : parameters.items()) {
        bool is_known = false;
        for (auto const& parameter : known)
            is_known = is_known || parameter.name == name;
        if (!is_known)
            return cut_for_echo(name);
    }
    return {};
}

void answer_service(ControlReply reply, std::string_view method, json const& parameters) {
    if (method == "GetInfo")
        return reply.done({{"vendor", "holdfast"},
                           {"product", "holdfastd"},
                           {"version", HOLDFAST_VERSION},
                           {"url", ""},
                           {"interfaces", {varlink_service, control_interface}}});
    if (method != "GetInterfaceDescription")
        return reply.fail(service_error("MethodNotFound"), {{"method", cut_for_echo(method)}});
    constexpr ControlParameter wanted[] = {{"interface", ParameterType::Text, true}};
    if (auto const bad = first_bad_parameter(parameters, wanted); !bad.empty())
        return reply.fail(service_error("InvalidParameter"), {{"parameter", bad}});
    auto const interface = parameters.find("interface")->get<std::string>();
    std::string_view const text = interface_text(interface);
    if (text.empty())
        return reply.fail(service_error("InterfaceNotFound"), {{"interface", cut_for_echo(interface)}});
    reply.done({{"description", text}});
}

} // namespace

void refuse_message(std::shared_ptr<ControlConnection> const& from, std::string_view reason) {
    from->finish_and_close(
        encode_error(std::string{control_interface} + ".BadMessage", json{{"reason", reason}}));
}

void dispatch_message(std::shared_ptr<ControlConnection> const& from, std::string_view text,
                      std::optional<gid_t> control_group,
                      std::function<void(ControlRequest)> const& handler) {
    auto parsed = parse_call(text);
    if (!parsed)
        return refuse_message(from, parsed.error().doing);
    ControlCall& call = *parsed;
    ControlReply reply{from, call.more, call.oneway};
    if (call.upgrade)
        return reply.fail(service_error("InvalidParameter"), {{"parameter", "upgrade"}});

    std::size_t const dot = call.method.rfind('.');
    std::string const interface = call.method.substr(0, dot == std::string::npos ? 0 : dot);
    std::string const name = dot == std::string::npos ? call.method : call.method.substr(dot + 1);
    if (interface == varlink_service)
        return answer_service(std::move(reply), name, call.parameters);
    if (interface != control_interface)
        return reply.fail(service_error("InterfaceNotFound"), {{"interface", cut_for_echo(interface)}});
    auto const* method = find_control_method(name);
    if (method == nullptr)
        return reply.fail(service_error("MethodNotFound"), {{"method", cut_for_echo(name)}});

    ControlRequest request;
    request.may_change = may_change(from->peer(), ::geteuid(), control_group);
    if (method->access == Access::Change && !request.may_change)
        return reply.fail("NotPermitted", {{"method", name}});
    if (auto const bad = first_bad_parameter(call.parameters, method->parameters); !bad.empty())
        return reply.fail(service_error("InvalidParameter"), {{"parameter", bad}});
    request.method = name;
    request.parameters = std::make_shared<json const>(std::move(call.parameters));
    request.peer = from->peer();
    request.more = call.more && !call.oneway;
    request.reply = std::move(reply);
    handler(std::move(request));
}

} // namespace holdfast
