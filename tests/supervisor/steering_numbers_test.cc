// SPDX-License-Identifier: Apache-2.0
// payload_byte: how many workers the byte can name, where the number of workers is not that of the file.
#include "harness.h"
#include "supervisor/policy.h"

using namespace holdfast;
using namespace holdfast::test;

namespace {

/// Numbers up to `mask`.
std::string named_by(int mask, std::string const& workers) {
    return "[[socket]]\nname = \"flows\"\nlisten = \"udp://127.0.0.1:0\"\nreuse_port = true\n" +
           service(runs, "workers = " + workers + "\n") +
           "[steering]\nmode = \"payload_byte\"\nmask = " + std::to_string(mask) + "\n";
}

} // namespace

// The bug: what "auto" or a scale makes was not held against the mask of [steering]. Workers whose number the
// byte could not hold had it cut to that of another one, and their flows went astray.
TEST_CASE("more workers than the byte can name are not started", "[supervisor]") {
    SteeringSpec byte;
    byte.mode = SteeringMode::PayloadByte;
    byte.mask = 0x0f;
    byte.shift = 1; // 1 to 7
    CHECK(too_few_numbers(byte, 3).empty());
    CHECK(too_few_numbers(byte, 4) ==
          "the byte of [steering] can name 7 workers, and there would be 8 in two generations");
    byte.mode = SteeringMode::Hash;
    CHECK(too_few_numbers(byte, 100).empty());
}

TEST_CASE("a unit of \"auto\" workers is not started where there are more processors than numbers",
          "[supervisor]") {
    Home home;
    auto& unit = home.add("web", named_by(3, "\"auto\""));
    if (unit.policy().workers < 2)
        return; // two numbers are enough for one worker
    auto const result = home.start(unit);
    CHECK_FALSE(result.ok);
    CHECK(result.message.find("the byte of [steering] can name 3 workers") != std::string::npos);
    CHECK(unit.workers().empty());
}

TEST_CASE("a unit that was scaled is not changed to a byte that cannot name all", "[supervisor]") {
    Home home;
    auto& unit = home.add("web", named_by(15, "1"));
    REQUIRE(home.start(unit).ok);
    Answer scaled;
    unit.scale(3, scaled.taker());
    REQUIRE(home.until([&] { return scaled.count > 0; }));
    REQUIRE(scaled.result.ok);
    Answer changed;
    unit.change(unit_of("web", named_by(3, "1")), false, changed.taker());
    REQUIRE(home.until([&] { return changed.count > 0; }));
    CHECK_FALSE(changed.result.ok);
    CHECK(changed.result.message.find("can name 3 workers, and there would be 6") != std::string::npos);
    Answer more;
    unit.scale(8, more.taker());
    REQUIRE(home.until([&] { return more.count > 0; }));
    CHECK_FALSE(more.result.ok);
}
