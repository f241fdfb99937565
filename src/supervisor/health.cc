// SPDX-License-Identifier: Apache-2.0
// What a UnitRunner does about [health]: each worker has a listener of its own and somebody who probes it,
// from its execution until it goes.
#include "supervisor/unit_runner.h"
#include "worker/core_file.h"

#include <algorithm>

namespace holdfast {

using namespace lifecycle;

Result<PrivateListener> UnitRunner::private_listener(UnitSpec const& spec) const {
    // What holds for all that the worker is given holds for this one too: it is served by the same loop.
    bool const non_blocking =
        !spec.sockets.empty() && std::all_of(spec.sockets.begin(), spec.sockets.end(),
                                             [](SocketSpec const& socket) { return socket.non_blocking; });
    return open_private_listener(non_blocking);
}

void UnitRunner::add_prober(RunningWorker& worker, PrivateListener listener) {
    auto const id = static_cast<WorkerId>(worker.process.id());
    WorkerPlace const place{static_cast<std::uint16_t>(worker.slot),
                            static_cast<std::uint32_t>(worker.generation)};
    worker.prober = std::make_unique<Prober>(shared_.loop, Prober::Subject{worker.spec, place, number_},
                                             std::move(listener), shared_.around, shared_.other_mains,
                                             [this, id](bool passed) { hear_probe(id, passed); });
}

void UnitRunner::hear_probe(WorkerId id, bool passed) {
    if (is_broken_)
        return;
    auto* const worker = find(id);
    if (passed) {
        happen(ProbePassed{id});
        if (worker->reloading && worker->reloading->awaits_probe) {
            worker->reloading.reset();
            happen(Reloaded{id});
        }
        return;
    }
    if (is_dumping_core(worker->process.pid()))
        return hear_core_dump(worker->process.pid());
    auto& known = underway().unhealthy;
    std::erase_if(known, [&](Ending const& one) { return one.worker == id; });
    known.push_back({id, worker->process.pid(), worker->prober->why()});
    happen(ProbeFailed{id});
}

std::string UnitRunner::unhealthy_text(WorkerId id) const {
    if (underway_)
        for (auto const& one : underway_->unhealthy)
            if (one.worker == id)
                return one.text;
    return "its probes failed";
}

void UnitRunner::end_watches(RunningWorker& worker) {
    worker.reloading.reset();
    worker.watchdog.end();
    if (worker.prober)
        worker.prober->stop();
}

} // namespace holdfast
