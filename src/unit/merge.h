// SPDX-License-Identifier: Apache-2.0
// Drop-ins over the unit's own file, as trees; every value keeps the place it came from.
#pragma once

#include "unit/node.h"

#include <string_view>

namespace holdfast {

/// A key of `over` replaces the same key of `base`; tables merge key by key, lists are replaced. A [[socket]]
/// of the name of one that was there before merges into it, any other is added; one without a name has
/// `unit_name`.
void merge_over(Node& base, Node&& over, std::string_view unit_name);

} // namespace holdfast
