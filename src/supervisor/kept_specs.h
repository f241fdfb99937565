// SPDX-License-Identifier: Apache-2.0
// The texts of a unit's specs that another supervisor of ours left in the store, each in a memfd of its own.
#pragma once

#include "lifecycle/policy.h"
#include "supervisor/keeping.h"
#include "unit/spec.h"

#include <set>
#include <string>
#include <utility>

namespace holdfast {

class KeptSpecs {
public:
    /// `found`: what is taken is taken out of it. `names`: what the keeper is known to have for the unit;
    /// what cannot be read is removed from them, so that what goes for it instead is saved.
    KeptSpecs(std::string unit, FoundThings& found, std::set<std::string>& names)
        : unit_{std::move(unit)}, found_{found}, names_{names} {}

    /// Nothing: it was not saved, or cannot be read.
    [[nodiscard]] UnitSpecPtr take(lifecycle::SpecId id);
    /// The newest that can be read, where nobody knows which the unit went by; SpecId{} where there is none.
    [[nodiscard]] lifecycle::SpecId newest() const;

private:
    [[nodiscard]] UnitSpecPtr read(lifecycle::SpecId id) const;

    std::string unit_;
    FoundThings& found_;
    std::set<std::string>& names_;
};

} // namespace holdfast
