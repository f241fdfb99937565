// SPDX-License-Identifier: Apache-2.0
// The rows of [service].
#include "unit/codecs.h"
#include "unit/settings.h"

namespace holdfast {

namespace {

using Service = ServiceSpec;
constexpr auto in = Section::Service;

constexpr std::array<std::string_view, 1> later_types{"oneshot"};
constexpr std::array<std::string_view, 3> later_handoffs{"nginx", "server_starter", "einhorn"};
constexpr std::array<std::string_view, 0> none{};

constexpr auto type = setting<&Service::type, Word<ServiceType, later_types>>;
constexpr auto activation = setting<&Service::activation, Word<Activation, none>>;
constexpr auto on_full = setting<&Service::on_full, Word<OnFull, none>>;
constexpr auto handoff = setting<&Service::handoff, WordList<HandoffKind, later_handoffs>>;

constexpr std::array rows{
    type(in, "type", "exec",
         "When a started process counts as ready: when it says so (notify, notify-reload), when its program "
         "runs (exec), or at once (simple)."),
    setting<&Service::exec_start, CommandWords>(
        in, "exec_start", "required",
        "The program and its arguments; {fd:NAME}, {port:NAME}, {unit}, "
        "{instance}, {slot} and {generation} are replaced."),
    later(in, "exec_start_pre", "list of commands", "Commands that run before each start."),
    later(in, "exec_start_post", "list of commands", "Commands that run after each start."),
    setting<&Service::exec_reload, OptionalCommand>(
        in, "exec_reload", "none",
        "The command that makes a worker re-read its configuration; MAINPID is its process."),
    later(in, "exec_stop", "command", "The command that asks the program to end."),
    later(in, "exec_stop_post", "list of commands", "Commands that run after each end."),
    activation(in, "activation", "eager",
               "Whether workers run from the start (eager) or from the first traffic on (lazy)."),
    setting<&Service::accept, Flag>(in, "accept", "false",
                                    "One process for each connection, which holdfast accepts."),
    setting<&Service::max_connections, Whole<1, most_connections>>(
        in, "max_connections", "64", "With accept: how many connections are served at the same time."),
    setting<&Service::max_connections_per_source, Whole<0, most_connections>>(
        in, "max_connections_per_source", "0",
        "With accept: how many of them may be of one source; 0 is any number."),
    on_full(in, "on_full", "wait",
            "With accept: where max_connections are served, others wait in the kernel's queue (wait) or are "
            "reset (refuse)."),
    setting<&Service::idle_stop, Time<Allow::Zero>>(
        in, "idle_stop", "0s", "A lazy service ends when nobody was there for this long; 0 is never."),
    handoff(in, "handoff", "listen_fds", "The conventions by which a worker is given its sockets."),
    later(in, "sockets", "list of names", "Listeners of other units that this service is given too."),
    setting<&Service::workers, Workers>(
        in, "workers", "1", "How many processes serve at the same time; auto is one per allowed CPU."),
    setting<&Service::environment, Environment>(
        in, "environment", "empty",
        "Environment variables of the workers, with the placeholders of exec_start."),
    later(in, "environment_file", "list of paths", "Files with further environment variables."),
    later(in, "pass_environment", "list of names",
          "Variables of the supervisor's own environment that workers get."),
    setting<&Service::working_directory, AbsolutePath>(
        in, "working_directory", "/, or the user's supervisor's own", "The folder that workers start in."),
    later(in, "root_directory", "path", "The folder that workers see as /."),
    setting<&Service::user, Account>(in, "user", "the supervisor's", "The user that workers run as."),
    setting<&Service::group, Account>(in, "group", "the user's, or the supervisor's",
                                      "The group that workers run as."),
    later(in, "supplementary_groups", "list of names or numbers", "Further groups of the workers."),
    setting<&Service::umask, Maybe<Mode>>(in, "umask", "the supervisor's",
                                          "The file mode creation mask of the workers."),
    setting<&Service::limits, Limits>(in, "limits", "the supervisor's",
                                      "Resource limits of the workers, as in setrlimit(2)."),
    later(in, "nice", "number", "The scheduling priority of the workers, from -20 to 19."),
    later(in, "oom_score_adjust", "number", "How readily the kernel ends the workers when memory is short."),
    later(in, "cpu_affinity", "list of CPUs", "The CPUs that workers may run on."),
    setting<&Service::timeout_start, Time<Allow::Infinity>>(in, "timeout_start", "1min 30s",
                                                            "How long a worker may take to become ready."),
    setting<&Service::timeout_stop, Time<Allow::ZeroAndInfinity>>(
        in, "timeout_stop", "30s",
        "How long a worker may take to end after drain_signal, when the service is stopped."),
    setting<&Service::drain_signal, Signal>(in, "drain_signal", "SIGTERM",
                                            "The signal that asks a worker to finish its work and end."),
    later(in, "kill_signal", "signal", "The signal that is sent when drain_timeout has passed."),
    later(in, "final_kill_signal", "signal", "The signal that is sent when all others had no effect."),
    later(in, "kill_mode", "word", "Which processes of a worker are ended with it."),
    setting<&Service::reload_signal, Maybe<Signal>>(
        in, "reload_signal", "SIGHUP of notify-reload, else none",
        "The signal that makes a worker re-read its configuration."),
    setting<&Service::restart, Word<RestartWhen, none>>(
        in, "restart", "on-failure",
        "After which ends a worker is started again, as Restart= of systemd.service(5)."),
    setting<&Service::restart_delay, Time<Allow::Zero>>(
        in, "restart_delay", "100ms", "How long to wait before the first restart after a crash."),
    setting<&Service::restart_steps, Whole<0, 65535>>(
        in, "restart_steps", "8", "In how many steps the delay grows to restart_max_delay."),
    setting<&Service::restart_max_delay, Time<Allow::Zero>>(in, "restart_max_delay", "30s",
                                                            "The longest wait before a restart."),
    setting<&Service::start_limit_interval, Time<Allow::ZeroAndInfinity>>(
        in, "start_limit_interval", "10s",
        "The span in which restarts are counted against start_limit_burst."),
    setting<&Service::start_limit_burst, Whole<0, 65535>>(
        in, "start_limit_burst", "5",
        "How many restarts in start_limit_interval are made before a pause; 0 is any number."),
    later(in, "success_exit_status", "list of statuses",
          "Further exit statuses and signals that count as success."),
    later(in, "restart_prevent_exit_status", "list of statuses",
          "Exit statuses and signals after which there is no restart."),
    setting<&Service::watchdog, Time<Allow::Zero>>(
        in, "watchdog", "0s",
        "A worker that does not say WATCHDOG=1 this often is replaced; 0 asks for none."),
    setting<&Service::watchdog_signal, Signal>(in, "watchdog_signal", "SIGABRT",
                                               "The signal that ends a worker that missed its watchdog."),
    later(in, "standard_input", "word or path", "What the workers' standard input is."),
    later(in, "standard_output", "word or path", "Where the workers' standard output goes."),
    later(in, "standard_error", "word or path", "Where the workers' standard error goes."),
    later(in, "log_max_size", "size", "At which size a worker's log file is rotated."),
    later(in, "log_max_files", "number", "How many rotated log files are kept."),
    later(in, "log_max_age", "duration", "At which age a worker's log file is rotated."),
    setting<&Service::fd_store_max, Whole<0, most_stored_fds>>(
        in, "fd_store_max", "0",
        "How many descriptors its workers may leave for the next ones with FDSTORE=1; 0 is none."),
    later(in, "runtime_directory", "list of names", "Folders under /run that are made for the workers."),
    later(in, "state_directory", "list of names", "Folders under /var/lib that are made for the workers."),
    later(in, "cache_directory", "list of names", "Folders under /var/cache that are made for the workers."),
    later(in, "logs_directory", "list of names", "Folders under /var/log that are made for the workers."),
};

} // namespace

std::span<Setting const> service_settings() {
    return rows;
}

} // namespace holdfast
