// SPDX-License-Identifier: Apache-2.0
// UnitSpec: what one unit file says, checked and immutable. Made by parse_unit() (unit/parse.h) or, for
// `holdfast run`, by hand; read by everybody. It holds no descriptor and no state. Kept small: ten thousand
// of them are held at once.
#pragma once

#include "base/rare.h"
#include "base/time.h"
#include "base/words.h"
#include "unit/address.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace holdfast {

/// One [[socket]] table. Each of its addresses becomes a listener of this name.
struct SocketSpec {
    std::string name; ///< LISTEN_FDNAMES; default: the unit's name
    std::vector<ListenAddress> listen;
    int backlog = 4096;                     ///< listen(2); capped by net.core.somaxconn
    mode_t socket_mode = 0666;              ///< of a unix path, as SocketMode=
    bool free_bind = false;                 ///< IP_FREEBIND
    bool non_blocking = false;              ///< O_NONBLOCK left on for the workers
    bool reuse_port = false;                ///< a listener for each worker (TCP, UDP)
    std::uint16_t trigger_limit_burst = 20; ///< lazy: starts by traffic; 0: no limit
    Duration trigger_limit_interval = std::chrono::seconds{2};
    std::uint16_t poll_limit_burst =
        15; ///< times that this listener wakes us while traffic would start it; 0: no limit
    Duration poll_limit_interval = std::chrono::seconds{2};
    bool operator==(SocketSpec const&) const = default;
};

/// What tells a listener from any other: its address, and where the kernel chooses the port also the name of
/// its socket, so that two sockets may have any port and get one each.
struct ListenerIdentity {
    ListenerIdentity(std::string const& socket_name, ListenAddress const& at)
        : address{at}, name{!at.is_unix() && at.port == 0 ? socket_name : std::string{}} {}
    bool operator==(ListenerIdentity const&) const = default;

    ListenAddress address;
    std::string name;
};

struct IdentityHash {
    [[nodiscard]] std::size_t operator()(ListenerIdentity const& identity) const {
        auto const& address = identity.address;
        std::size_t const rest =
            static_cast<std::size_t>(address.port) << 8 | static_cast<std::size_t>(address.transport);
        return std::hash<std::string>{}(address.host) ^ std::hash<std::string>{}(identity.name) << 1 ^
               std::hash<std::size_t>{}(rest)*0x9e3779b97f4a7c15U;
    }
};

/// One row of `limits`: setrlimit(2).
struct LimitSpec {
    int resource = 0; ///< RLIMIT_…
    std::uint64_t soft = 0;
    std::uint64_t hard = 0; ///< RLIM_INFINITY for "infinity"
    bool operator==(LimitSpec const&) const = default;
};

/// One worker for each CPU that the supervisor may run on.
inline constexpr std::uint16_t workers_auto = 0;
inline constexpr std::uint16_t most_workers = 1024;
inline constexpr std::uint16_t most_stored_fds = 4096;
inline constexpr std::uint16_t most_connections = 10000;

struct ServiceSpec {
    ServiceType type = ServiceType::Exec;
    Activation activation = Activation::Eager;
    bool accept = false; ///< a process for each connection; the next three are for that alone
    OnFull on_full = OnFull::Wait;
    std::uint16_t max_connections = 64;           ///< 1 to most_connections
    std::uint16_t max_connections_per_source = 0; ///< to most_connections; 0: any number
    RestartWhen restart = RestartWhen::OnFailure;
    std::uint16_t workers = 1;          ///< 1 to most_workers, or workers_auto
    int drain_signal = 15;              ///< SIGTERM
    int watchdog_signal = 6;            ///< SIGABRT
    std::optional<int> reload_signal{}; ///< see signal_to_reload()
    std::vector<std::string>
        exec_start; ///< never empty; the first is an absolute path, or found on the default PATH
    std::vector<std::string> exec_reload; ///< empty: no command
    std::vector<std::pair<std::string, std::string>> environment;
    std::vector<HandoffKind> handoff{HandoffKind::ListenFds};
    std::vector<LimitSpec> limits;
    std::string working_directory; ///< empty: "/" (system) or the supervisor's own (user)
    std::string user;              ///< name or number; empty: the supervisor's
    std::string group;
    std::optional<mode_t> umask;
    Duration idle_stop{0}; ///< lazy: 0 or forever: never
    Duration timeout_start = std::chrono::seconds{90};
    Duration timeout_stop = std::chrono::seconds{30};
    Duration watchdog{0}; ///< 0: none
    Duration restart_delay = std::chrono::milliseconds{100};
    Duration restart_max_delay = std::chrono::seconds{30};
    std::uint16_t restart_steps = 8;
    std::uint16_t start_limit_burst = 5;
    std::uint16_t fd_store_max = 0; ///< to most_stored_fds; of the unit, not of each worker
    Duration start_limit_interval = std::chrono::seconds{10};

    /// What makes it re-read its configuration, after exec_reload if there is one. 0: no signal.
    [[nodiscard]] int signal_to_reload() const {
        constexpr int sighup = 1; // ReloadSignal= of systemd.service(5)
        return reload_signal.value_or(type == ServiceType::NotifyReload ? sighup : 0);
    }
    [[nodiscard]] bool can_reload() const { return !exec_reload.empty() || signal_to_reload() != 0; }
    bool operator==(ServiceSpec const&) const = default;
};

struct RolloutSpec {
    Strategy strategy = Strategy::Overlap;
    std::uint16_t max_surge = 1;
    std::uint16_t max_unavailable = 0; ///< not both 0
    CanarySteps steps{5, 25, 50};
    Duration hold = std::chrono::seconds{30};
    std::uint16_t max_generations = 3;
    Duration probation = std::chrono::seconds{5};
    std::optional<Duration> drain_timeout; ///< default: timeout_stop
    bool operator==(RolloutSpec const&) const = default;
};

/// Exactly one of http, tcp and exec says how a worker is probed.
struct HealthSpec {
    std::string http; ///< a path; empty: not by HTTP
    bool tcp = false;
    std::vector<std::string> exec; ///< program and arguments; empty: not by a command
    Duration interval = std::chrono::seconds{1};
    Duration timeout = std::chrono::seconds{1};
    std::uint16_t failures = 3; ///< in a row, 1 or more
    bool operator==(HealthSpec const&) const = default;
};

/// Who else may fetch the unit's listeners from handoff.sock: names or numbers.
struct ShareSpec {
    std::vector<std::string> users;
    std::vector<std::string> groups;
    bool operator==(ShareSpec const&) const = default;
};

/// The stamp of the files that last said what the spec says (unit/source_stamp.h), 0: read them again. It is
/// no part of what they say, so it may change, and any two are equal.
struct SpecSource {
    mutable std::uint64_t stamp = 0;
    bool operator==(SpecSource const&) const { return true; }
};

/// How the traffic of its `reuse_port` sockets is steered.
struct SteeringSpec {
    SteeringMode mode = SteeringMode::Hash;
    // payload_byte: the worker that a packet names is (byte at `offset` of its data & mask) >> shift
    std::uint8_t mask = 0xff;
    std::uint8_t shift = 0; ///< 0 to 7
    std::uint16_t offset = 0;
    [[nodiscard]] std::uint8_t highest_id() const { return static_cast<std::uint8_t>(mask >> shift); }
    bool operator==(SteeringSpec const&) const = default;
};

struct UnitSpec {
    std::string name;
    std::string path; ///< the file it came from; empty for a unit made by a command
    SpecSource source;
    std::string description;
    std::vector<std::string> documentation;
    bool start_at_boot = true;
    std::vector<SocketSpec> sockets;
    ServiceSpec service;
    RolloutSpec rollout;
    Rare<HealthSpec> health;
    Rare<ShareSpec> share;
    SteeringSpec steering;

    [[nodiscard]] Duration drain_timeout() const {
        return rollout.drain_timeout.value_or(service.timeout_stop);
    }
    bool operator==(UnitSpec const&) const = default;
};

using UnitSpecPtr = std::shared_ptr<UnitSpec const>;

} // namespace holdfast
