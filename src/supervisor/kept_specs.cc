// SPDX-License-Identifier: Apache-2.0
#include "supervisor/kept_specs.h"

#include "supervisor/saved_unit.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace holdfast {

using lifecycle::SpecId;

UnitSpecPtr KeptSpecs::take(SpecId id) {
    auto const name = kept_name("spec", unit_, {static_cast<std::uint64_t>(id)});
    auto const held = holdfast::take(found_, name);
    auto const text = held ? text_of(held->fd) : std::nullopt;
    auto spec = text ? read_spec(unit_, *text) : nullptr;
    if (!spec)
        names_.erase(name);
    return spec;
}

std::optional<std::pair<SpecId, UnitSpecPtr>> KeptSpecs::take_newest() {
    std::vector<std::uint32_t> ids;
    for (auto const& [name, held] : found_)
        if (auto const numbers = numbers_in(name); name.starts_with("spec ") && numbers.size() == 1)
            ids.push_back(numbers.front());
    std::ranges::sort(ids, std::greater{});
    for (auto const id : ids)
        if (auto spec = take(SpecId{id}))
            return std::pair{SpecId{id}, std::move(spec)};
    return std::nullopt;
}

} // namespace holdfast
