// SPDX-License-Identifier: Apache-2.0
// DaemonSpec: what holdfast.toml, the settings of holdfastd itself, says; read by the same kind of table as a
// unit (settings_daemon.cc), with the same diagnostics. Pure, but for load_daemon_file().
#pragma once

#include "base/enum_names.h"
#include "unit/parse.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast {

/// What is logged: warnings and worse; what happens; and what only its author wants to know.
enum class LogLevel { Warning, Info, Debug };
constexpr auto enum_table(LogLevel) {
    return std::array{EnumName{LogLevel::Warning, "warning"}, EnumName{LogLevel::Info, "info"},
                      EnumName{LogLevel::Debug, "debug"}};
}

/// The keeper has room for so many names, and who is not kept would be ended by the next holdfastd as a
/// stranger; the rest is for sockets and workers.
inline constexpr std::uint16_t most_connections_of_all = 12000;

struct DaemonSpec {
    std::vector<std::string> unit_dirs; ///< empty: those of the mode
    LogLevel log_level = LogLevel::Info;
    std::string log_dir;            ///< empty: that of the mode
    std::string group = "holdfast"; ///< of the control socket
    std::optional<mode_t> mode;     ///< of the control socket
    std::uint16_t max_connections = most_connections_of_all;
    bool operator==(DaemonSpec const&) const = default;
};

struct ParsedDaemon {
    /// Where there are errors: what stands beside them.
    DaemonSpec spec;
    std::vector<Diagnostic> diagnostics;
    std::string text; ///< of load_daemon_file()
};

/// All errors at once, as parse_unit().
[[nodiscard]] ParsedDaemon parse_daemon_file(UnitText const& file);

/// From a path. A file that is not there says nothing, unless it `must_exist`.
[[nodiscard]] ParsedDaemon load_daemon_file(std::string const& path, bool must_exist);

/// system: /etc/holdfast/holdfast.toml; user: $XDG_CONFIG_HOME/holdfast/holdfast.toml, by default ~/.config.
/// Empty when neither that variable nor HOME is set.
[[nodiscard]] std::string system_daemon_file();
[[nodiscard]] std::string user_daemon_file();

/// A key whose value another file has changed.
struct DaemonChange {
    std::string key;    ///< "control.group"
    std::string words;  ///< "\"holdfast\" -> \"web\""
    bool is_taken_over; ///< by a holdfastd that runs; else it takes an upgrade
};
[[nodiscard]] std::vector<DaemonChange> changes_between(DaemonSpec const& now, DaemonSpec const& wanted);

} // namespace holdfast
