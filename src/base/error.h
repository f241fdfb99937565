// SPDX-License-Identifier: Apache-2.0
// "The world said no": what failed, what we were doing, and where. Values, never thrown.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

/// A failure of the outside world (a system call, a bad frame, a bad unit).
struct Error {
    int code = 0;       ///< errno value, or 0 where no system call failed
    std::string doing;  ///< what we were doing, as the operator would say it: "bind 0.0.0.0:80"
    std::string where;  ///< the place: a unit, a socket, a path; may be empty
    std::string advice; ///< what to do about it; may be empty
};

/// The error of the errno value `code`; `doing` reads as the end of "cannot …".
[[nodiscard]] Error system_error(int code, std::string doing, std::string where = {},
                                 std::string advice = {});

/// An error without an errno; `doing` is the whole sentence.
[[nodiscard]] Error plain_error(std::string doing, std::string where = {}, std::string advice = {});

/// One line: "web: cannot bind 0.0.0.0:80: Permission denied; give holdfastd CAP_NET_BIND_SERVICE".
[[nodiscard]] std::string to_string(Error const& error);

/// The text of an errno value, as strerror(3) has it, without locale and thread-safe.
[[nodiscard]] std::string_view errno_text(int code);
/// The name of an errno value ("ENOENT"), or "?".
[[nodiscard]] std::string_view errno_name(int code);

} // namespace holdfast
