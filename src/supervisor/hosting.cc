// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hosting.h"

#include "lifecycle/sharing.h"

namespace holdfast {

using namespace lifecycle;

Hosting::Hosting(std::vector<std::unique_ptr<RunningWorker>> const& workers, UnitState const& state,
                 ShardCustody const& shards)
    : shards_{shards} {
    std::map<WorkerId, Shard> places;
    for (auto const& worker : workers)
        places.emplace(WorkerId{worker->process.id()}, worker->shard);
    std::map<Shard, int> ranks;
    for (auto const& worker : state.workers) { // the oldest first
        auto const place = places.find(worker.id);
        if (place == places.end())
            continue;
        int const rank = worker.phase == WorkerPhase::Ready ? 2 : worker.was_ready ? 1 : 0;
        auto const [known, is_first] = ranks.try_emplace(shard_of(worker), rank);
        if (!is_first && (rank == 0 || rank < known->second))
            continue;
        known->second = rank;
        hosts_.insert_or_assign(shard_of(worker), place->second);
    }
}

Shard Hosting::host_of(Shard shard) const {
    auto const found = hosts_.find(shard);
    return found == hosts_.end() ? shards_.place_of(shard) : found->second;
}

std::vector<Shard> Hosting::hosted(std::vector<Shard> const& shards) const {
    std::vector<Shard> hosted;
    for (auto const shard : shards)
        hosted.push_back(host_of(shard));
    return hosted;
}

Shares Hosting::hosted(Shares const& shares) const {
    Shares hosted;
    for (auto const& [shard, weight] : shares)
        hosted[host_of(shard)] += weight;
    return hosted;
}

} // namespace holdfast
