// SPDX-License-Identifier: Apache-2.0
#include "control/request.h"

#include "control/connection.h"
#include "control/message.h"
#include "control/methods.h"

#include <utility>

namespace holdfast {

using nlohmann::json;

ControlReply::ControlReply(std::shared_ptr<ControlConnection> const& client, bool more, bool oneway)
    : client_{client}, owed_{true}, more_{more && !oneway}, oneway_{oneway} {}

ControlReply::ControlReply(ControlReply&& other) noexcept
    : client_{std::move(other.client_)}, owed_{std::exchange(other.owed_, false)}, more_{other.more_},
      oneway_{other.oneway_} {}

ControlReply& ControlReply::operator=(ControlReply&& other) noexcept {
    if (this != &other) {
        abandon();
        client_ = std::move(other.client_);
        owed_ = std::exchange(other.owed_, false);
        more_ = other.more_;
        oneway_ = other.oneway_;
    }
    return *this;
}

ControlReply::~ControlReply() {
    abandon();
}

void ControlReply::abandon() noexcept {
    if (!owed_)
        return;
    try {
        fail("InternalError", json{{"message", "the request was dropped without an answer"}});
    } catch (...) { // NOLINT: no memory for the words; the client is told by the end of its connection
        if (auto client = client_.lock())
            client->drop();
    }
}

std::shared_ptr<ControlConnection> ControlReply::take() {
    if (!std::exchange(owed_, false))
        return nullptr;
    return client_.lock();
}

void ControlReply::progress(json const& parameters) {
    if (!owed_ || !more_)
        return;
    if (auto client = client_.lock())
        client->send(encode_reply(parameters, true));
}

void ControlReply::done(json const& parameters) {
    if (auto client = take())
        client->finish(oneway_ ? std::string{} : encode_reply(parameters, false));
}

void ControlReply::fail(std::string_view error, json const& parameters) {
    auto client = take();
    if (!client)
        return;
    std::string name{error};
    if (name.find('.') == std::string::npos)
        name = std::string{control_interface} + "." + name;
    client->finish(oneway_ ? std::string{} : encode_error(name, parameters));
}

void ControlReply::on_gone(std::function<void()> told) {
    if (!owed_)
        return;
    if (auto client = client_.lock(); client && !client->is_gone())
        client->when_gone(std::move(told));
    else
        told();
}

bool ControlReply::is_gone() const {
    auto client = client_.lock();
    return !owed_ || !client || client->is_gone();
}

// ---- ControlRequest ----

namespace {

json const* find(std::shared_ptr<json const> const& parameters, std::string_view name) {
    if (!parameters)
        return nullptr;
    auto const found = parameters->find(name);
    return found == parameters->end() || found->is_null() ? nullptr : &*found;
}

} // namespace

std::optional<std::string> ControlRequest::text(std::string_view name) const {
    auto const* value = find(parameters, name);
    return value != nullptr && value->is_string() ? std::optional{value->get<std::string>()} : std::nullopt;
}

std::optional<bool> ControlRequest::flag(std::string_view name) const {
    auto const* value = find(parameters, name);
    return value != nullptr && value->is_boolean() ? std::optional{value->get<bool>()} : std::nullopt;
}

std::optional<std::int64_t> ControlRequest::number(std::string_view name) const {
    auto const* value = find(parameters, name);
    return value != nullptr && value->is_number_integer() ? std::optional{value->get<std::int64_t>()}
                                                          : std::nullopt;
}

} // namespace holdfast
