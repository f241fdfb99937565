// SPDX-License-Identifier: Apache-2.0
// What a failed bind tells the operator: what, where, and what to do about it. Used within this folder.
#pragma once

#include "base/error.h"
#include "unit/spec.h"

#include <string_view>

namespace holdfast {

/// The error of `code` while doing `step` ("bind", "listen on"…) for `address` of `socket`.
[[nodiscard]] Error explain_bind_failure(int code, std::string_view step, SocketSpec const& socket,
                                         ListenAddress const& address);

/// Completes an error that a step explained itself: the socket's name and, for an address in use, its holder.
[[nodiscard]] Error complete_bind_error(Error error, SocketSpec const& socket, ListenAddress const& address);

/// As if nobody had been looked for yet: at most 200 ms in 10 s are spent on finding who holds an address.
/// For tests, which look for many.
void forget_holders();

} // namespace holdfast
