// SPDX-License-Identifier: Apache-2.0
#include "cli/run.h"

#include "base/folders.h"
#include "base/scope_exit.h"
#include "cli/exit_status.h"
#include "cli/path_watch.h"
#include "cli/run_spec.h"
#include "supervisor/log.h"
#include "supervisor/process_setup.h"
#include "supervisor/requests.h"
#include "supervisor/runtime_folder.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <unistd.h>

namespace holdfast::cli {

namespace {

int say(Error const& error, ExitStatus status) {
    std::fprintf(stderr, "holdfast: run: %s\n", to_string(error).c_str());
    return static_cast<int>(status);
}

/// Where the control and notify sockets of this one run live: the folder that was given, or one of our own
/// that goes with us.
struct RunFolder {
    std::string path;
    UniqueFd lock;
    bool is_ours = false;
    ~RunFolder() {
        std::error_code ignored;
        if (is_ours)
            std::filesystem::remove_all(path, ignored);
    }
};

Outcome take_folder(RunFolder& folder, std::string const& given) {
    folder.path = given;
    if (given.empty()) {
        char const* base = ::secure_getenv("XDG_RUNTIME_DIR");
        if (base == nullptr || base[0] != '/' || ::access(base, W_OK) != 0)
            base = "/tmp";
        auto pattern = std::string{base} + "/holdfast-run-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr)
            return system_error(errno, "make a folder in " + std::string{base});
        folder.path = pattern;
        folder.is_ours = true;
    }
    auto lock = take_runtime_folder(folder.path);
    if (!lock)
        return std::move(lock).error();
    folder.lock = std::move(lock).value();
    return {};
}

/// The run itself, once everything is open: what signals, changed files and the program's end lead to.
class Run {
public:
    Run(EventLoop& loop, Supervisor& supervisor, std::string unit)
        : loop_{loop}, supervisor_{supervisor}, unit_{std::move(unit)},
          watch_{loop,
                 [this](std::string const& path) {
                     log_line(Weight::Normal, path + " has changed");
                     restart();
                 },
                 [](Error const& error) {
                     log_line(Weight::Warning,
                              to_string(error) + "; changes there, and in further new folders, are not seen");
                 }} {
        following_ = supervisor_.shared().events.follow([this](Event const& event) {
            // It ended by itself, and `restart` says leave it so: there is nothing left to hold sockets for.
            if (event.kind == to_name(lifecycle::Happening::Finished))
                end(ExitStatus::Done);
        });
        term_ = loop_.on_signal(SIGTERM, [this] { end(ExitStatus::Done); });
        int_ = loop_.on_signal(SIGINT, [this] { end(ExitStatus::Done); });
        hup_ = loop_.on_signal(SIGHUP, [this] { restart(); });
    }

    [[nodiscard]] PathWatch& watch() { return watch_; }

    void begin() {
        if (auto* const unit = supervisor_.find(unit_))
            unit->start([this](WishResult const& result) {
                if (!result.ok)
                    end(ExitStatus::Failed);
            });
    }
    void end(ExitStatus status) {
        if (!supervisor_.is_shutting_down())
            status_ = status;
        supervisor_.shut_down([this] { loop_.stop(static_cast<int>(status_)); });
    }

private:
    void restart() {
        if (supervisor_.is_shutting_down())
            return;
        if (auto* const unit = supervisor_.find(unit_))
            unit->restart(std::nullopt, [](WishResult const&) {}); // the log says how it went
    }

    EventLoop& loop_;
    Supervisor& supervisor_;
    std::string unit_; ///< its name
    EventLog::Following following_;
    PathWatch watch_;
    ExitStatus status_ = ExitStatus::Done;
    EventSource term_;
    EventSource int_;
    EventSource hup_;
};

int serve(UnitSpecPtr spec, RunOptions const& options) {
    SignalMask const mask{SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE};
    RunFolder folder;
    if (auto taken = take_folder(folder, options.runtime_folder); !taken)
        return say(taken.error(), ExitStatus::Failed);
    open_log({.to_journal = false, .quiet = options.quiet});
    ScopeExit const closing{[] { close_log(); }};
    auto loop = EventLoop::create();
    if (!loop)
        return say(loop.error(), ExitStatus::Failed);

    SupervisorOptions wanted;
    wanted.runtime_folder = folder.path;
    wanted.may_use_cgroups = true;
    wanted.around.mode = RunMode::User; // the program keeps our folder and our environment
    wanted.around.environment = inherited_environment();
    wanted.around.limits = raise_descriptor_limit();
    wanted.passed = passed_by_environment();
    spec = with_all_passed(std::move(spec), wanted.passed);
    auto supervisor = Supervisor::create(**loop, std::move(wanted));
    if (!supervisor)
        return say(supervisor.error(), ExitStatus::Failed);
    auto& unit = (*supervisor)->add(std::move(spec));
    if (!unit.sockets().is_complete())
        return say(unit.sockets().failed().front().error, ExitStatus::Failed);

    Run run{**loop, **supervisor, unit.spec().name};
    for (auto const& path : options.watch)
        if (auto watched = run.watch().add(path); !watched)
            return say(watched.error(), ExitStatus::Usage);
    Requests requests{**supervisor, [&] { run.end(ExitStatus::Done); }};
    ControlServerOptions control_options;
    control_options.path = control_socket_path(folder.path);
    auto control = ControlServer::open(**loop, std::move(control_options),
                                       [&](ControlRequest request) { requests.handle(std::move(request)); });
    if (!control)
        return say(control.error(), ExitStatus::Failed);
    for (auto const& held : unit.sockets().held())
        log_line(Weight::Normal, to_string(held.bound()) + " is held as " + held.name);
    run.begin();
    auto const code = (*loop)->run();
    return code ? *code : say(code.error(), ExitStatus::Failed);
}

} // namespace

int run_command(RunOptions const& options) {
    open_standard_descriptors();
    auto spec = make_run_spec(options);
    if (!spec)
        return say(spec.error(), ExitStatus::Usage);
    return serve(std::move(spec).value(), options);
}

} // namespace holdfast::cli
