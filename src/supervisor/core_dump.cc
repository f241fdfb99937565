// SPDX-License-Identifier: Apache-2.0
// A worker that dumps core serves nobody any more, but ends only when its core is written, seconds later. To
// the lifecycle it is dead as soon as the dump begins, so that its replacement does not wait for the disk.
#include "supervisor/unit_runner.h"
#include "worker/core_file.h"

#include <algorithm>

#include <unistd.h>

namespace holdfast {

using namespace lifecycle;

namespace {

/// Most dumps are small, or none at all (RLIMIT_CORE is 0): those end at once, and their exit status tells
/// more.
constexpr Duration grace = std::chrono::milliseconds{20};

std::string size_text(std::uint64_t bytes) {
    constexpr std::uint64_t mebibyte = 1U << 20;
    return bytes < mebibyte ? std::to_string(bytes / 1024) + " KiB"
                            : std::to_string(bytes / mebibyte) + " MiB";
}

std::optional<CoreFile> core_of(RunningWorker const& worker, ExitStatus status) {
    if (!status.dumped_core)
        return std::nullopt;
    DumpedProcess process{worker.process.pid(), status.signal, worker.spec->service.exec_start.front(),
                          worker.spec->service.working_directory};
    process.command.erase(0, process.command.rfind('/') + 1);
    if (process.folder.empty()) { // "/" (system), or the supervisor's own
        std::array<char, 4096> folder{};
        process.folder = ::getcwd(folder.data(), folder.size()) != nullptr ? folder.data() : "/";
    }
    return find_core_file(process);
}

} // namespace

std::string dump_cost(RunningWorker const& worker, ExitStatus status) {
    auto const core = core_of(worker, status);
    if (!core || !core->since)
        return {};
    return "; its place was empty for " + to_short_string(*core->since) + " while its core of " +
           size_text(core->bytes) + " was written";
}

void UnitRunner::look_for_dump(RunningWorker& worker) {
    if (is_dumping_core(worker.process.pid()))
        hear_core_dump(worker.process.pid());
}

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
    auto const* const missed = missed_text(**found);
    (*found)->handoff.reset();
    end_watches(**found);
    dumping_.push_back(std::move(*found));
    workers_.erase(found);
    underway().endings.push_back(
        {id, pid, std::string{missed} + "killed by a signal, and its core is being written"});
    sockets_.mend([this](Listener const& listener) { tell_renewed(listener); });
    happen(Exited{id, ExitKind::CoreDump});
}

/// True if it was one that was replaced while it dumped.
bool UnitRunner::forget_dumped(WorkerProcess const& worker, ExitStatus status) {
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
    if (auto const core = core_of(**found, status))
        event.text += " of " + size_text(core->bytes);
    shared_.events.add(std::move(event));
    bury(worker);
    return true;
}

} // namespace holdfast
