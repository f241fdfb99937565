// SPDX-License-Identifier: Apache-2.0
// to_toml(): the table of settings, read the other way.
#include "unit/parse.h"
#include "unit/settings.h"

namespace holdfast {

namespace {

void write_section(std::string& out, Section section, void const* source) {
    if (!out.empty())
        out += "\n";
    out += header_of(section) + "\n";
    for (auto const& row : settings_of(section)) {
        if (!row.is_supported())
            continue;
        auto const value = row.write(source);
        if (value.empty())
            out += "# " + std::string{row.key} + " is not set: " + std::string{row.fallback} + "\n";
        else
            out += std::string{row.key} + " = " + value + "\n";
    }
}

} // namespace

std::string to_toml(UnitSpec const& spec) {
    std::string out;
    write_section(out, Section::Unit, &spec);
    for (auto const& socket : spec.sockets)
        write_section(out, Section::Socket, &socket);
    write_section(out, Section::Service, &spec.service);
    write_section(out, Section::Rollout, &spec.rollout);
    if (spec.health)
        write_section(out, Section::Health, &*spec.health);
    if (spec.share)
        write_section(out, Section::Share, &*spec.share);
    if (spec.steering != SteeringSpec{})
        write_section(out, Section::Steering, &spec.steering);
    return out;
}

} // namespace holdfast
