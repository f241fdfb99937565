// SPDX-License-Identifier: Apache-2.0
#include "unit/settings.h"

#include <algorithm>

namespace holdfast {

namespace {

struct Alias {
    std::string_view theirs;
    std::string_view ours;
};

// What systemd.socket(5) and systemd.service(5) call by another name, in snake_case.
constexpr std::array aliases{
    Alias{"listen_stream", "listen"},
    Alias{"listen_datagram", "listen"},
    Alias{"listen_sequential_packet", "listen"},
    Alias{"listen_fifo", "listen"},
    Alias{"listen_netlink", "listen"},
    Alias{"listen_special", "listen"},
    Alias{"listen_message_queue", "listen"},
    Alias{"address", "listen"},
    Alias{"port", "listen"},
    Alias{"file_descriptor_name", "name"},
    Alias{"iptos", "ip_tos"},
    Alias{"ipttl", "ip_ttl"},
    Alias{"command", "exec_start"},
    Alias{"env", "environment"},
    Alias{"wanted_by", "start_at_boot"},
    Alias{"file_descriptor_store_max", "fd_store_max"},
    Alias{"instances", "max_connections"}, // of xinetd.conf(5)
    Alias{"per_source", "max_connections_per_source"},
    Alias{"unit_dir", "unit_dirs"},
    Alias{"unit_path", "unit_dirs"},
    Alias{"socket_group", "group"},
    Alias{"socket_mode", "mode"},
};

// "ExecStart" as exec_start, "TimeoutStartSec" as timeout_start.
std::string in_our_spelling(std::string_view key) {
    std::string out;
    for (std::size_t i = 0; i < key.size() && i < 64; ++i) {
        char const c = key[i];
        bool const upper = c >= 'A' && c <= 'Z';
        bool const after_lower = i > 0 && key[i - 1] >= 'a' && key[i - 1] <= 'z';
        if (upper && after_lower)
            out += '_';
        out += upper ? static_cast<char>(c - 'A' + 'a') : c == '-' ? '_' : c;
    }
    if (out.size() > 4 && out.substr(out.size() - 4) == "_sec")
        out.resize(out.size() - 4);
    return out;
}

std::string_view nearest_key(Section section, std::string_view key) {
    Names names;
    for (auto const& row : settings_of(section))
        names.push_back(row.key);
    return nearest(key, names);
}

// Where a key that is spelt right belongs; empty when no section has it.
std::string section_of(SettingsFile file, std::string_view key) {
    for (auto const& row : enum_table(Section{}))
        if (file_of(row.value) == file && find_setting(row.value, key))
            return "`" + std::string{key} + "` belongs in " + header_of(row.value);
    return {};
}

} // namespace

std::string suggest_section_of(SettingsFile file, std::string_view key) {
    auto const ours = in_our_spelling(key);
    if (auto const exact = section_of(file, ours); !exact.empty())
        return exact;
    for (auto const section : {Section::Service, Section::Unit, Section::Socket, Section::Daemon,
                               Section::Control, Section::Limits})
        if (file_of(section) != file)
            continue;
        else if (auto const meant = nearest_key(section, ours); !meant.empty())
            return "did you mean `" + std::string{meant} + "` in " + header_of(section) + "?";
    return "write it below its [section]";
}

std::span<Setting const> settings_of(Section section) {
    switch (section) {
    case Section::Unit:
        return unit_settings();
    case Section::Socket:
        return socket_settings();
    case Section::SocketOption:
        return socket_option_settings();
    case Section::Service:
        return service_settings();
    case Section::Rollout:
        return rollout_settings();
    case Section::Health:
        return health_settings();
    case Section::Sandbox:
        return sandbox_settings();
    case Section::Resources:
        return resources_settings();
    case Section::Share:
        return share_settings();
    case Section::Steering:
        return steering_settings();
    case Section::Daemon:
        return daemon_settings();
    case Section::Control:
        return control_settings();
    case Section::Limits:
        return limits_settings();
    case Section::Metrics:
        return metrics_settings();
    }
    return {};
}

Setting const* find_setting(Section section, std::string_view key) {
    for (auto const& row : settings_of(section))
        if (row.key == key)
            return &row;
    return nullptr;
}

std::string header_of(Section section) {
    auto const name = std::string{to_name(section)};
    return section == Section::Socket || section == Section::SocketOption ? "[[" + name + "]]"
                                                                          : "[" + name + "]";
}

std::string suggest_key(Section section, std::string_view key) {
    auto const ours = in_our_spelling(key);
    if (find_setting(section, ours))
        return did_you_mean(ours);
    for (auto const& alias : aliases)
        if (alias.theirs == ours && find_setting(section, alias.ours))
            return did_you_mean(alias.ours);
    if (auto const elsewhere = section_of(file_of(section), ours); !elsewhere.empty())
        return elsewhere;
    return did_you_mean(nearest_key(section, ours));
}

} // namespace holdfast
