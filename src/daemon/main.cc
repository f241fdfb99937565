// SPDX-License-Identifier: Apache-2.0
// main of holdfastd, a table of contents: options, runtime folder, log, event loop, units, control socket,
// serve, end.
#include "daemon/options.h"
#include "supervisor/log.h"
#include "supervisor/requests.h"
#include "supervisor/runtime_folder.h"
#include "supervisor/share_socket.h"

#include <csignal>
#include <cstdio>
#include <string>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace holdfast::daemon {

namespace {

int refuse(Error const& error) {
    std::fprintf(stderr, "holdfastd: %s\n", to_string(error).c_str());
    return 1;
}

/// Descriptors 0, 1 and 2 exist from here on, so that no socket of ours is ever taken for one of them.
void open_standard_descriptors() {
    int fd = -1;
    do
        fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        ::close(fd);
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; ++standard)
        ::fcntl(standard, F_SETFD, 0);
}

std::string log_folder(Options const& options) {
    if (options.runtime_folder_given)
        return options.runtime_folder + "/log";
    if (options.mode == RunMode::System)
        return "/var/log/holdfast";
    if (char const* state = ::getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/')
        return std::string{state} + "/holdfast/log";
    char const* home = ::getenv("HOME");
    return std::string{home != nullptr ? home : "/tmp"} + "/.local/state/holdfast/log";
}

/// Ten thousand listeners are ten thousand descriptors: the soft limit is for programs that use select(2), which we do not. The workers
/// start with what we were given.
std::vector<LimitSpec> raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return {};
    LimitSpec const given{RLIMIT_NOFILE, limit.rlim_cur, limit.rlim_max};
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return {};
    return {given};
}

Result<Surroundings> find_surroundings(Options const& options) {
    Surroundings around;
    around.mode = options.mode;
    around.limits = raise_descriptor_limit();
    if (options.mode == RunMode::User)
        around.environment = inherited_environment();
    around.log_folder = log_folder(options);
    if (options.foreground)
        around.output = Output::Kind::Through;
    else if (::access("/run/systemd/journal/stdout", W_OK) == 0)
        around.output = Output::Kind::Journal;
    else {
        around.output = Output::Kind::File;
        if (auto made = make_folders(around.log_folder, 0750); !made)
            return std::move(made).error();
    }
    return around;
}

int serve(Options const& options) {
    SignalMask const mask{SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR1, SIGUSR2};
    auto const lock = take_runtime_folder(options.runtime_folder);
    if (!lock)
        return refuse(lock.error());
    auto around = find_surroundings(options);
    if (!around)
        return refuse(around.error());
    open_log({.to_journal = !options.foreground && has_journal(), .verbose = options.verbose});

    auto made = EventLoop::create();
    if (!made)
        return refuse(made.error());
    auto& loop = **made;
    auto supervisor = Supervisor::create(loop, {.unit_folders = options.unit_folders,
                                                .unit_folders_must_exist = options.unit_folders_given,
                                                .runtime_folder = options.runtime_folder,
                                                .around = std::move(around).value()});
    if (!supervisor)
        return refuse(supervisor.error());
    auto& units = **supervisor;

    auto const shut_down = [&] {
        sd_notify(0, "STOPPING=1\nSTATUS=Stopping all units");
        units.shut_down([&loop] { loop.stop(0); });
    };
    Requests requests{units, shut_down};
    ControlServerOptions control_options;
    control_options.path = control_socket_path(options.runtime_folder);
    control_options.on_problem = [&](Error const& error) {
        units.shared().events.say(Weight::Warning, "control", "", to_string(error));
    };
    auto control = ControlServer::open(loop, std::move(control_options),
                                       [&](ControlRequest request) { requests.handle(std::move(request)); });
    if (!control)
        return refuse(control.error());
    auto share = ShareSocket::open(units, options.runtime_folder + "/handoff.sock");
    if (!share)
        return refuse(share.error());

    auto const on_term = loop.on_signal(SIGTERM, shut_down);
    auto const on_int = loop.on_signal(SIGINT, shut_down);
    auto const on_hup = loop.on_signal(SIGHUP, [&] {
        units.apply([&](Supervisor::Applied const& applied) {
            units.shared().events.say(applied.ok ? Weight::Normal : Weight::Failure, "applied", "",
                                      applied.ok ? "applied the unit files" : "apply: " + applied.message);
        });
    });
    loop.enable_watchdog();
    units.boot();
    sd_notify(0, "READY=1\nSTATUS=Holding sockets");
    spdlog::info("holdfastd " HOLDFAST_VERSION " is ready with {} units, control socket {}",
                 units.units().size(), control_socket_path(options.runtime_folder));

    auto const code = loop.run();
    if (!code)
        spdlog::critical("{}", to_string(code.error()));
    return code ? *code : 1;
}

} // namespace

} // namespace holdfast::daemon

int main(int argc, char** argv) {
    using namespace holdfast::daemon;
    auto const parsed = parse_options(argc, argv);
    if (!parsed.options)
        return parsed.exit_status;
    try {
        open_standard_descriptors();
        int const status = serve(*parsed.options);
        holdfast::close_log();
        return status;
    } catch (std::exception const& error) {
        std::fprintf(stderr, "holdfastd: %s\n", error.what());
        return 1;
    }
}
