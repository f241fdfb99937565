// SPDX-License-Identifier: Apache-2.0
// TOML text in, UnitSpec or diagnostics out. Pure: it opens no file (unit/load.h does) and asks the system
// nothing, so whether a user or a program exists is for others to say.
#pragma once

#include "unit/diagnostic.h"
#include "unit/spec.h"

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// One file's text: the unit itself, or a drop-in that merges over it.
struct UnitText {
    std::string path;
    std::string text;
};

struct ParsedUnit {
    UnitSpecPtr spec; ///< null when there is an error among the diagnostics
    std::vector<Diagnostic> diagnostics;
};

/// Reads the unit `name` from `main` and its drop-ins, which merge over it in order: a key of a drop-in
/// replaces the same key; a [[socket]] of a drop-in with the name of an existing one merges into it, any
/// other is added. All errors of all files are reported at once, in file order. Never throws for any text; at
/// most 100 diagnostics.
[[nodiscard]] ParsedUnit parse_unit(std::string_view name, UnitText const& main,
                                    std::vector<UnitText> const& drop_ins = {});

/// The unit as TOML again, every key with the value in force: what `holdfast cat --effective` and `show`
/// print.
[[nodiscard]] std::string to_toml(UnitSpec const& spec);

} // namespace holdfast
