// SPDX-License-Identifier: Apache-2.0
// From which shard the worker of a shard accepts: another slot's, for one that is a guest there. Of several
// the newest that is ready, else that was, else the oldest. A value, of one moment.
#pragma once

#include "lifecycle/state.h"
#include "supervisor/running_worker.h"
#include "supervisor/shard_custody.h"

#include <map>
#include <memory>
#include <vector>

namespace holdfast {

class Hosting {
public:
    Hosting(std::vector<std::unique_ptr<RunningWorker>> const& workers, lifecycle::UnitState const& state,
            ShardCustody const& shards);

    /// Where nobody is in it: where the next one will be.
    [[nodiscard]] Shard host_of(Shard shard) const;
    /// Two may meet in one.
    [[nodiscard]] Shares hosted(Shares const& shares) const;
    [[nodiscard]] std::vector<Shard> hosted(std::vector<Shard> const& shards) const;

private:
    ShardCustody const& shards_;
    std::map<Shard, Shard> hosts_;
};

} // namespace holdfast
