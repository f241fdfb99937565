// SPDX-License-Identifier: Apache-2.0
// Where the server's sockets come from, and what it says to its supervisor: sd_listen_fds(3), the
// SERVER_STARTER_PORT of start_server, or a port of its own; sd_notify(3). Written out here, because this
// example needs nothing but the C and C++ libraries.
#pragma once

#include <string>
#include <vector>

namespace webserver {

/// The listening stream sockets that a supervisor gave us, made close-on-exec; empty if there is none.
[[nodiscard]] std::vector<int> inherited_listeners();

/// A non-blocking listener on ADDRESS:PORT (numeric IPv4; port 0: the kernel chooses, and it is printed).
/// -1 with errno set if that is refused.
[[nodiscard]] int bind_own(std::string const& address, unsigned port);

/// Is O_NONBLOCK set on the file description that all holders of the listener share?
[[nodiscard]] bool is_non_blocking(int listener);

/// Sets it, for all of them.
void set_non_blocking(int listener);

/// Sends `message` to NOTIFY_SOCKET, if there is one.
void notify(std::string const& message);

} // namespace webserver
