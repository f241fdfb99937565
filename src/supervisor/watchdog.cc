// SPDX-License-Identifier: Apache-2.0
// What a UnitRunner does about its workers' watchdogs. One alarm per unit, moved by each ping, so that nobody
// is woken up but for a deadline that was missed.
#include "supervisor/watchdog.h"

#include "supervisor/unit_runner.h"
#include "worker/core_file.h"

#include <algorithm>

namespace holdfast {

using namespace lifecycle;

namespace {

/// From the signal on; what has begun later is waited for.
constexpr Duration time_to_begin_dump = std::chrono::milliseconds{50};

} // namespace

void UnitRunner::hear_watchdog(RunningWorker& worker, NotifyMessage const& message) {
    auto const now = MonotonicTime::now();
    if (message.watchdog)
        worker.watchdog.change_period(*message.watchdog, now);
    if (message.ping)
        worker.watchdog.ping(now);
    if (message.trigger && worker.watchdog.is_watching())
        miss_watchdog(worker, now);
    arm_timer();
}

void UnitRunner::start_watchdog(RunningWorker& worker, ServiceType sign) {
    if (sign_of(worker.spec->service.type) == sign)
        worker.watchdog.start(MonotonicTime::now());
}

void UnitRunner::ring_watchdogs(MonotonicTime now) {
    // What they said is heard first: we may be late ourselves.
    auto const is_due = [&](auto const& worker) { return worker->watchdog.due() <= now; };
    if (std::none_of(workers_.begin(), workers_.end(), is_due))
        return;
    if (shared_.notify)
        shared_.notify->drain();
    shared_.loop.set_owner(number_); // those messages were of other units
    for (auto const& worker : workers_) {
        if (!is_due(worker))
            continue;
        if (worker->watchdog.is_missed()) {
            worker->watchdog.kill();
            worker->process.kill_group();
        } else
            miss_watchdog(*worker, now);
    }
}

void UnitRunner::miss_watchdog(RunningWorker& worker, MonotonicTime now) {
    auto const& service = worker.spec->service;
    end_watches(worker);
    if (is_dumping_core(worker.process.pid())) // which is why
        return hear_core_dump(worker.process.pid());
    worker.watchdog.miss(now + service.timeout_stop);
    // A failure means that it is dead already; its death is about to be told.
    (void)worker.process.send(service.watchdog_signal);
    // SIGABRT makes it dump core, and its slot is not to wait for that.
    worker.dump_grace =
        shared_.loop.at(now + time_to_begin_dump, [this, id = static_cast<WorkerId>(worker.process.id())] {
            shared_.loop.set_owner(number_);
            if (auto* const found = find(id))
                look_for_dump(*found);
        });
    happen(WatchdogMissed{static_cast<WorkerId>(worker.process.id())});
}

} // namespace holdfast
