// SPDX-License-Identifier: Apache-2.0
// Mutants: step() with one fault each, as a careless hand might put it in. Each is killed by the invariant
// that it names; an invariant that kills none is decoration.
#pragma once

#include "sim/world.h"

#include <span>

namespace holdfast::sim {

struct Mutant {
    std::string_view name;
    std::string_view killed_by;
    Step step;
};

[[nodiscard]] std::span<Mutant const> mutants();

} // namespace holdfast::sim
