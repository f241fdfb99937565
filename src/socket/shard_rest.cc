// SPDX-License-Identifier: Apache-2.0
#include "socket/shard_rest.h"

#include <algorithm>

namespace holdfast {

void RestWatch::see(GroupLook const& look, MonotonicTime looked_at) {
    queued_ = look.queued;
    has_counted_ = look.requests && looked_at >= settled_at();
    requests_ = look.requests.value_or(std::map<Shard, std::uint32_t>{});
    if (look.requests)
        return;
    std::set<std::uint64_t> const now{look.handshakes.begin(), look.handshakes.end()};
    if (!is_settled_) {
        handshakes_ = now;
        is_settled_ = looked_at >= settled_at();
        return;
    }
    std::erase_if(handshakes_, [&](std::uint64_t cookie) { return !now.contains(cookie); });
}

Rest RestWatch::rest_of(Shard shard) const {
    auto const found = queued_.find(shard);
    if (auto const counted = requests_.find(shard); counted != requests_.end()) {
        auto const queued = found == queued_.end() ? 0 : found->second;
        return {queued, counted->second - std::min(counted->second, queued), has_counted_};
    }
    return {found == queued_.end() ? 0 : found->second, static_cast<std::uint32_t>(handshakes_.size()),
            is_settled_};
}

bool RestWatch::are_at_rest(std::span<Shard const> shards) const {
    return std::all_of(shards.begin(), shards.end(),
                       [&](Shard shard) { return rest_of(shard).is_at_rest(); });
}

} // namespace holdfast
