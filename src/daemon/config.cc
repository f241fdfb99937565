// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

namespace holdfast::daemon {

Result<Config> Config::read(Options& options, bool is_strict) {
    Config config;
    config.path_ = options.config_file;
    config.must_exist_ = options.config_file_given;
    config.is_verbose_ = options.verbose;
    if (config.path_.empty())
        return config;
    auto parsed = load_daemon_file(config.path_, config.must_exist_);
    if (is_strict && has_errors(parsed.diagnostics))
        return plain_error("its settings have errors:\n" + to_string(parsed.diagnostics), {},
                           "see holdfast.toml(5)");
    config.spec_ = std::move(parsed.spec);
    config.problems_ = std::move(parsed.diagnostics);
    if (!options.unit_folders_given && !config.spec_.unit_dirs.empty()) {
        options.unit_folders = config.spec_.unit_dirs;
        options.unit_folders_given = true;
    }
    if (options.verbose)
        config.spec_.log_level = LogLevel::Debug;
    return config;
}

std::vector<Diagnostic> Config::reread(std::function<void(DaemonSpec const&)> const& take) {
    if (path_.empty())
        return {};
    auto parsed = load_daemon_file(path_, must_exist_);
    if (has_errors(parsed.diagnostics))
        return std::move(parsed.diagnostics);
    if (is_verbose_)
        parsed.spec.log_level = LogLevel::Debug;
    auto found = std::move(parsed.diagnostics);
    for (auto const& change : changes_between(spec_, parsed.spec)) {
        if (change.is_taken_over && take)
            continue;
        Diagnostic diagnostic;
        diagnostic.severity = Severity::Warning;
        diagnostic.file = path_;
        diagnostic.message = change.key + ": " + change.words +
                             (change.is_taken_over ? " is taken over by an apply" : " takes a new holdfastd");
        if (!change.is_taken_over)
            diagnostic.suggestion = "run `holdfast upgrade`: nothing of what runs is ended by it";
        found.push_back(std::move(diagnostic));
    }
    if (take) {
        spec_.log_level = parsed.spec.log_level;
        spec_.max_connections = parsed.spec.max_connections;
        take(spec_);
    }
    return found;
}

} // namespace holdfast::daemon
