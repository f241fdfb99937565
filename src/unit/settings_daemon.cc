// SPDX-License-Identifier: Apache-2.0
// The rows of holdfast.toml: [daemon], [control], [limits] and [metrics].
#include "unit/codecs.h"
#include "unit/daemon_spec.h"
#include "unit/settings.h"

namespace holdfast {

namespace {

constexpr std::array<std::string_view, 0> none{};
constexpr auto log_level = setting<&DaemonSpec::log_level, Word<LogLevel, none>>;

constexpr std::array daemon_rows{
    setting<&DaemonSpec::unit_dirs, PathList>(Section::Daemon, "unit_dirs", "those of holdfast.unit(5)",
                                              "The folders that units are read from; the first hit wins."),
    log_level(Section::Daemon, "log_level", "info", "What holdfastd itself logs."),
    setting<&DaemonSpec::log_dir, AbsolutePath>(
        Section::Daemon, "log_dir", "/var/log/holdfast, or the user's",
        "The folder of the workers' output, where there is no journal."),
};

constexpr std::array control_rows{
    setting<&DaemonSpec::group, Account>(
        Section::Control, "group", "holdfast",
        "The group that owns the control socket, and whose members may do all."),
    setting<&DaemonSpec::mode, Maybe<Mode>>(
        Section::Control, "mode", "0660, or 0600 where a user has no such group",
        "The file mode of the control socket; who is let in and not of the group may look."),
};

constexpr std::array limits_rows{
    setting<&DaemonSpec::max_connections, Whole<1, most_connections_of_all>>(
        Section::Limits, "max_connections", "12000",
        "How many connections all units with accept serve together."),
};

constexpr std::array metrics_rows{
    later(Section::Metrics, "listen", "address", "Where the metrics can be read over HTTP."),
};

} // namespace

std::span<Setting const> daemon_settings() {
    return daemon_rows;
}
std::span<Setting const> control_settings() {
    return control_rows;
}
std::span<Setting const> limits_settings() {
    return limits_rows;
}
std::span<Setting const> metrics_settings() {
    return metrics_rows;
}

} // namespace holdfast
