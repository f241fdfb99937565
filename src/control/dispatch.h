// SPDX-License-Identifier: Apache-2.0
// From one message to one request: is it JSON, does the method exist, may this peer call it, are its
// parameters of the right types? What is not is answered here; org.varlink.service is answered here too.
// Used by ControlServer only.
#pragma once

#include "control/connection.h"
#include "control/request.h"

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace holdfast {

void dispatch_message(std::shared_ptr<ControlConnection> const& from, std::string_view text,
                      std::optional<gid_t> control_group, std::function<void(ControlRequest)> const& handler);

/// BadMessage and the end of the connection: after bytes that are no message there is no telling where the
/// next one begins.
void refuse_message(std::shared_ptr<ControlConnection> const& from, std::string_view reason);

} // namespace holdfast
