// SPDX-License-Identifier: Apache-2.0
#include "supervisor/kept_specs.h"

#include "supervisor/saved_unit.h"

#include <optional>

namespace holdfast {

using lifecycle::SpecId;

namespace {

std::string spec_name(std::string_view unit, SpecId id) {
    return kept_name("spec", unit, {static_cast<std::uint64_t>(id)});
}

} // namespace

UnitSpecPtr KeptSpecs::read(SpecId id) const {
    auto const held = found_.find(spec_name(unit_, id));
    auto const text = held == found_.end() ? std::nullopt : text_of(held->second.fd);
    return text ? read_spec(unit_, *text) : nullptr;
}

UnitSpecPtr KeptSpecs::take(SpecId id) {
    auto const name = spec_name(unit_, id);
    auto spec = read(id);
    spec ? found_.erase(name) : names_.erase(name);
    return spec;
}

SpecId KeptSpecs::newest() const {
    SpecId newest{};
    for (auto const& [name, held] : found_)
        if (auto const numbers = numbers_in(name); name.starts_with("spec ") && numbers.size() == 1)
            if (SpecId const id{numbers.front()}; id > newest && read(id))
                newest = id;
    return newest;
}

} // namespace holdfast
