// SPDX-License-Identifier: Apache-2.0
#include "unit/diagnostic.h"

#include "base/utf8.h"

#include <algorithm>
#include <string_view>

namespace holdfast {

namespace {

// "    source" and below it the caret under `column`, `length` wide. Tabs before it are repeated, so that the
// caret stands right whatever the terminal makes of a tab.
std::string underlined(Diagnostic const& diagnostic) {
    std::string text = "    " + diagnostic.source + "\n    ";
    unsigned column = 1;
    unsigned marked = 0;
    for (char const c : diagnostic.source) {
        if (continues_character(c)) // the rest of a character
            continue;
        if (column < diagnostic.column)
            text += c == '\t' ? '\t' : ' ';
        else if (marked < diagnostic.length)
            text += marked++ == 0 ? '^' : '~';
        ++column;
    }
    for (; column < diagnostic.column; ++column)
        text += ' ';
    if (marked == 0) // at the end of the line, or behind it
        text += '^';
    return text + "\n";
}

} // namespace

std::string to_string(Diagnostic const& diagnostic) {
    std::string text = diagnostic.file;
    if (diagnostic.line > 0)
        text += ":" + std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column);
    text += ": ";
    text += to_name(diagnostic.severity);
    text += ": " + diagnostic.message + "\n";
    if (diagnostic.line > 0 && !diagnostic.source.empty())
        text += underlined(diagnostic);
    if (!diagnostic.suggestion.empty())
        text += "    hint: " + diagnostic.suggestion + "\n";
    return text;
}

std::string to_string(std::vector<Diagnostic> const& diagnostics) {
    std::string text;
    for (auto const& diagnostic : diagnostics)
        text += to_string(diagnostic);
    return text;
}

bool has_errors(std::vector<Diagnostic> const& diagnostics) {
    return std::any_of(diagnostics.begin(), diagnostics.end(),
                       [](Diagnostic const& diagnostic) { return diagnostic.severity == Severity::Error; });
}

} // namespace holdfast
