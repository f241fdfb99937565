// SPDX-License-Identifier: Apache-2.0
// Signals by name, both ways: what unit files, the command and messages say for a number of signal(7).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// "SIGTERM", "SIGRTMIN+3"; "signal 99" for a number that is none.
[[nodiscard]] std::string signal_name(int signal);

/// "SIGTERM", "TERM", "SIGRTMIN+3", "RTMAX-1" or "15". Names are upper case. Nothing for what is no signal (0
/// is none; nor are those that the C library keeps for itself, 32 and 33 with glibc).
[[nodiscard]] std::optional<int> parse_signal(std::string_view text);

/// Is it a signal that a process may be sent and the C library leaves to programs?
[[nodiscard]] bool is_signal(int signal);

/// Every named one with its "SIG", for suggestions.
[[nodiscard]] std::vector<std::string_view> signal_names();

} // namespace holdfast
