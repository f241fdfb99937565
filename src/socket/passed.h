// SPDX-License-Identifier: Apache-2.0
// Sockets that whoever started us has bound and passed, sd_listen_fds(3): a `.socket` unit of systemd, say.
// A unit names them by `listen = "inherit:NAME"`. We share them and never own them: nothing is changed that
// others would notice, and closing is not for us to do.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "socket/listener.h"

#include <map>
#include <string>
#include <vector>

namespace holdfast {

/// By name, in the order in which they were passed.
using Passed = std::map<std::string, std::vector<UniqueFd>>;

/// Those of LISTEN_FDS, if it is meant for this process; the variables are removed.
[[nodiscard]] Passed passed_by_environment();

/// The listener that `address` (inherit:…) names: a duplicate. Errors: there is none (ENOENT), it is of a
/// kind that is not supported, or nobody has called listen(2) on it.
[[nodiscard]] Result<Listener> take_up(Passed const& passed, SocketSpec const& socket,
                                       ListenAddress const& address);

/// The same text, where each "inherit:NAME" lists all of that name.
[[nodiscard]] UnitSpecPtr with_all_passed(UnitSpecPtr spec, Passed const& passed);

} // namespace holdfast
