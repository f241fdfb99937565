// SPDX-License-Identifier: Apache-2.0
// Random operations on real groups, against a model that is only this: who has a share is hit, nobody else.
#include "catch.h"
#include "shard_support.h"

#include <algorithm>
#include <random>

#include <sys/socket.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

constexpr std::uint16_t most_slots = 7;
constexpr int operations = 60;

/// One group and what was done to it.
class Run {
public:
    Run(ListenAddress const& address, unsigned seed)
        : address_{address}, random_{seed}, group_{bind_group(address, some(most_slots))} {
        story_ = "seed " + std::to_string(seed) + ":";
    }

    void step() {
        switch (random_() % 7) {
        case 0:
            return grow();
        case 1:
            return shrink();
        case 2:
            return shut_down();
        case 3:
            return exclude();
        case 4:
            return take_over();
        case 5:
            return be_canary();
        case 6:
            return steer_anyhow();
        }
    }

    void check() {
        INFO(story_);
        auto const found = hits(group_, 30);
        for (auto const& [shard, count] : found)
            CHECK(group_.shares().contains(shard));
        auto const look = look_at(group_);
        CHECK(look.astray == 0);
        for (auto const& [shard, queued] : look.queued)
            CHECK(queued == 0);
        CHECK(group_.members().size() == 2U * group_.slots() + 1);
        if (random_() % 8 == 0) {
            auto const shares = group_.shares();
            CHECK(leads_to_each(group_));
            steer(shares);
        }
    }

private:
    std::uint16_t some(std::uint16_t most) { return static_cast<std::uint16_t>(1 + random_() % most); }
    std::vector<Shard> some_shards() {
        auto shards = shards_of(Bank::Blue, group_.slots());
        auto const green = shards_of(Bank::Green, group_.slots());
        shards.insert(shards.end(), green.begin(), green.end());
        std::shuffle(shards.begin(), shards.end(), random_);
        shards.resize(1 + random_() % shards.size());
        return shards;
    }
    void steer(Shares const& shares) { REQUIRE(told(group_.steer(shares)) == "ok"); }

    void grow() {
        if (group_.slots() == most_slots)
            return;
        auto const slots = static_cast<std::uint16_t>(
            group_.slots() + some(static_cast<std::uint16_t>(most_slots - group_.slots())));
        story_ += " grow " + std::to_string(slots);
        REQUIRE(told(group_.grow(shard_spec(address_), slots)) == "ok");
    }
    void shrink() {
        auto const slots = some(group_.slots());
        story_ += " shrink " + std::to_string(slots);
        std::vector<Shard> leaving;
        for (auto const& [shard, weight] : group_.shares())
            if (shard.slot >= slots)
                leaving.push_back(shard);
        auto const rest = without(group_.shares(), leaving);
        steer(rest.empty() ? share_equally(shards_of(Bank::Green, slots)) : rest);
        REQUIRE(told(group_.shrink(slots)) == "ok");
    }
    void shut_down() {
        if (address_.transport == Transport::Udp)
            return;
        story_ += " shut down";
        for (Shard const& shard : some_shards()) {
            story_ += " " + std::string{to_name(shard.bank)} + std::to_string(shard.slot);
            REQUIRE(::shutdown(group_.listener(shard).fd.raw(), SHUT_RDWR) == 0);
        }
        auto const mended = group_.mend(64);
        INFO(story_);
        REQUIRE(mended);
        CHECK(*mended);
    }
    void exclude() {
        auto const rest = without(group_.shares(), some_shards());
        story_ += " exclude";
        if (!rest.empty())
            steer(rest);
    }
    void take_over() {
        story_ += " take over";
        steer(share_equally(shards_of(random_() % 2 == 0 ? Bank::Blue : Bank::Green, group_.slots())));
    }
    void be_canary() {
        story_ += " canary";
        steer(share_with_canary(shards_of(Bank::Green, group_.slots()),
                                shards_of(Bank::Blue, some(group_.slots())),
                                static_cast<double>(random_() % 101)));
    }
    void steer_anyhow() {
        story_ += " anyhow";
        steer(share_equally(some_shards()));
    }

    ListenAddress address_;
    std::mt19937 random_;
    ShardGroup group_;
    std::string story_;
};

} // namespace

TEST_CASE("whatever is done to a group, only shards with a share are hit", "[socket]") {
    for (auto const& address : {tcp("127.0.0.1"), tcp("::1"), tcp(""), udp("127.0.0.1"), udp("::1")}) {
        Run run{address, std::random_device{}()};
        for (int i = 0; i < operations; ++i) {
            run.step();
            run.check();
        }
    }
}
