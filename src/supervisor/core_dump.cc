// SPDX-License-Identifier: Apache-2.0
// A worker that dumps core serves nobody any more, but ends only when its core is written, seconds later. To
// the lifecycle it is dead as soon as the dump begins, so that its replacement does not wait for the disk.
#include "supervisor/unit_runner.h"

#include <algorithm>

namespace holdfast {

using namespace lifecycle;

namespace {

/// Most dumps are small, or none at all (RLIMIT_CORE is 0): those end at once, and their exit status tells
/// more.
constexpr Duration grace = std::chrono::milliseconds{20};

} // namespace

void UnitRunner::hear_core_dump(pid_t pid) {
    shared_.loop.set_owner(number_);
    auto* const worker = find_by_process(pid);
    if (worker == nullptr || worker->process.pid() != pid || worker->dumps_since != MonotonicTime::never())
        return;
    worker->dumps_since = MonotonicTime::now();
    worker->dump_grace = shared_.loop.at(worker->dumps_since + grace,
                                         [this, id = static_cast<WorkerId>(worker->process.id())] {
                                             shared_.loop.set_owner(number_);
                                             replace_dumping(id);
                                         });
}

void UnitRunner::replace_dumping(WorkerId id) {
    auto const found = std::find_if(workers_.begin(), workers_.end(), [&](auto const& worker) {
        return static_cast<WorkerId>(worker->process.id()) == id;
    });
    if (found == workers_.end() || is_broken_)
        return;
    auto const pid = (*found)->process.pid();
    (*found)->handoff.reset();
    end_watches(**found);
    dumping_.push_back(std::move(*found));
    workers_.erase(found);
    underway().endings.push_back({id, pid, "killed by a signal, and its core is being written"});
    sockets_.mend([this](Listener const& listener) { tell_renewed(listener); });
    happen(Exited{id, ExitKind::CoreDump});
}

/// True if it was one that was replaced while it dumped.
bool UnitRunner::forget_dumped(WorkerProcess const& worker) {
    auto const found = std::find_if(dumping_.begin(), dumping_.end(),
                                    [&](auto const& dumping) { return &dumping->process == &worker; });
    if (found == dumping_.end())
        return false;
    Event event;
    event.unit = wanted_->name;
    event.kind = "core-written";
    event.worker = worker.id();
    event.pid = worker.pid();
    event.text = "worker " + std::to_string(worker.id()) + " took " +
                 to_short_string(MonotonicTime::now() - (*found)->dumps_since) + " to dump its core";
    shared_.events.add(std::move(event));
    forget(worker);
    return true;
}

} // namespace holdfast
