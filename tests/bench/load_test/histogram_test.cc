// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "load/histogram.h"

using holdfast::load::Histogram;

TEST_CASE("every value falls into a bucket whose end is at most 1 % above it", "[bench]") {
    for (std::uint64_t value = 0; value < (1ULL << 36); value += 1 + value / 97) {
        auto const end = Histogram::highest_of(Histogram::index_of(value));
        REQUIRE(end >= value);
        REQUIRE(end - value <= value / 100);
        REQUIRE(Histogram::index_of(end) == Histogram::index_of(value));
        REQUIRE(Histogram::index_of(end + 1) ==
                Histogram::index_of(value) + (end + 1 < (1ULL << 36) ? 1 : 0));
    }
}

TEST_CASE("percentiles of one to a thousand are what one would count", "[bench]") {
    Histogram histogram;
    for (std::uint64_t value = 1; value <= 1000; ++value)
        histogram.record(value);
    CHECK(histogram.percentile(10) == 100);
    CHECK(histogram.percentile(50) >= 500);
    CHECK(histogram.percentile(50) <= 505);
    CHECK(histogram.percentile(99) >= 990);
    CHECK(histogram.percentile(99) <= 1000);
    CHECK(histogram.percentile(100) == 1000);
    CHECK(histogram.max() == 1000);
    CHECK(histogram.mean() == 500.5);
    CHECK(histogram.total() == 1000);
}

TEST_CASE("one slow request in a thousand shows at p99.9 only when it is more than that", "[bench]") {
    Histogram histogram;
    for (int i = 0; i < 999; ++i)
        histogram.record(10);
    histogram.record(77777);
    CHECK(histogram.percentile(99.9) == 10);
    histogram.record(77777);
    CHECK(histogram.percentile(99.9) == 77777); // the largest value is exact
}

TEST_CASE("the sum of two histograms is the histogram of both", "[bench]") {
    Histogram a;
    Histogram b;
    a.record(5);
    b.record(100000);
    b.record(7);
    a.add(b);
    CHECK(a.total() == 3);
    CHECK(a.max() == 100000);
    CHECK(a.percentile(50) == 7);
}

TEST_CASE("an empty histogram has zeros", "[bench]") {
    Histogram const histogram;
    CHECK(histogram.percentile(99) == 0);
    CHECK(histogram.max() == 0);
}

TEST_CASE("a value past the range keeps its exact maximum", "[bench]") {
    Histogram histogram;
    histogram.record(1ULL << 40);
    CHECK(histogram.max() == 1ULL << 40);
    CHECK(histogram.percentile(50) == (1ULL << 36) - 1);
}
