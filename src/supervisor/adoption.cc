// SPDX-License-Identifier: Apache-2.0
// The units that the holdfastd before us has left.
#include "base/text.h"
#include "supervisor/saved_unit.h"
#include "supervisor/supervisor.h"

#include <algorithm>

namespace holdfast {

namespace {

/// What was saved of a unit says its name and its text; a unit that nothing can be read of has a text of our
/// own, good enough to end it by.
UnitSpecPtr spec_of(std::string const& key, FoundThings const& found) {
    auto const text_at = [&](std::string const& name) -> std::optional<std::string> {
        auto const held = found.find(name);
        return held == found.end() ? std::nullopt : text_of(held->second.fd);
    };
    SavedUnit saved;
    if (auto const text = text_at("state " + key))
        for (auto const line : split(*text, '\n'))
            if (line.starts_with(SavedUnit::word) && read_line(line, saved) && is_unit_name(saved.name)) {
                auto const wanted = std::to_string(static_cast<std::uint32_t>(saved.wanted));
                if (auto const spec = text_at("spec " + key + " " + wanted))
                    if (auto read = read_spec(saved.name, *spec))
                        return read;
            }
    UnitSpec unknown;
    unknown.name = key;
    unknown.service.exec_start = {"/bin/false"};
    return std::make_shared<UnitSpec const>(std::move(unknown));
}

} // namespace

bool Supervisor::adopt(UnitSpecPtr spec, FoundThings found) {
    auto& unit = make(std::move(spec));
    bool goes_on = true; // what breaks is not started as if it were new
    shared_.loop.call([&] {
        goes_on = unit.adopt(std::move(found));
        if (unit.starts_when_held())
            unit.start_when_held();
        else if (!unit.is_leaving())
            (void)unit.hold_sockets();
    });
    return goes_on;
}

void Supervisor::put_again() {
    for (auto const& [name, unit] : units_)
        if (!unit->is_broken()) // what was saved before it broke is better
            shared_.loop.call([&unit] { unit->memory()->put_again(); });
}

Outcome Supervisor::prepare_upgrade() {
    if (!shared_.keeping)
        return plain_error(
            "nobody is there to start a successor: holdfastd was not started by holdfast-keeper", {},
            "run it as `holdfast-keeper -- holdfastd …`");
    for (auto const& [name, unit] : units_)
        unit->save();
    return shared_.keeping->prepare_upgrade();
}

/// A file that is bad in this moment says nothing about what runs, nor does a folder that cannot be read.
void Supervisor::adopt_without_files() {
    auto& found = shared_.keeping->found();
    std::set<std::string> bad;
    for (auto const& [name, diagnostics] : bad_)
        bad.insert(unit_in_names(name));
    std::vector<std::string> keys;
    for (auto const& [key, things] : found)
        // Nothing of it runs: its sockets wait until there is a file that says what they are for.
        if (!key.empty() && !things.empty() && !(bad.contains(key) && are_sockets_alone(things)))
            keys.push_back(key);
    for (auto const& key : keys) {
        auto things = std::exchange(found[key], {});
        auto const spec = spec_of(key, things);
        auto const name = spec->name;
        (void)adopt(spec, std::move(things));
        if (!are_folders_read_ || bad_.contains(name) || !leaving_.insert(name).second)
            continue;
        shared_.events.say(Weight::Normal, "unit-removed", name,
                           "its file is gone: it is drained and removed");
        units_.at(name)->remove([this, name] { erase_later(name); });
    }
    drop_ownerless();
}

/// It was being removed, and its file is back: the new unit comes when the old one is gone.
void Supervisor::leave_and_return(UnitSpecPtr spec) {
    auto const name = spec->name;
    leaving_.insert(name);
    units_.at(name)->remove([this, name, spec = std::move(spec)] {
        erase_later(name);
        shared_.loop.post([this, spec] {
            if (is_shutting_down())
                return;
            shared_.events.say(Weight::Normal, "unit-added", spec->name, "added");
            if (auto& unit = add(spec); spec->start_at_boot)
                unit.start_when_held();
        });
    });
}

void Supervisor::adopt_late(UnitRunner& unit) {
    if (!shared_.keeping)
        return;
    if (auto found = shared_.keeping->take_of(unit.spec().name); !found.empty())
        (void)unit.adopt(std::move(found));
}

/// What is still there is of units whose files are bad.
void Supervisor::drop_ownerless() {
    if (!shared_.keeping)
        return;
    std::set<std::string> units;
    for (auto const& [name, diagnostics] : bad_)
        units.insert(name);
    shared_.keeping->drop_leftovers(units);
}

} // namespace holdfast
