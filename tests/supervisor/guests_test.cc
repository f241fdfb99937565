// SPDX-License-Identifier: Apache-2.0
// Workers whose shards could not be made when they were started: they share those that there are, and what is
// steered to their shards follows them.
#include "harness.h"

#include <algorithm>
#include <csignal>

#include <unistd.h>

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// "green 0: 32768, green 3: 32768".
std::string text_of(Shares const& shares) {
    std::string text;
    for (auto const& [shard, weight] : shares)
        text += (text.empty() ? "" : ", ") + std::string{to_name(shard.bank)} + " " +
                std::to_string(shard.slot) + ": " + std::to_string(weight);
    return text;
}

constexpr Shard green(std::uint16_t slot) {
    return {slot, Bank::Green};
}

/// A unit that was scaled from two workers to four, or so, while its shards could not be made: the further
/// ones are guests.
struct Guests : Home {
    explicit Guests(std::uint16_t from = 2, std::uint16_t to = 4)
        : unit{add("web",
                   tcp_socket("http", 0) + "reuse_port = true\n" + health +
                       service(runs, "restart_delay = \"10ms\"\nworkers = " + std::to_string(from) + "\n"))},
          wanted{to} {
        write_file(folder / "all", "");
        REQUIRE(start(unit).ok);
        stranger = join_group(group().bound().port);
        REQUIRE(scale(to).ok);
        for (std::uint16_t slot = from; slot < to; ++slot)
            REQUIRE(place_of(slot) == green(slot % from));
    }
    WishResult scale(std::uint16_t workers) {
        Answer answer;
        unit.scale(workers, answer.taker());
        REQUIRE(until([&] { return answer.count > 0; }));
        settle();
        return answer.result;
    }
    void let_it_grow() {
        stranger.reset();
        REQUIRE(until([&] { return group().slots() == wanted; }));
        settle();
    }
    [[nodiscard]] std::string shares() { return text_of(group().shares()); }
    [[nodiscard]] ShardGroup const& group() { return unit.sockets().shards()->groups().front(); }
    /// The oldest one of the slot.
    [[nodiscard]] RunningWorker const& worker(std::uint16_t slot) {
        auto const& all = unit.workers();
        auto const found =
            std::ranges::find(all, lifecycle::Slot{slot}, [](auto const& it) { return it->slot; });
        REQUIRE(found != all.end());
        return **found;
    }
    [[nodiscard]] pid_t pid_of(std::uint16_t slot) { return worker(slot).process.pid(); }
    /// Who is well while there is no file "all".
    void be_well(pid_t pid) const { write_file(folder / ("ok." + std::to_string(pid)), ""); }
    [[nodiscard]] Shard place_of(std::uint16_t slot) { return worker(slot).shard; }

    /// As in every unit here: all are well, or those that be_well() says.
    static constexpr char const* health = "[health]\nexec = [\"/bin/sh\", \"-c\", \"test -e $FOLDER/all || "
                                          "test -e $FOLDER/ok.$HOLDFAST_PROBE_PID\"]\n"
                                          "interval = \"20ms\"\nfailures = 1\n";
    UnitRunner& unit;
    std::uint16_t wanted;
    UniqueFd stranger;
};

} // namespace

TEST_CASE("guests share the shards that there are, and what is for them goes there", "[supervisor]") {
    Guests test;
    auto const shared = "green 0: 32768, green 1: 32768";
    CHECK(test.shares() == shared);
    CHECK(test.events("shards-missing").size() == 1);
    test.let_it_grow();
    CHECK(test.events("shards-held").size() == 1);
    CHECK(test.shares() == shared); // they are still there
    CHECK(test.restart(test.unit).ok);
    CHECK(test.group().shares() == share_equally(shards_of(Bank::Blue, 4)));
}

TEST_CASE("a guest that dies is replaced in its own shard, when that can be made", "[supervisor]") {
    Guests test;
    test.let_it_grow();
    auto const guest = test.pid_of(3);
    REQUIRE(::kill(guest, SIGKILL) == 0);
    REQUIRE(test.until([&] {
        return test.unit.workers().size() == 4 && test.pid_of(3) != guest &&
               test.group().shares().contains(green(3));
    }));
    CHECK(test.place_of(3) == green(3));
    CHECK(test.shares() == "green 0: 32768, green 1: 16384, green 3: 16384");
}

TEST_CASE("the replacement of a guest that still serves gets the clients when it is ready, and not before",
          "[supervisor]") {
    // The core orders nothing then: the shares are the same, their worker is another one elsewhere.
    Guests test{1, 2};
    test.let_it_grow();
    auto const guest = test.pid_of(1);
    auto const host = test.pid_of(0);
    test.be_well(guest);
    test.be_well(host);
    REQUIRE(::unlink((test.folder / "all").c_str()) == 0);
    REQUIRE(::kill(host, SIGKILL) == 0); // its replacement is never well
    REQUIRE(test.until([&] { return test.unit.workers().size() == 2 && test.pid_of(0) != host; }));
    CHECK(test.shares() == "green 0: 65536");
    REQUIRE(::unlink((test.folder / ("ok." + std::to_string(guest))).c_str()) == 0);
    REQUIRE(test.until([&] { return test.unit.workers().size() == 3; }));
    auto const& other = *test.unit.workers().back();
    CHECK(other.shard == green(1));
    CHECK(test.pid_of(1) == guest);
    CHECK(test.shares() == "green 0: 65536");
    test.be_well(other.process.pid());
    REQUIRE(test.until([&] { return test.unit.workers().size() == 2; }));
    CHECK(test.pid_of(1) != guest);
    CHECK(test.shares() == "green 1: 65536");
}

TEST_CASE("a pool with guests becomes smaller", "[supervisor]") {
    Guests test;
    SECTION("while they are guests") {}
    SECTION("after their shards have come") {
        test.let_it_grow();
    }
    REQUIRE(test.scale(1).ok);
    REQUIRE(test.until([&] { return test.group().slots() == 1; }));
    CHECK(test.unit.workers().size() == 1);
    CHECK(test.shares() == "green 0: 65536");
    CHECK(test.events("shard-given-up").empty());
    CHECK(test.events("rest-deadline-passed").empty());
    CHECK(connect_to(test.group().bound().port).is_open());
}
