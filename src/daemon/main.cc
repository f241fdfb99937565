// SPDX-License-Identifier: Apache-2.0
// main of holdfastd, a table of contents: options, runtime folder, log, event loop, units, control socket,
// serve, end.
#include "control/bind.h"
#include "daemon/config.h"
#include "daemon/job.h"
#include "daemon/options.h"
#include "daemon/upwards.h"
#include "event/aside.h"
#include "supervisor/log.h"
#include "supervisor/process_setup.h"
#include "supervisor/requests.h"
#include "supervisor/runtime_folder.h"
#include "supervisor/share_socket.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>

#include <unistd.h>

namespace holdfast::daemon {

namespace {

constexpr char const* kept_settings = "settings"; // with the keeper: holdfast.toml, as it was accepted
constexpr Duration patience_for_keeper = std::chrono::seconds{10};
constexpr int bad_settings = 78; // EX_CONFIG of sysexits.h: to try again changes nothing

int refuse(Error const& error) {
    std::fprintf(stderr, "holdfastd: %s\n", to_string(error).c_str());
    return 1;
}

Result<std::string> log_folder(Options const& options, std::string const& configured) {
    if (!configured.empty())
        return configured;
    if (options.runtime_folder_given)
        return options.runtime_folder + "/log";
    if (options.mode == RunMode::System)
        return std::string{"/var/log/holdfast"};
    if (char const* state = ::getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/')
        return std::string{state} + "/holdfast/log";
    if (char const* home = ::getenv("HOME"); home != nullptr && home[0] == '/')
        return std::string{home} + "/.local/state/holdfast/log";
    return plain_error("there is no place for the workers' output: HOME is not set", {},
                       "set HOME, or give --runtime-dir");
}

/// Where the workers' output goes to files. An error leaves it to go through.
Outcome open_log_folder(Options const& options, DaemonSpec const& spec, Surroundings& around) {
    auto folder = log_folder(options, spec.log_dir);
    if (!folder)
        return std::move(folder).error();
    if (auto opened = open_own_folder(*folder, 0750, "log folder"); !opened) {
        auto error = std::move(opened).error();
        error.advice += ", or let the workers' output through by --foreground";
        return error;
    }
    around.output = Output::Kind::File;
    around.log_folder = std::move(folder).value();
    return {};
}

/// `problems`: null where each is an error; else who is needed more than his log says them later.
Result<Surroundings> find_surroundings(Options const& options, DaemonSpec const& spec,
                                       std::vector<LimitSpec> limits, std::vector<std::string>* problems) {
    Surroundings around;
    around.mode = options.mode;
    around.limits = std::move(limits);
    if (options.mode == RunMode::User)
        around.environment = services_environment();
    around.output = Output::Kind::Through;
    if (options.foreground)
        return around;
    if (::access("/run/systemd/journal/stdout", W_OK) == 0) {
        around.output = Output::Kind::Journal;
        around.journal_unit = own_unit(options.mode);
    } else if (auto opened = open_log_folder(options, spec, around); !opened) {
        if (problems == nullptr)
            return std::move(opened).error();
        problems->push_back(to_string(opened.error()) + "; the workers' output goes through meanwhile");
    }
    return around;
}

std::string count_text(Supervisor const& supervisor) {
    auto const count = supervisor.units().size();
    return std::to_string(count) + (count == 1 ? " unit" : " units");
}

/// What the holdfastd before us has left with the keeper, where there is one.
struct Inheritance {
    std::optional<KeeperLink> keeper;
    Dump found;

    /// What was passed to the keeper, or to us where there is none.
    [[nodiscard]] Passed take_passed() {
        if (!keeper)
            return passed_by_environment();
        std::map<int, std::pair<std::string, UniqueFd>> in_order;
        for (auto& held : found.held)
            if (std::string_view name = held.name; name.starts_with(passed_prefix)) {
                name.remove_prefix(passed_prefix.size());
                auto const number = parse_number(take_word(name), std::numeric_limits<int>::max());
                in_order[number.value_or(0)] = {std::string{name}, std::move(held.fd)};
            }
        Passed passed;
        for (auto& [number, entry] : in_order)
            passed[entry.first].push_back(std::move(entry.second));
        return passed;
    }
    /// One that belongs to no unit.
    [[nodiscard]] UniqueFd take(std::string_view name) {
        for (auto& held : found.held)
            if (held.name == name)
                return std::move(held.fd);
        return {};
    }
};

Result<Inheritance> inherit() {
    Inheritance inheritance;
    auto keeper = KeeperLink::inherited();
    if (!keeper)
        return std::move(keeper).error();
    if (!*keeper)
        return inheritance;
    inheritance.keeper = std::move(*keeper);
    auto found = inheritance.keeper->dump(patience_for_keeper);
    if (!found)
        return std::move(found).error();
    inheritance.found = std::move(found).value();
    return inheritance;
}

/// Who comes after a crash, or after a successor that failed, is needed more than what its settings say. So
/// is who comes for sockets that outlived the keeper: clients wait in them.
bool is_fresh(Inheritance const& inherited) {
    if (!inherited.keeper || inherited.found.start.reason == StartReason::Upgrade)
        return true;
    auto const is_socket = [](HeldFd const& held) { return is_of_sockets(held.name); };
    return inherited.found.start.reason == StartReason::First &&
           std::ranges::none_of(inherited.found.held, is_socket);
}

Result<Config> read_config(Options& options, Inheritance& inherited) {
    auto const kept = inherited.take(kept_settings);
    if (is_fresh(inherited))
        return Config::read(options);
    if (auto accepted = kept.is_open() ? text_of(kept) : std::nullopt)
        return Config::resume(options, std::move(*accepted));
    return Config::read_what_is_right(options);
}

int serve(Options options) {
    SignalMask const mask{SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR1, SIGUSR2};
    auto limits = raise_descriptor_limit(); // what is inherited may be more than we were given room for
    auto inherited = inherit();
    if (!inherited)
        return refuse(inherited.error());
    auto config = read_config(options, *inherited);
    if (!config) {
        refuse(config.error());
        return bad_settings;
    }
    auto const lock = take_runtime_folder(options.runtime_folder, inherited->take("lock"));
    if (!lock)
        return refuse(lock.error());
    std::vector<std::string> problems;
    auto around = find_surroundings(options, config->spec(), std::move(limits),
                                    is_fresh(*inherited) ? nullptr : &problems);
    if (!around)
        return refuse(around.error());
    open_log({.to_journal = !options.foreground && has_journal()});
    set_log_level(config->spec().log_level);
    for (auto const& problem : config->problems())
        problems.push_back(to_string(problem));
    for (auto const& problem : problems)
        log_line(Weight::Failure, problem);
    if (auto const& group = config->spec().group; group != DaemonSpec{}.group && !find_control_group(group))
        log_line(Weight::Warning, "there is no group `" + group + "`, so nobody may control holdfastd by it");

    auto made = EventLoop::create();
    if (!made)
        return refuse(made.error());
    auto& loop = **made;
    Upwards upwards{loop, inherited->keeper ? Upwards::As::Parent : Upwards::As::Itself};
    std::function<void(DaemonSpec const&)> const nothing;
    std::function<void(DaemonSpec const&)> take_over;
    auto passed = inherited->take_passed();
    auto kept_control = inherited->take("control");
    auto kept_share = inherited->take("share");
    auto supervisor = Supervisor::create(
        loop, {.unit_folders = options.unit_folders,
               .unit_folders_must_exist = options.unit_folders_given,
               .runtime_folder = options.runtime_folder,
               .around = std::move(around).value(),
               .keeper = std::move(inherited->keeper),
               .found = std::move(inherited->found),
               .passed = std::move(passed),
               .may_use_cgroups = true,
               .cgroup_is_given = options.delegated,
               .reread = [&](bool take) { return config->reread(take ? take_over : nothing); }});
    if (!supervisor)
        return refuse(supervisor.error());
    auto& units = **supervisor;
    take_over = [&units](DaemonSpec const& spec) {
        set_log_level(spec.log_level);
        units.shared().most_instances = spec.max_connections;
    };
    take_over(config->spec());
    if (!units.why_no_cgroups().empty())
        log_line(Weight::Normal, units.why_no_cgroups());

    auto* const keeping = units.shared().keeping.get();
    // Below a keeper the next one needs all that we have taken back, also what is at a path.
    auto const refuse_late = [keeping](Error const& error) {
        int const status = refuse(error);
        if (keeping != nullptr) {
            close_log();
            ::_exit(status);
        }
        return status;
    };
    bool is_ending = false;
    auto const shut_down = [&] {
        is_ending = true;
        if (keeping != nullptr)
            keeping->tell_stopping();
        upwards.say_stopping();
        units.shut_down([&loop] { loop.stop(0); });
    };
    Requests requests{units, shut_down};
    ControlServerOptions control_options;
    control_options.path = control_socket_path(options.runtime_folder);
    control_options.group = config->spec().group;
    control_options.mode = config->spec().mode;
    control_options.on_problem = [&](Error const& error) {
        units.shared().events.say(Weight::Warning, "control", "", to_string(error));
    };
    auto control = ControlServer::open(
        loop, std::move(control_options),
        [&](ControlRequest request) { requests.handle(std::move(request)); }, std::move(kept_control));
    if (!control)
        return refuse_late(control.error());
    auto share = ShareSocket::open(units, options.runtime_folder + "/handoff.sock", std::move(kept_share));
    if (!share)
        return refuse_late(share.error());
    if (keeping != nullptr)
        keeping->put_lasting(
            {{"lock", *lock}, {"control", (*control)->socket()}, {"share", (*share)->socket()}});

    // Where sockets outlive us they are left to who comes after us, unless nobody does: so by `holdfast
    // shutdown`, and where systemd says so.
    Aside asking;
    auto const make_way = [&] {
        if (keeping == nullptr || !keeping->start().stored || asking || is_ending)
            return shut_down();
        units.announce_shut_down();
        keeping->tell_stopping();
        keeping->leave_sockets(true);
        asking = find_aside(
            loop, [mode = options.mode] { return is_stopped_for_good(mode); },
            [&](bool for_good) {
                keeping->leave_sockets(!for_good);
                if (!is_ending)
                    shut_down();
            });
    };
    auto const on_term = loop.on_signal(SIGTERM, make_way);
    auto const on_int = loop.on_signal(SIGINT, make_way);
    auto const on_hup = loop.on_signal(SIGHUP, [&] {
        upwards.say(
            "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(MonotonicTime::now().since_boot().count()) +
            "\nSTATUS=Applying the unit files");
        units.apply({}, [&](Supervisor::Applied const& applied) {
            upwards.say("READY=1\nSTATUS=" + count_text(units));
            units.shared().events.say(applied.ok ? Weight::Normal : Weight::Failure, "applied", "",
                                      applied.ok ? "applied the unit files" : "apply: " + applied.message);
        });
    });
    upwards.feed_watchdog([keeping](Duration within) {
        if (keeping != nullptr)
            keeping->tell_alive(within);
    });
    units.boot();
    if (keeping != nullptr) {
        keeping->put_lasting_text(kept_settings, config->text());
        keeping->tell_ready();
    }
    upwards.say("READY=1\nSTATUS=" + count_text(units));
    log_line(Weight::Normal, "holdfastd " HOLDFAST_VERSION " is ready with " + count_text(units) +
                                 ", control socket " + control_socket_path(options.runtime_folder));

    auto const code = loop.run();
    if (code && *code == start_successor) { // it takes over all of this: nothing is to be ended here
        close_log();
        ::_exit(start_successor);
    }
    if (!code)
        return refuse_late(code.error());
    return *code;
}

} // namespace

} // namespace holdfast::daemon

int main(int argc, char** argv) {
    using namespace holdfast::daemon;
    auto const parsed = parse_options(argc, argv);
    if (!parsed.options)
        return parsed.exit_status;
    try {
        holdfast::open_standard_descriptors();
        int const status = serve(*parsed.options);
        holdfast::close_log();
        return status;
    } catch (std::exception const& error) {
        std::fprintf(stderr, "holdfastd: %s\n", error.what());
        return 1;
    }
}
