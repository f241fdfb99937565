// SPDX-License-Identifier: Apache-2.0
// Mutants: step() with one fault each, as a careless hand might put it in. Each is killed by the invariant
// that it names; an invariant that kills none is decoration.
#pragma once

#include "sim/world.h"

#include <span>
#include <vector>

namespace holdfast::sim {

struct Mutant {
    std::string_view name;
    std::string_view killed_by;
    Step step;
};

[[nodiscard]] std::vector<Mutant> const& mutants();
[[nodiscard]] std::span<Mutant const> demand_mutants(); ///< demand_mutants.cc

// how to be wrong
template <class T>
void forget_orders(Orders& orders, auto&& which) {
    std::erase_if(orders, [&](Order const& order) {
        auto const* const it = std::get_if<T>(&order);
        return it != nullptr && which(*it);
    });
}
template <class T>
void forget_orders(Orders& orders) {
    forget_orders<T>(orders, [](T const&) { return true; });
}
inline void forget_reports(Orders& orders, Happening happening) {
    forget_orders<Report>(orders, [&](Report const& report) { return report.happening == happening; });
}

} // namespace holdfast::sim
