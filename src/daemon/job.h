// SPDX-License-Identifier: Apache-2.0
// What our service manager is about to do with us, which it does not say by itself.
#pragma once

#include "base/folders.h"

#include <string>

namespace holdfast::daemon {

/// The unit of systemd that we are in ("holdfast.service"), sd_pid_get_unit(3); empty where we are in none.
[[nodiscard]] std::string own_unit(RunMode mode);

/// Is systemd stopping our unit, and not to start it again? Asked over its private socket, which is there
/// without a message bus: up to 1 s, so not to be called from the loop. False where it does not tell.
[[nodiscard]] bool is_stopped_for_good(RunMode mode);

} // namespace holdfast::daemon
