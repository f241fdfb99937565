// SPDX-License-Identifier: Apache-2.0
// What the pictures of units have in common: cells and tables. For render_*.cc only.
#pragma once

#include "cli/table.h"

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace holdfast::cli {

[[nodiscard]] Colour state_colour(std::string_view state);
/// The member `state`, in its colour.
[[nodiscard]] Cell state_cell(nlohmann::json const& object);
/// "3min 20s", the time since since_usec, a point on CLOCK_MONOTONIC; empty for the time before there was
/// any.
[[nodiscard]] std::string age_of(nlohmann::json const& object, Screen const& screen);
[[nodiscard]] std::string sockets_table(nlohmann::json const& sockets, Screen const& screen, bool with_unit,
                                        std::string_view indent);

} // namespace holdfast::cli
