// SPDX-License-Identifier: Apache-2.0
// The traces that once showed a bug, each with a first line that tells it; and any that `holdfast trace`
// printed.
#include "catch.h"
#include "sim/replay.h"

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace holdfast;
using namespace holdfast::sim;

namespace {

std::string content_of(std::filesystem::path const& path) {
    std::ifstream file{path};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

} // namespace

TEST_CASE("every trace that once showed a bug keeps all invariants and comes to rest", "[sim]") {
    std::size_t replayed = 0;
    for (auto const& entry : std::filesystem::directory_iterator{HOLDFAST_SOURCE_DIR "/tests/sim/traces"}) {
        auto const text = content_of(entry.path());
        INFO(entry.path().filename().string() << "\n" << text);
        CHECK(text.starts_with("# "));
        auto const trace = parse_trace(text);
        REQUIRE(trace.size() >= 2);
        World world{.wanted = std::get<Policy>(trace.front().what)};
        for (auto const& complaints : {replay(world, trace), come_to_rest(world)})
            for (auto const& complaint : complaints)
                FAIL_CHECK(complaint.invariant << ": " << complaint.text);
        ++replayed;
    }
    CHECK(replayed >= 3);
}

TEST_CASE("a stop reaches the unborn with its own deadline", "[sim]") {
    auto const trace =
        parse_trace(content_of(HOLDFAST_SOURCE_DIR "/tests/sim/traces/stopped-before-it-was-forked.txt"));
    World world;
    REQUIRE(replay(world, trace).empty());
    CHECK(world.kernel.find(WorkerId{1}) == nullptr);
    CHECK(world.kernel.find(WorkerId{2}) == nullptr);
}

TEST_CASE("a malformed line of a trace is refused", "[sim]") {
    CHECK_THROWS(parse_trace("3600000000us dance worker=1\n"));
    CHECK(parse_trace("# for people\n\n1us stop\n").size() == 1);
}
