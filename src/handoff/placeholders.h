// SPDX-License-Identifier: Apache-2.0
// Fills in {fd:NAME}, {port:NAME}, {unit}, {instance}, {slot} and {generation} in arguments and environment
// values, for one worker. Which words exist and how they are written is base/placeholder.h's; that a unit
// uses only names it has is checked when it is read, so an error here is a unit that changed meanwhile.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// One listener as the worker sees it.
struct HandedListener {
    std::string name;
    std::optional<int> number; ///< its descriptor in the worker: 3, 4, …; none where it gets it another way
    std::optional<std::uint16_t> port; ///< where it has one
};

struct PlaceholderValues {
    std::string unit;
    std::string instance; ///< of a template: "blue" of web@blue; else empty
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    std::vector<HandedListener> listeners; ///< in their order; the first of a name is meant by it
};

/// The text with every placeholder replaced. What is not a placeholder stays as it is; one in doubled braces,
/// "{{unit}}", loses one pair.
[[nodiscard]] Result<std::string> expand_placeholders(std::string_view text, PlaceholderValues const& values);

} // namespace holdfast
