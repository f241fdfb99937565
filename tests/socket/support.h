// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder share: folders that vanish, clients, children whose answer is a string, and
// the list of our own descriptors. Everything is on loopback or in a namespace that the test made.
#pragma once

#include "base/fd.h"
#include "socket/listener.h"
#include "support/child.h"
#include "support/descriptors.h"
#include "support/temp_folder.h"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::test {

[[nodiscard]] SocketSpec spec_of(ListenAddress const& address, std::string name = "web");
[[nodiscard]] ListenAddress tcp(std::string host, std::uint16_t port = 0);
[[nodiscard]] ListenAddress udp(std::string host, std::uint16_t port = 0);
[[nodiscard]] ListenAddress unix_at(std::string path);

/// Binds the one address of a plain spec; a failure fails the test.
[[nodiscard]] Listener bind_one(SocketSpec const& socket);
/// The error of a bind that must fail, after checking that it left no descriptor behind.
[[nodiscard]] Error bind_error(SocketSpec const& socket);

/// A client's socket, connected or (non-blocking) connecting to `address`; closed when the kernel refused it.
[[nodiscard]] UniqueFd connect_to(ListenAddress const& address, bool non_blocking = false);
/// The address of the socket as getsockname(2) has it, in our words.
[[nodiscard]] std::string name_of(FdRef socket);
[[nodiscard]] int option_of(FdRef socket, int level, int option);

/// The name of this program as /proc has it.
[[nodiscard]] std::string own_command();

/// in_child() in a network namespace of its own, where only lo is up. Begins with "skipped: " where that
/// cannot be had.
[[nodiscard]] std::string in_own_network(std::function<std::string()> const& work);
/// Says why, when `answer` begins with "skipped: ".
[[nodiscard]] bool is_skipped(std::string const& answer);

/// Gives lo of this network namespace one more IPv4 address.
[[nodiscard]] bool add_address(std::string const& host);

/// True as soon as `holds`; false after five seconds.
[[nodiscard]] bool eventually(std::function<bool()> const& holds);

} // namespace holdfast::test
