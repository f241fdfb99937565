// SPDX-License-Identifier: Apache-2.0
// What is made from the tables of the programs when holdfast is built, so that it cannot differ from them:
// the JSON schemas of unit files and of holdfast.toml, and what their manual pages say of each key. Pure
// functions of those tables; their main is the build step `holdfast-reference`, which is not installed.
#pragma once

#include "base/result.h"
#include "unit/settings.h"

#include <string>
#include <string_view>

namespace holdfast::cli {

/// draft-07, the newest that the TOML language servers of editors know.
[[nodiscard]] std::string schema_of(SettingsFile file);

/// `page` with each comment `.\" value: KEY` replaced by what the key takes and its default, of the section
/// that the last `.Ss` named; and `.\" keys: not supported yet` by the list of those. Errors: a line that
/// names no key, a supported key without a line, two of one.
[[nodiscard]] Result<std::string> fill_in(std::string_view page, SettingsFile file);

} // namespace holdfast::cli
