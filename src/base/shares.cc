// SPDX-License-Identifier: Apache-2.0
#include "base/shares.h"

#include "base/ensure.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace holdfast {

namespace {

/// Gives `amount` to `shards` as evenly as whole numbers go.
void spread(Shares& shares, std::span<Shard const> shards, std::uint32_t amount) {
    auto const count = static_cast<std::uint32_t>(shards.size());
    for (std::uint32_t i = 0; i < count; ++i)
        shares[shards[i]] += amount / count + (i < amount % count ? 1 : 0);
}

/// Gives `amount` to `shares` in the proportion of their weights. Rounding down loses less than one each; the
/// heaviest take that, one each.
void add_in_proportion(Shares& shares, std::uint32_t amount) {
    std::uint64_t total = 0;
    for (auto const& [shard, weight] : shares)
        total += weight;
    std::vector<Shares::value_type*> heaviest_first;
    std::uint32_t rest = amount;
    for (auto& row : shares) {
        auto const part = static_cast<std::uint32_t>(std::uint64_t{row.second} * amount / total);
        row.second += part;
        rest -= part;
        heaviest_first.push_back(&row);
    }
    std::stable_sort(heaviest_first.begin(), heaviest_first.end(),
                     [](auto const* a, auto const* b) { return a->second > b->second; });
    for (std::uint32_t i = 0; i < rest; ++i)
        ++heaviest_first[i]->second;
}

Shares of_bank(Shares const& shares, Bank bank) {
    Shares found;
    std::copy_if(shares.begin(), shares.end(), std::inserter(found, found.end()),
                 [&](auto const& row) { return row.first.bank == bank; });
    return found;
}

std::uint32_t weight_of(Shares const& shares) {
    return std::accumulate(shares.begin(), shares.end(), std::uint32_t{0},
                           [](std::uint32_t sum, auto const& row) { return sum + row.second; });
}

} // namespace

bool is_whole(Shares const& shares) {
    bool const has_idle =
        std::any_of(shares.begin(), shares.end(), [](auto const& row) { return row.second == 0; });
    auto const sum =
        std::accumulate(shares.begin(), shares.end(), std::uint64_t{0},
                        [](std::uint64_t so_far, auto const& row) { return so_far + row.second; });
    return !has_idle && sum == whole;
}

std::vector<Shard> shards_of(Bank bank, std::uint16_t slots) {
    std::vector<Shard> shards;
    for (std::uint16_t slot = 0; slot < slots; ++slot)
        shards.push_back({slot, bank});
    return shards;
}

Shares share_equally(std::span<Shard const> shards) {
    ensure(!shards.empty() && shards.size() <= whole, "new connections go to somebody");
    Shares shares;
    spread(shares, shards, whole);
    ensure(is_whole(shares) && shares.size() == shards.size(), "each shard is named once");
    return shares;
}

Shares share_with_canary(std::span<Shard const> stable, std::span<Shard const> canary, double percent) {
    ensure(percent >= 0 && percent <= 100, "a percentage");
    auto part = static_cast<std::uint32_t>(std::lround(percent / 100 * whole));
    // Whoever is to get anything gets something, however many shards it is spread over.
    if (percent > 0)
        part = std::max(part, static_cast<std::uint32_t>(canary.size()));
    if (percent < 100)
        part = std::min(part, whole - static_cast<std::uint32_t>(stable.size()));
    ensure((part == 0 || !canary.empty()) && (part == whole || !stable.empty()),
           "new connections go to somebody");
    Shares shares;
    if (part > 0)
        spread(shares, canary, part);
    if (part < whole)
        spread(shares, stable, whole - part);
    std::size_t const named = (part > 0 ? canary.size() : 0) + (part < whole ? stable.size() : 0);
    ensure(is_whole(shares) && shares.size() == named, "each shard is named once");
    return shares;
}

Shares without(Shares const& shares, std::span<Shard const> excluded) {
    Shares remaining = shares;
    for (Shard const& shard : excluded)
        remaining.erase(shard);
    if (remaining.empty())
        return {};
    Shares result;
    for (Bank const bank : {Bank::Blue, Bank::Green}) {
        Shares part = of_bank(remaining, bank);
        if (!part.empty())
            add_in_proportion(part, weight_of(of_bank(shares, bank)) - weight_of(part));
        result.merge(part);
    }
    add_in_proportion(result, weight_of(shares) - weight_of(result));
    return result;
}

} // namespace holdfast
