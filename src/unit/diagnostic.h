// SPDX-License-Identifier: Apache-2.0
// What is wrong with a unit file, and where, in the form compilers have taught people to read.
#pragma once

#include "base/enum_names.h"

#include <string>
#include <vector>

namespace holdfast {

enum class Severity { Error, Warning };
constexpr auto enum_table(Severity) {
    return std::array{EnumName{Severity::Error, "error"}, EnumName{Severity::Warning, "warning"}};
}

struct Diagnostic {
    Severity severity = Severity::Error;
    std::string file;
    unsigned line = 0;   ///< from 1; 0: the file as a whole
    unsigned column = 0; ///< from 1, in characters (code points)
    unsigned length = 1; ///< how many columns the caret line underlines
    std::string message;
    std::string suggestion; ///< "did you mean `exec_start`?"; may be empty
    std::string source;     ///< the offending line itself
};

/// FILE:LINE:COLUMN: error: MESSAGE, then the line, a caret under the place (tabs kept as tabs), and "hint:
/// SUGGESTION".
[[nodiscard]] std::string to_string(Diagnostic const& diagnostic);
/// All of them, in file order.
[[nodiscard]] std::string to_string(std::vector<Diagnostic> const& diagnostics);
[[nodiscard]] bool has_errors(std::vector<Diagnostic> const& diagnostics);

} // namespace holdfast
