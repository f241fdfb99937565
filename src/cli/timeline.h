// SPDX-License-Identifier: Apache-2.0
// A picture of a rollout: a pure function of the answer of Report (as io.holdfast.Manager.varlink describes
// it) to an SVG, complete in itself, for light and dark browsers.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace holdfast::cli {

/// One time axis; a lane for each worker, and below it the queue of each listener. Members that are missing
/// are left out of the picture.
[[nodiscard]] std::string timeline_svg(nlohmann::json const& answer);

} // namespace holdfast::cli
