// SPDX-License-Identifier: Apache-2.0
// How the output is to look: width, colour, and what time it is. A plain value, so that rendering is a pure
// function of it and of the daemon's answer.
#pragma once

#include "base/fd.h"
#include "base/time.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::cli {

struct Screen {
    std::size_t width = 0; ///< columns; 0: a pipe or a file, nothing is cut
    bool colour = false;
    MonotonicTime now;
    std::size_t height = 0; ///< lines; 0: as with width
};

/// Of a terminal: its size (80 by 24 where it does not say) and colour, unless NO_COLOR is set or TERM is
/// "dumb". Of anything else: neither.
[[nodiscard]] Screen look_at(FdRef output);

enum class Colour { Plain, Good, Warning, Bad, Faint, Bold };
[[nodiscard]] std::string paint(std::string_view text, Colour colour, Screen const& screen);

/// A text from a worker or a file, made harmless for a terminal: control characters as \xNN, what is no UTF-8
/// as '?'.
[[nodiscard]] std::string harmless(std::string_view text);
/// The same for a text of several lines: newlines and tabs stay. Each line is put after `indent`; the result
/// ends with a newline unless it is empty.
[[nodiscard]] std::string harmless_lines(std::string_view text, std::string_view indent = {});
/// Lines that are wider than the screen go on in further ones, two columns further in than they began, broken
/// at spaces; what escape sequences take does not count. In a pipe they stay as they are.
[[nodiscard]] std::string folded(std::string_view text, Screen const& screen);
/// In characters.
[[nodiscard]] std::size_t width_of(std::string_view text);
/// Without the escape sequences of paint().
[[nodiscard]] std::size_t visible_width(std::string_view text);
/// `text` cut to `width` characters, the last of them "…" if something was cut.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t width);

} // namespace holdfast::cli
