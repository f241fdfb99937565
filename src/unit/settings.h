// SPDX-License-Identifier: Apache-2.0
// The one table of settings: a row per key of a unit file and of holdfast.toml, built or not. It drives
// reading, suggestions for misspelt keys, "not supported yet" and to_toml(); the JSON schema and the key
// reference of the manual page are made from it (cli/reference), so each row says in a sentence what it is
// for. The rows are in settings_*.cc, a file per story.
#pragma once

#include "base/enum_names.h"
#include "unit/read.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

enum class Section {
    Unit,
    Socket,
    SocketOption,
    Service,
    Rollout,
    Health,
    Sandbox,
    Resources,
    Share,
    Steering,
    // Of holdfast.toml
    Daemon,
    Control,
    Limits,
    Metrics
};
constexpr auto enum_table(Section) {
    return std::array{EnumName{Section::Unit, "unit"},
                      EnumName{Section::Socket, "socket"},
                      EnumName{Section::SocketOption, "socket.option"},
                      EnumName{Section::Service, "service"},
                      EnumName{Section::Rollout, "rollout"},
                      EnumName{Section::Health, "health"},
                      EnumName{Section::Sandbox, "sandbox"},
                      EnumName{Section::Resources, "resources"},
                      EnumName{Section::Share, "share"},
                      EnumName{Section::Steering, "steering"},
                      EnumName{Section::Daemon, "daemon"},
                      EnumName{Section::Control, "control"},
                      EnumName{Section::Limits, "limits"},
                      EnumName{Section::Metrics, "metrics"}};
}

/// Which file a section is of: a unit's, or holdfast.toml.
enum class SettingsFile { Unit, Daemon };
constexpr SettingsFile file_of(Section section) {
    return section < Section::Daemon ? SettingsFile::Unit : SettingsFile::Daemon;
}

/// One row. `target` of read and write is the struct that the section fills (SocketSpec for Socket, …).
struct Setting {
    Section section{};
    std::string_view key;
    std::string_view kind;                                     ///< what is written: "text", "duration", …
    std::string_view fallback;                                 ///< what holds when it is not written
    std::string_view doc;                                      ///< one sentence for the manual page
    void (*read)(Reader, Node const&, void* target) = nullptr; ///< null: not supported yet
    std::string (*write)(void const* target) = nullptr;        ///< TOML; empty: not set
    AcceptsAny (*accepts)() = nullptr;                         ///< null: not supported yet

    [[nodiscard]] bool is_supported() const { return read != nullptr; }
};

[[nodiscard]] std::span<Setting const> settings_of(Section section);

/// Null when the section has no such key.
[[nodiscard]] Setting const* find_setting(Section section, std::string_view key);

/// What somebody who wrote `key` in `section` wanted: "did you mean …", also for systemd's spelling
/// (ExecStart) and for a key of another section; empty when nothing is near.
[[nodiscard]] std::string suggest_key(Section section, std::string_view key);
/// The same for a key that stands above the first section.
[[nodiscard]] std::string suggest_section_of(SettingsFile file, std::string_view key);

/// "[service]", "[[socket]]".
[[nodiscard]] std::string header_of(Section section);

template <class Owner, class Value>
constexpr Owner owner_of(Value Owner::*);

/// A row whose value is a member of the section's struct, read and written by a codec (unit/read.h).
template <auto Member, class Codec>
constexpr Setting setting(Section section, std::string_view key, std::string_view fallback,
                          std::string_view doc) {
    using Target = decltype(owner_of(Member));
    return Setting{
        section,
        key,
        Codec::kind,
        fallback,
        doc,
        [](Reader in, Node const& node, void* target) {
            Codec::read(in, node, static_cast<Target*>(target)->*Member);
        },
        [](void const* target) { return Codec::write(static_cast<Target const*>(target)->*Member); },
        Codec::accepts};
}

/// A row that is reserved: a key of the design that is not built.
constexpr Setting later(Section section, std::string_view key, std::string_view kind, std::string_view doc) {
    return Setting{section, key, kind, {}, doc, nullptr, nullptr, nullptr};
}

// The parts of the table.
[[nodiscard]] std::span<Setting const> daemon_settings();
[[nodiscard]] std::span<Setting const> control_settings();
[[nodiscard]] std::span<Setting const> limits_settings();
[[nodiscard]] std::span<Setting const> metrics_settings();
[[nodiscard]] std::span<Setting const> unit_settings();
[[nodiscard]] std::span<Setting const> socket_settings();
[[nodiscard]] std::span<Setting const> socket_option_settings();
[[nodiscard]] std::span<Setting const> service_settings();
[[nodiscard]] std::span<Setting const> rollout_settings();
[[nodiscard]] std::span<Setting const> health_settings();
[[nodiscard]] std::span<Setting const> sandbox_settings();
[[nodiscard]] std::span<Setting const> resources_settings();
[[nodiscard]] std::span<Setting const> share_settings();
[[nodiscard]] std::span<Setting const> steering_settings();

} // namespace holdfast
