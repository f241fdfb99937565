// SPDX-License-Identifier: Apache-2.0
// What a process that holds sockets sees to before anything else, be it holdfastd or `holdfast run`. Called
// once, by main's side of things, before the first descriptor is opened.
#pragma once

#include "unit/spec.h"

#include <vector>

namespace holdfast {

/// Descriptors 0, 1 and 2 exist from here on, so that no socket of ours is ever taken for one of them.
void open_standard_descriptors();

/// Ten thousand listeners are ten thousand descriptors: raises the soft limit, which is for programs that use
/// select(2), to the hard one. Returns what we were given, for the workers to start with; nothing where
/// nothing was raised.
[[nodiscard]] std::vector<LimitSpec> raise_descriptor_limit();

} // namespace holdfast
