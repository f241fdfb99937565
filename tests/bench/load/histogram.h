// SPDX-License-Identifier: Apache-2.0
// A histogram of microseconds in the manner of HdrHistogram: fixed memory, every value kept to better than 1
// %, the largest one exactly. Two of them can be added.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace holdfast::load {

class Histogram {
public:
    void record(std::uint64_t value) {
        ++counts_[index_of(value)];
        ++total_;
        sum_ += value;
        max_ = std::max(max_, value);
    }
    void add(Histogram const& other) {
        for (std::size_t i = 0; i < counts_.size(); ++i)
            counts_[i] += other.counts_[i];
        total_ += other.total_;
        sum_ += other.sum_;
        max_ = std::max(max_, other.max_);
    }
    [[nodiscard]] std::uint64_t total() const { return total_; }
    [[nodiscard]] std::uint64_t max() const { return max_; }
    [[nodiscard]] double mean() const {
        return total_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(total_);
    }

    /// The smallest value that at least `percent` of all values do not exceed, rounded up to the end of its
    /// bucket; never more than max(). 0 when nothing was recorded.
    [[nodiscard]] std::uint64_t percentile(double percent) const {
        // The small step back: 99.9 % of 1000 is 999 for people, and 999.0000000001 in binary.
        auto const wanted = percent / 100.0 * static_cast<double>(total_) - 1e-6;
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (counts_[i] > 0 && static_cast<double>(seen) >= wanted)
                return std::min(max_, highest_of(i));
        }
        return max_;
    }

    /// Values share a bucket when their `sub_bits + 1` leading binary digits agree.
    [[nodiscard]] static constexpr std::size_t index_of(std::uint64_t value) {
        value = std::min(value, largest);
        if (value < exact)
            return static_cast<std::size_t>(value);
        auto const shift = static_cast<unsigned>(std::bit_width(value)) - 1 - sub_bits;
        return static_cast<std::size_t>((shift << sub_bits) + (value >> shift));
    }
    [[nodiscard]] static constexpr std::uint64_t highest_of(std::size_t index) {
        if (index < exact)
            return index;
        auto const shift = (index >> sub_bits) - 1;
        return ((exact / 2 + (index & (exact / 2 - 1)) + 1) << shift) - 1;
    }

private:
    static constexpr unsigned sub_bits = 7;
    static constexpr std::uint64_t exact = 2ULL << sub_bits;   // below this a bucket holds one value
    static constexpr std::uint64_t largest = (1ULL << 36) - 1; // 19 hours
    static constexpr std::size_t buckets = ((36 - sub_bits) << sub_bits) + (1U << sub_bits);

    std::array<std::uint64_t, buckets> counts_{};
    std::uint64_t total_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t max_ = 0;
};

} // namespace holdfast::load
