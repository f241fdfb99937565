// SPDX-License-Identifier: Apache-2.0
// Who gets how much, and the program that makes it so: interpreted for every random number there is.
#include "base/ensure.h"
#include "bpf_machine.h"
#include "catch.h"

#include <algorithm>
#include <numeric>
#include <random>

using namespace holdfast;

namespace {

constexpr Shard blue(std::uint16_t slot) {
    return {slot, Bank::Blue};
}
constexpr Shard green(std::uint16_t slot) {
    return {slot, Bank::Green};
}

/// How many of all random numbers lead to each index.
std::vector<std::uint32_t> outcome_of(SteeringProgram const& program, std::size_t members) {
    test::BpfMachine const machine{program};
    std::vector<std::uint32_t> counts(members, 0);
    test::Packet packet;
    for (std::uint32_t random = 0; random < whole; ++random) {
        packet.random = 0xabcd0000U + random;
        ++counts.at(machine.run(packet));
    }
    return counts;
}

std::vector<std::uint32_t> weights_of(std::size_t members, std::size_t weighted, std::mt19937& random) {
    std::vector<std::uint32_t> weights(members, 0);
    std::vector<std::size_t> places(members);
    std::iota(places.begin(), places.end(), std::size_t{0});
    std::shuffle(places.begin(), places.end(), random);
    for (std::size_t i = 0; i < weighted; ++i)
        weights[places[i]] = 1;
    for (std::uint32_t left = whole - static_cast<std::uint32_t>(weighted); left > 0;) {
        std::uint32_t const part = 1 + static_cast<std::uint32_t>(random() % left);
        weights[places[random() % weighted]] += part;
        left -= part;
    }
    return weights;
}

std::uint32_t sum_of(Shares const& shares, Bank bank) {
    return std::accumulate(shares.begin(), shares.end(), std::uint32_t{0}, [&](auto sum, auto const& row) {
        return sum + (row.first.bank == bank ? row.second : 0);
    });
}

} // namespace

TEST_CASE("the program of a single shard is one instruction", "[socket]") {
    std::vector<std::uint32_t> const weights{0, 0, whole, 0};
    auto const program = steering_program(weights);
    REQUIRE(program.size() == 1);
    CHECK(program[0].code == (BPF_RET | BPF_K));
    CHECK(program[0].k == 2);
}

TEST_CASE("every weight is met exactly, and what has none is never chosen", "[socket]") {
    auto const seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    for (std::size_t const members : {2, 3, 8, 17, 33}) {
        for (int round = 0; round < 5; ++round) {
            auto const weights = weights_of(members, 1 + random() % members, random);
            CHECK(outcome_of(steering_program(weights), members) == weights);
        }
    }
}

TEST_CASE("two banks of 256 that are all weighted, and the longest program, fit and are exact", "[socket]") {
    std::mt19937 random{1};
    for (std::size_t const members : {std::size_t{512}, most_weighted}) {
        auto const weights = weights_of(members, members, random);
        auto const program = steering_program(weights);
        CHECK(program.size() <= 4096);
        CHECK(outcome_of(program, members) == weights);
    }
}

TEST_CASE("weights that are not the whole are a broken promise", "[socket]") {
    CHECK_THROWS_AS(steering_program(std::vector<std::uint32_t>{whole - 1, 0}), BrokenPromise);
    CHECK_THROWS_AS(steering_program(std::vector<std::uint32_t>{whole, whole}), BrokenPromise);
    CHECK_THROWS_AS(steering_program(std::vector<std::uint32_t>{}), BrokenPromise);
    CHECK_THROWS_AS(share_equally({}), BrokenPromise);
    CHECK_THROWS_AS(share_equally(std::vector{blue(1), blue(1)}), BrokenPromise);
}

TEST_CASE("a bank that serves alone shares equally, with all of the whole", "[socket]") {
    for (std::uint16_t slots : {1, 2, 3, 7, 256}) {
        auto const shares = share_equally(shards_of(Bank::Green, slots));
        CHECK(is_whole(shares));
        CHECK(shares.size() == slots);
        CHECK(sum_of(shares, Bank::Blue) == 0);
        for (auto const& [shard, weight] : shares)
            CHECK((weight == whole / slots || weight == whole / slots + 1));
    }
}

TEST_CASE("a canary gets its percentage, whatever the sizes of the two sides", "[socket]") {
    for (double const percent : {0.5, 5.0, 25.0, 50.0, 99.9})
        for (std::uint16_t slots : {1, 3, 8}) {
            auto const shares =
                share_with_canary(shards_of(Bank::Blue, 8), shards_of(Bank::Green, slots), percent);
            CHECK(is_whole(shares));
            CHECK(sum_of(shares, Bank::Green) == Approx(percent / 100 * whole).margin(0.5));
            CHECK(shares.size() == 8U + slots);
        }
}

TEST_CASE("a canary of 0 percent gets nothing, of 100 all, and of nearly 0 at least something", "[socket]") {
    auto const stable = shards_of(Bank::Blue, 4);
    auto const canary = shards_of(Bank::Green, 4);
    CHECK(share_with_canary(stable, canary, 0) == share_equally(stable));
    CHECK(share_with_canary(stable, {}, 0) == share_equally(stable));
    CHECK(share_with_canary(stable, canary, 100) == share_equally(canary));
    CHECK(sum_of(share_with_canary(stable, canary, 0.0001), Bank::Green) == 4);
    CHECK(sum_of(share_with_canary(stable, canary, 99.9999), Bank::Blue) == 4);
    CHECK_THROWS_AS(share_with_canary(stable, {}, 5), BrokenPromise);
    CHECK_THROWS_AS(share_with_canary(stable, canary, 101), BrokenPromise);
}

TEST_CASE("what an excluded shard had goes to its own bank, so that a canary's part stays", "[socket]") {
    auto const shares = share_with_canary(shards_of(Bank::Blue, 3), shards_of(Bank::Green, 2), 10);
    auto const fewer = without(shares, std::vector{blue(1), green(0)});
    CHECK(is_whole(fewer));
    CHECK_FALSE(fewer.contains(blue(1)));
    CHECK_FALSE(fewer.contains(green(0)));
    CHECK(sum_of(fewer, Bank::Green) == sum_of(shares, Bank::Green));
}

TEST_CASE("a bank that is excluded as a whole leaves its part to the other", "[socket]") {
    auto const shares = share_with_canary(shards_of(Bank::Blue, 3), shards_of(Bank::Green, 2), 10);
    auto const rest = without(shares, shards_of(Bank::Green, 2));
    CHECK(is_whole(rest));
    for (std::uint16_t slot : {0, 1, 2})
        CHECK(rest.at(blue(slot)) == Approx(whole / 3.0).margin(2));
    CHECK(without(share_equally(std::vector{blue(0)}), std::vector{blue(0)}).empty());
    CHECK(without(shares, std::vector{green(7)}) == shares);
}

TEST_CASE("whatever is excluded, the rest is whole and keeps its order of weights", "[socket]") {
    std::mt19937 random{7};
    for (int round = 0; round < 200; ++round) {
        std::size_t const members = 2 + random() % 20;
        auto const weights = weights_of(members, members, random);
        Shares shares;
        std::vector<Shard> excluded;
        for (std::uint16_t i = 0; i < members; ++i) {
            Shard const shard{static_cast<std::uint16_t>(i / 2), i % 2 == 0 ? Bank::Blue : Bank::Green};
            shares[shard] = weights[i];
            if (random() % 3 == 0)
                excluded.push_back(shard);
        }
        auto const rest = without(shares, excluded);
        if (rest.empty()) {
            CHECK(excluded.size() == shares.size());
            continue;
        }
        CHECK(is_whole(rest));
        CHECK(rest.size() == shares.size() - excluded.size());
        for (auto const& [a, weight_a] : rest)
            for (auto const& [b, weight_b] : rest)
                if (a.bank == b.bank && shares[a] > shares[b])
                    CHECK(weight_a >= weight_b);
    }
}

TEST_CASE("generations alternate between the banks", "[socket]") {
    CHECK(bank_of(0) == Bank::Blue);
    CHECK(bank_of(7) == Bank::Green);
    CHECK(other(Bank::Blue) == Bank::Green);
    CHECK(to_name(Bank::Green) == "green");
}
