// SPDX-License-Identifier: Apache-2.0
// The words that unit files, the lifecycle core and the supervisor must agree on, with their spelling.
// Names and meanings are systemd.service(5)'s where it has them.
#pragma once

#include "base/enum_names.h"

#include <cstdint>

namespace holdfast {

/// When is a started process ready? notify: it says READY=1; exec: its program was executed; simple: it was
/// forked. notify-reload: as notify, and it says RELOADING=1 and then READY=1 when it reloads.
enum class ServiceType : std::uint8_t { Notify, NotifyReload, Exec, Simple };
constexpr auto enum_table(ServiceType) {
    return std::array{EnumName{ServiceType::Notify, "notify"},
                      EnumName{ServiceType::NotifyReload, "notify-reload"},
                      EnumName{ServiceType::Exec, "exec"}, EnumName{ServiceType::Simple, "simple"}};
}
/// By which sign it is ready: one of Notify, Exec, Simple.
constexpr ServiceType sign_of(ServiceType type) {
    return type == ServiceType::NotifyReload ? ServiceType::Notify : type;
}

/// eager: workers run from the start; lazy: the first traffic starts them.
enum class Activation : std::uint8_t { Eager, Lazy };
constexpr auto enum_table(Activation) {
    return std::array{EnumName{Activation::Eager, "eager"}, EnumName{Activation::Lazy, "lazy"}};
}

/// After which kinds of exit is a worker replaced? The table is that of Restart= in systemd.service(5).
enum class RestartWhen : std::uint8_t { No, OnSuccess, OnFailure, OnAbnormal, OnWatchdog, OnAbort, Always };
constexpr auto enum_table(RestartWhen) {
    return std::array{EnumName{RestartWhen::No, "no"},
                      EnumName{RestartWhen::OnSuccess, "on-success"},
                      EnumName{RestartWhen::OnFailure, "on-failure"},
                      EnumName{RestartWhen::OnAbnormal, "on-abnormal"},
                      EnumName{RestartWhen::OnWatchdog, "on-watchdog"},
                      EnumName{RestartWhen::OnAbort, "on-abort"},
                      EnumName{RestartWhen::Always, "always"}};
}

/// How one generation replaces the other. overlap: the new one starts beside the old; rolling: slot by slot;
/// canary: the new one gets a growing share first; replace: the old one ends first; in_place: no new one, the
/// program reloads itself.
enum class Strategy : std::uint8_t { Overlap, Rolling, Canary, Replace, InPlace };
constexpr auto enum_table(Strategy) {
    return std::array{EnumName{Strategy::Overlap, "overlap"}, EnumName{Strategy::Rolling, "rolling"},
                      EnumName{Strategy::Canary, "canary"}, EnumName{Strategy::Replace, "replace"},
                      EnumName{Strategy::InPlace, "in_place"}};
}

inline constexpr std::size_t most_canary_steps = 8;
/// The percentages of new connections that a canary gets, one after the other, 1 to 99 and ascending; 0
/// behind the last one.
using CanarySteps = std::array<std::uint8_t, most_canary_steps>;

/// By what a `reuse_port` socket's new connections (or packets) choose their worker, within the weights.
/// hash: by the client's address and port; cpu: by the CPU that got the packet; random: by nothing;
/// least_loaded: as hash, and away from who does not accept; payload_byte: by a byte of the packet, which
/// names the worker.
enum class SteeringMode : std::uint8_t { Hash, Cpu, Random, LeastLoaded, PayloadByte };
constexpr auto enum_table(SteeringMode) {
    return std::array{EnumName{SteeringMode::Hash, "hash"}, EnumName{SteeringMode::Cpu, "cpu"},
                      EnumName{SteeringMode::Random, "random"},
                      EnumName{SteeringMode::LeastLoaded, "least_loaded"},
                      EnumName{SteeringMode::PayloadByte, "payload_byte"}};
}

/// A convention by which a worker is given its sockets.
enum class HandoffKind { ListenFds, ScmRights, Inetd };
constexpr auto enum_table(HandoffKind) {
    return std::array{EnumName{HandoffKind::ListenFds, "listen_fds"},
                      EnumName{HandoffKind::ScmRights, "scm_rights"}, EnumName{HandoffKind::Inetd, "inetd"}};
}

/// What becomes of a connection where as many are served as may be. wait: it stays in the kernel's queue;
/// refuse: it is accepted and reset.
enum class OnFull : std::uint8_t { Wait, Refuse };
constexpr auto enum_table(OnFull) {
    return std::array{EnumName{OnFull::Wait, "wait"}, EnumName{OnFull::Refuse, "refuse"}};
}

} // namespace holdfast
