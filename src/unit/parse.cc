// SPDX-License-Identifier: Apache-2.0
#include "unit/parse.h"

#include "unit/check.h"
#include "unit/merge.h"
#include "unit/read_sections.h"
#include "unit/settings.h"
#include "unit/toml_text.h"

#include <algorithm>

namespace holdfast {

namespace {

void read_sockets(Entry const& entry, UnitSpec& spec, Report& report) {
    if (!entry.value.is(NodeKind::List))
        return report.error(entry.place, "sockets are written as [[socket]], in double brackets",
                            "there may be several");
    for (auto const& table : entry.value.items) {
        auto& socket = spec.sockets.emplace_back();
        if (table.is(NodeKind::Table))
            read_table(Section::Socket, table, &socket, report);
        else
            report.error(table.place, "a socket must be a table, not " + std::string{kind_name(table.kind)},
                         "write [[socket]] and its keys below");
        if (!table.find("name"))
            socket.name = spec.name;
    }
}

// The struct that a section of a single table fills; null for one that is not built.
void* target_of(Section section, UnitSpec& spec) {
    switch (section) {
    case Section::Unit:
        return &spec;
    case Section::Service:
        return &spec.service;
    case Section::Rollout:
        return &spec.rollout;
    case Section::Health:
        return spec.health ? &*spec.health : &spec.health.emplace();
    case Section::Share:
        return spec.share ? &*spec.share : &spec.share.emplace();
    case Section::Steering:
        return &spec.steering;
    case Section::Socket:
    case Section::SocketOption:
    case Section::Sandbox:
    case Section::Resources:
    case Section::Daemon:
    case Section::Control:
    case Section::Limits:
    case Section::Metrics:
        return nullptr;
    }
    return nullptr;
}

void read_unit_section(Section section, Entry const& entry, UnitSpec& spec, Report& report) {
    if (section == Section::Socket)
        return read_sockets(entry, spec, report);
    read_section(section, entry, target_of(section, spec), report);
}

/// As systemd.socket(5) has it: ten times as many where a start serves no more than one connection.
void set_accept_defaults(Node const& root, UnitSpec& spec) {
    auto const* const tables = root.find("socket");
    if (!spec.service.accept || tables == nullptr || tables->value.items.size() != spec.sockets.size())
        return;
    for (std::size_t i = 0; i < spec.sockets.size(); ++i)
        if (tables->value.items[i].find("trigger_limit_burst") == nullptr)
            spec.sockets[i].trigger_limit_burst = 200;
}

void read_root(Node const& root, UnitSpec& spec, Report& report) {
    for (auto const& entry : root.entries) {
        auto const section = from_name<Section>(entry.key);
        if (section && *section != Section::SocketOption && file_of(*section) == SettingsFile::Unit)
            read_unit_section(*section, entry, spec, report);
        else
            report_unknown_entry(entry, SettingsFile::Unit, report);
    }
}

bool report_bad_name(std::string_view name, Report& report) {
    if (!is_unit_name(name))
        report.error(Place{}, quoted(name) + " is no name of a unit",
                     "1 to 200 of A-Z a-z 0-9 _ . : @ -, not beginning with '.' or '-'");
    else if (name.back() == '@')
        report.error(Place{}, "templates are not supported yet", "write a unit file for each instance");
    else
        return false;
    return true;
}

// Ten thousand specs are held at once: no vector keeps room that it does not need.
void shrink(UnitSpec& spec) {
    spec.documentation.shrink_to_fit();
    spec.sockets.shrink_to_fit();
    for (auto& socket : spec.sockets)
        socket.listen.shrink_to_fit();
    spec.service.exec_start.shrink_to_fit();
    spec.service.environment.shrink_to_fit();
    spec.service.handoff.shrink_to_fit();
    spec.service.limits.shrink_to_fit();
    if (spec.health)
        spec.health->exec.shrink_to_fit();
    if (spec.share) {
        spec.share->users.shrink_to_fit();
        spec.share->groups.shrink_to_fit();
    }
}

} // namespace

ParsedUnit parse_unit(std::string_view name, UnitText const& main, std::vector<UnitText> const& drop_ins) {
    std::vector<UnitText const*> files{&main};
    for (auto const& drop_in : drop_ins)
        files.push_back(&drop_in);
    Report report{files};
    if (report_bad_name(name, report))
        return {nullptr, report.take()};

    Node root;
    for (std::uint32_t file = 0; file < files.size(); ++file) {
        auto tree = read_toml(files[file]->text, file, report);
        if (!tree)
            continue;
        if (file == 0)
            root = std::move(*tree);
        else
            merge_over(root, std::move(*tree), name);
    }
    if (report.has_errors()) // syntax: what the other files say is not the whole
        return {nullptr, report.take()};

    auto spec = std::make_shared<UnitSpec>();
    spec->name = name;
    spec->path = main.path;
    read_root(root, *spec, report);
    set_accept_defaults(root, *spec);
    check_unit(root, *spec, report);
    // Only where the file gave no limit: a longer first delay alone is no contradiction.
    spec->service.restart_max_delay = std::max(spec->service.restart_max_delay, spec->service.restart_delay);
    shrink(*spec);
    bool const is_good = !report.has_errors();
    return {is_good ? UnitSpecPtr{std::move(spec)} : nullptr, report.take()};
}

} // namespace holdfast
