// SPDX-License-Identifier: Apache-2.0
#include "supervisor/fact_ring.h"

namespace holdfast {

namespace {

constexpr std::size_t most_kept = 64; // per unit

} // namespace

void FactRing::add(lifecycle::Fact const& fact, MonotonicTime now) {
    if (entries_.size() < most_kept)
        entries_.push_back({now, fact});
    else
        entries_[count_ % most_kept] = {now, fact};
    ++count_;
}

void FactRing::take_over(std::vector<lifecycle::TraceLine> const& facts, std::uint64_t forgotten) {
    for (auto const& line : facts)
        if (auto const* const fact = std::get_if<lifecycle::Fact>(&line.what);
            fact && entries_.size() < most_kept)
            entries_.push_back({line.at, *fact});
    // The place of the next one follows from the count, and the oldest is to be first.
    count_ = entries_.size() < most_kept ? entries_.size() : (forgotten / most_kept + 1) * most_kept;
}

std::vector<FactRing::Entry> FactRing::facts() const {
    auto const oldest =
        count_ > entries_.size() ? static_cast<std::ptrdiff_t>(count_ % most_kept) : std::ptrdiff_t{0};
    std::vector<Entry> facts{entries_.begin() + oldest, entries_.end()};
    facts.insert(facts.end(), entries_.begin(), entries_.begin() + oldest);
    return facts;
}

} // namespace holdfast
