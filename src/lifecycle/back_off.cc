// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/back_off.h"

#include <algorithm>
#include <cmath>

namespace holdfast::lifecycle {

namespace {

Ending ending_by_itself(ExitKind kind) {
    switch (kind) {
    case ExitKind::Clean:
        return Ending::Clean;
    case ExitKind::UncleanCode:
        return Ending::UncleanCode;
    case ExitKind::UncleanSignal:
    case ExitKind::CoreDump:
        return Ending::UncleanSignal;
    }
    return Ending::UncleanSignal;
}

} // namespace

Ending ending_of(Worker const& worker, ExitKind kind) {
    if (worker.missed_watchdog)
        return Ending::Watchdog;
    switch (worker.phase) {
    case WorkerPhase::Starting: // systemd's result "protocol"
        return kind == ExitKind::Clean ? Ending::Timeout : ending_by_itself(kind);
    case WorkerPhase::Ready:
        return ending_by_itself(kind);
    case WorkerPhase::Draining: // in a serving generation only a missed start deadline, or the probes of one
                                // that is not ready yet, make us tell one to go
        return worker.told ? Ending::Timeout : ending_by_itself(kind);
    case WorkerPhase::Killed:
        return Ending::Timeout;
    }
    return Ending::Timeout;
}

bool is_restarted(RestartWhen when, Ending ending) {
    switch (when) {
    case RestartWhen::No:
        return false;
    case RestartWhen::OnWatchdog:
        return ending == Ending::Watchdog;
    case RestartWhen::OnSuccess:
        return ending == Ending::Clean;
    case RestartWhen::OnFailure:
        return ending != Ending::Clean;
    case RestartWhen::OnAbnormal:
        return ending == Ending::UncleanSignal || ending == Ending::Timeout || ending == Ending::Watchdog;
    case RestartWhen::OnAbort:
        return ending == Ending::UncleanSignal;
    case RestartWhen::Always:
        return true;
    }
    return false;
}

Duration restart_delay(Policy const& policy, unsigned tries) {
    auto const first = policy.restart_delay;
    auto const last = policy.restart_max_delay;
    if (tries == 0)
        return Duration::zero();
    if (tries == 1 || policy.restart_steps == 0 || first <= Duration::zero() || last == forever ||
        first >= last)
        return first;
    if (tries > policy.restart_steps)
        return last;
    double const growth = static_cast<double>(last.count()) / static_cast<double>(first.count());
    double const delay =
        static_cast<double>(first.count()) * std::pow(growth, (tries - 1.0) / policy.restart_steps);
    return std::clamp(Duration{static_cast<Duration::rep>(delay)}, first, last);
}

bool was_healthy(Worker const& worker, Policy const& policy, MonotonicTime now) {
    auto const long_enough = std::max(policy.restart_delay, policy.restart_max_delay);
    return worker.phase == WorkerPhase::Ready && now - worker.since >= long_enough;
}

} // namespace holdfast::lifecycle
