// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <algorithm>

namespace holdfast::daemon {

Config::Config(Options const& options)
    : path_{options.config_file}, must_exist_{options.config_file_given}, is_verbose_{options.verbose} {
    if (options.unit_folders_given)
        overridden_.emplace_back("daemon.unit_dirs");
    if (options.foreground)
        overridden_.emplace_back("daemon.log_dir");
}

DaemonSpec Config::under_options(DaemonSpec spec) const {
    if (is_verbose_)
        spec.log_level = LogLevel::Debug;
    return spec;
}

void Config::take(DaemonSpec spec, std::string text, Options& options) {
    spec_ = under_options(std::move(spec));
    text_ = std::move(text);
    if (options.unit_folders_given || spec_.unit_dirs.empty())
        return;
    options.unit_folders = spec_.unit_dirs;
    options.unit_folders_given = true;
}

Result<Config> Config::read(Options& options) {
    auto config = read_what_is_right(options);
    if (has_errors(config.problems_))
        return plain_error("its settings have errors:\n" + to_string(config.problems_), {},
                           "see holdfast.toml(5)");
    return config;
}

Config Config::read_what_is_right(Options& options) {
    Config config{options};
    if (config.path_.empty())
        return config;
    auto parsed = load_daemon_file(config.path_, config.must_exist_);
    config.problems_ = std::move(parsed.diagnostics);
    config.take(std::move(parsed.spec), std::move(parsed.text), options);
    return config;
}

Config Config::resume(Options& options, std::string accepted) {
    Config config{options};
    auto spec = parse_daemon_file({config.path_, accepted}).spec;
    if (!config.path_.empty()) {
        auto now = load_daemon_file(config.path_, config.must_exist_);
        if (!has_errors(now.diagnostics)) { // as by an apply
            spec.log_level = now.spec.log_level;
            spec.max_connections = now.spec.max_connections;
        }
        config.problems_ = std::move(now.diagnostics);
    }
    config.take(std::move(spec), std::move(accepted), options);
    return config;
}

std::vector<Diagnostic> Config::reread(std::function<void(DaemonSpec const&)> const& take) {
    if (path_.empty())
        return {};
    auto parsed = load_daemon_file(path_, must_exist_);
    if (has_errors(parsed.diagnostics))
        return std::move(parsed.diagnostics);
    parsed.spec = under_options(std::move(parsed.spec));
    auto found = std::move(parsed.diagnostics);
    for (auto const& change : changes_between(spec_, parsed.spec)) {
        if ((change.is_taken_over && take) || std::ranges::find(overridden_, change.key) != overridden_.end())
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
